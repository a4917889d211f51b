/** What the benchmark prints and writes. */
import Table from 'cli-table3'
import type { BenchResult } from './bench.ts'
import { isOurs } from './peers.ts'
import { type Measurement, type Ratio, ratios, splitByErrors, summarise } from './results.ts'

export interface Report {
  readonly machine: Machine
  readonly options: { readonly rounds: number; readonly seconds: number; readonly connections: number }
  readonly peers: readonly { readonly peer: string; readonly version: string; readonly median: Measurement }[]
  readonly ratios: readonly Ratio[]
  /** Each single measurement, so that the spread can be seen. */
  readonly rounds: BenchResult['measured']
  readonly leftOut: BenchResult['leftOut']
  readonly warnings: readonly string[]
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
}

/** Share of a core beyond which the upstream holds the peers back. */
const UPSTREAM_BUSY = 0.9

/** Draws up the report; a peer with errors is among `leftOut`, without numbers. */
export function makeReport(
  result: BenchResult,
  context: Pick<Report, 'machine' | 'options'> & { readonly versionOf: (peer: string) => string },
): Report {
  const { sound, faulty } = splitByErrors(result.measured)
  return {
    machine: context.machine,
    options: context.options,
    peers: sound.map(({ peer, rounds }) => ({ peer, version: context.versionOf(peer), median: summarise(rounds) })),
    ratios: ratios(sound, isOurs),
    rounds: sound,
    leftOut: [
      ...result.leftOut,
      ...faulty.map(({ peer, rounds }) => ({ peer, reason: `${summarise(rounds).errors} errors, so no numbers` })),
    ],
    warnings:
      result.upstreamBusiest < UPSTREAM_BUSY
        ? []
        : [
            `The upstream used up to ${Math.round(result.upstreamBusiest * 100)} % of a core: requests/s and latency of the ` +
              'fastest peers are its own. CPU per request is not touched by that.',
          ],
  }
}

/** Tables for people. */
export function formatReport({ machine, options, peers, ratios: compared, leftOut, warnings }: Report): string {
  // No colours and no lines between rows: the output goes into files as well.
  const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }
  const plain = { style: { head: [], border: [] }, chars }
  const right = 'right' as const
  const medians = new Table({
    ...plain,
    head: ['peer', 'CPU µs/request', 'requests/s', 'p50 ms', 'p99 ms', 'PSS MiB', 'RSS MiB', 'version'],
    colAligns: ['left', right, right, right, right, right, right, 'left'],
  })
  const byCpu = [...peers].sort((a, b) => a.median.cpuMicrosPerRequest - b.median.cpuMicrosPerRequest)
  for (const { peer, version, median } of byCpu) {
    medians.push([
      peer,
      median.cpuMicrosPerRequest.toFixed(1),
      median.requestsPerSecond.toFixed(0),
      median.p50Ms.toFixed(2),
      median.p99Ms.toFixed(2),
      mebibytes(median.pssBytes),
      mebibytes(median.rssBytes),
      version,
    ])
  }
  const against = new Table({
    ...plain,
    head: ['ours / theirs', 'CPU/request', 'requests/s', 'memory'],
    colAligns: ['left', right, right, right],
  })
  for (const { subject, peer, cpu, requestsPerSecond, memory } of compared) {
    against.push([`${subject} / ${peer}`, cpu.toFixed(2), requestsPerSecond.toFixed(2), memory.toFixed(2)])
  }
  const { rounds, seconds, connections } = options
  return [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`,
    `medians of ${rounds} rounds of ${seconds} s, ${connections} connections, 1 KiB answers, one worker each`,
    medians.toString(),
    ...(compared.length === 0 ? [] : ['medians of the ratios of each round', against.toString()]),
    ...leftOut.map(({ peer, reason }) => `left out: ${peer}: ${reason}`),
    ...warnings,
  ].join('\n')
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}
