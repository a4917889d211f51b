/** What the benchmark prints and writes. */
import Table from 'cli-table3'
import { toMiB } from './context.ts'
import type { LargeResult } from './large.ts'
import type { ReloadResult } from './reload.ts'
import type { RoutingResult } from './routing.ts'
import type { StreamingResult } from './streaming.ts'
import { type Measured, type Target, targetsOf } from './targets.ts'

export interface Report extends Measured {
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly kernel: string
    readonly node: string
    /** Load average of the last minute when the benchmark began: what else the machine was doing. */
    readonly loadAverage: number
  }
  readonly count: number
  readonly workers: number
  readonly targets: readonly Target[]
}

export function makeReport(context: Omit<Report, 'targets' | keyof Measured>, measured: Measured): Report {
  return { ...context, ...measured, targets: targetsOf(measured) }
}

/** Tables for people. */
export function formatReport(report: Report): string {
  const { machine, workers, start, large = [], reload, routing, streaming, targets } = report
  const { cpu, cores, kernel, node, loadAverage } = machine
  const lines = [
    `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}, load average at the start ${loadAverage.toFixed(2)}`,
    `workers: ${workers}`,
  ]
  if (start !== undefined) {
    const runs = start.runsMs.map((ms) => ms.toFixed(0)).join(', ')
    lines.push('', `Start with the sample configuration: median ${start.medianMs.toFixed(0)} ms (runs: ${runs})`)
  }
  if (large.length > 0) lines.push('', 'From the command to the ready line', largeTable(large))
  if (reload !== undefined) lines.push('', ...reloadLines(reload))
  if (routing !== undefined) lines.push('', ...routingLines(routing))
  if (streaming !== undefined) lines.push('', ...streamingLines(streaming))
  lines.push('', 'Targets', targetTable(targets))
  return lines.join('\n')
}

function largeTable(all: readonly LargeResult[]): string {
  const rows = all.map(({ layout, count, readMs, inForceMs, readyMs, usage }) => [
    `${count}, ${layout}`,
    readMs.toFixed(0),
    inForceMs.toFixed(0),
    readyMs.toFixed(0),
    usage.cpuSeconds.toFixed(1),
    toMiB(usage.pssBytes).toFixed(0),
    toMiB(usage.rssBytes).toFixed(0),
  ])
  return table(['VirtualServices', 'read ms', 'compiled, in force ms', 'ready ms', 'CPU s', 'PSS MiB', 'RSS MiB'], rows)
}

function reloadLines({
  changesMs,
  medianMs,
  p95Ms,
  quiet,
  afterChange,
  whileChanging,
  ...rest
}: ReloadResult): string[] {
  const failures = Object.entries(rest.failures).map(([what, count]) => `${count} × ${what}`)
  const rows = (
    [
      ['quiet', quiet],
      ['within 500 ms of a change', afterChange],
      ['while changes go on', whileChanging],
    ] as const
  ).map(([name, { requests, p50Ms, p99Ms, maxMs }]) => [
    name,
    String(requests),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    maxMs.toFixed(1),
  ])
  return [
    `Change of one file, from its rename to the first answer by the new rule: median ${medianMs.toFixed(0)} ms, ` +
      `p95 ${p95Ms.toFixed(0)} ms, ${changesMs.length} changes`,
    `Other requests meanwhile, ${rest.requestsPerSecond} a second, failed: ${failures.length === 0 ? 'none' : failures.join(', ')}`,
    table(['requests sent', 'number', 'p50 ms', 'p99 ms', 'longest ms'], rows),
    `Memory of all processes afterwards: PSS ${toMiB(rest.usage.pssBytes).toFixed(0)} MiB, RSS ${toMiB(rest.usage.rssBytes).toFixed(0)} MiB`,
  ]
}

function routingLines({ few, many, ratio, ratioOfAll }: RoutingResult): string[] {
  const rows = [few, many].map(({ count, hosts, workerMicros, allMicros, usage }) => [
    String(count),
    String(hosts),
    workerMicros.toFixed(1),
    allMicros.toFixed(1),
    toMiB(usage.pssBytes).toFixed(0),
    toMiB(usage.rssBytes).toFixed(0),
  ])
  return [
    `CPU of a request, many / few VirtualServices, median of ${few.rounds.length} rounds: workers ${ratio.toFixed(2)}, all processes ${ratioOfAll.toFixed(2)}`,
    table(['VirtualServices', 'hosts in use', 'workers µs', 'all processes µs', 'PSS MiB', 'RSS MiB'], rows),
  ]
}

function streamingLines({ bodyBytes, bytesPerSecond, down, up }: StreamingResult): string[] {
  const rows = Object.entries({ down, up }).map(
    ([name, { seconds, beforeBytes, peakBytes, afterBytes, growthBytes }]) => [
      name,
      seconds.toFixed(1),
      ...[beforeBytes, peakBytes, afterBytes, growthBytes].map((bytes) => toMiB(bytes).toFixed(1)),
    ],
  )
  return [
    `A body of ${toMiB(bodyBytes).toFixed(0)} MiB, the slow side takes ${toMiB(bytesPerSecond).toFixed(0)} MiB/s: RSS of the worker, MiB`,
    table(['direction', 'seconds', 'before', 'peak', 'after', 'growth'], rows),
  ]
}

function targetTable(targets: readonly Target[]): string {
  const rows = targets.map(({ name, value, limit, unit, met }) => [
    name,
    `${value.toFixed(limit < 10 ? 2 : 0)} ${unit}`.trim(),
    `${limit} ${unit}`.trim(),
    met ? 'met' : 'MISSED',
  ])
  return table(['target', 'measured', 'at most', ''], rows)
}

/** No colours and no lines between rows: the output goes into files as well. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }
  const colAligns = head.map((_, index) => (index === 0 ? ('left' as const) : ('right' as const)))
  const made = new Table({ style: { head: [], border: [] }, chars, head: [...head], colAligns })
  for (const row of rows) made.push([...row])
  return made.toString()
}
