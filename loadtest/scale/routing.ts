/** What a request costs with few and with many VirtualServices in force. */
import { fileURLToPath } from 'node:url'
import { type Usage, cpuSecondsOf, readTree, readUsage } from '../lib/process-tree.ts'
import { median } from '../lib/statistics.ts'
import { type Load, runWrk } from '../lib/wrk.ts'
import { type BenchContext, inUse } from './context.ts'
import type { Gateway } from './gateway.ts'
import { PATHS } from './resources.ts'

/** A gateway that runs, and how many VirtualServices it has. */
export interface Subject {
  readonly gateway: Gateway
  readonly count: number
}

export interface RoutingRound {
  /** CPU of the workers, microseconds a request: what routing and forwarding cost. */
  readonly workerMicros: number
  /** CPU of all processes: with what the primary does beside, such as looking at its files from time to time. */
  readonly allMicros: number
  readonly load: Load
}

export interface RoutingResult {
  readonly few: SubjectResult
  readonly many: SubjectResult
  /** CPU of the workers for a request, many / few: the median of the rounds' ratios. */
  readonly ratio: number
  /** The same for all processes. */
  readonly ratioOfAll: number
}

export interface SubjectResult {
  readonly count: number
  readonly hosts: number
  readonly rounds: readonly RoutingRound[]
  readonly workerMicros: number
  readonly allMicros: number
  /** At the end, with all `hosts` in use. */
  readonly usage: Usage
}

export interface RoutingOptions {
  readonly rounds: number
  /** Length of one measurement, seconds. */
  readonly seconds: number
  readonly connections: number
}

/** Rounds interleave (few, many, few, many), so that what changes on the machine meets both. */
export async function measureRouting(
  { find, log }: Pick<BenchContext, 'find' | 'log'>,
  few: Subject,
  many: Subject,
  options: RoutingOptions,
): Promise<RoutingResult> {
  const wrk = find('wrk')
  if (wrk === undefined) throw new Error('wrk is missing (Debian package: wrk)')
  const subjects = [few, many].map((subject) => ({ subject, rounds: [] as RoutingRound[] }))
  for (const { subject } of subjects) await measureOnce(wrk, subject, options)
  for (let round = 1; round <= options.rounds; round++) {
    for (const { subject, rounds } of subjects) {
      const measured = await measureOnce(wrk, subject, options)
      rounds.push(measured)
      const micros = `${measured.workerMicros.toFixed(1)} µs (workers), ${measured.allMicros.toFixed(1)} µs (all)`
      log(`routing round ${round}/${options.rounds}, ${subject.count}: ${micros}, ${measured.load.errors} errors`)
    }
  }
  const [first, second] = subjects.map(({ subject, rounds }): SubjectResult => ({
    count: subject.count,
    hosts: inUse(subject.count).hosts,
    rounds,
    workerMicros: median(rounds.map(({ workerMicros }) => workerMicros)),
    allMicros: median(rounds.map(({ allMicros }) => allMicros)),
    usage: readUsage(subject.gateway.started.pid),
  })) as [SubjectResult, SubjectResult]
  const ratio = (of: (round: RoutingRound) => number): number =>
    median(first.rounds.map((round, index) => of(second.rounds[index]!) / of(round)))
  return {
    few: first,
    many: second,
    ratio: ratio(({ workerMicros }) => workerMicros),
    ratioOfAll: ratio(({ allMicros }) => allMicros),
  }
}

/** @throws An Error when a request failed: failing is often cheaper than answering, so there is no number then. */
async function measureOnce(
  wrk: string,
  { gateway, count }: Subject,
  { seconds, connections }: RoutingOptions,
): Promise<RoutingRound> {
  const { hosts, stride } = inUse(count)
  const before = cpuOf(gateway.started.pid)
  const load = await runWrk(wrk, {
    url: `http://127.0.0.1:${gateway.port}/`,
    seconds,
    connections,
    script: {
      file: fileURLToPath(new URL('./hosts.lua', import.meta.url)),
      args: [String(hosts), String(stride), ...PATHS],
    },
  })
  const after = cpuOf(gateway.started.pid)
  if (load.errors > 0) throw new Error(`${load.errors} of ${load.requests} requests failed`)
  return {
    workerMicros: ((after.workers - before.workers) * 1e6) / load.requests,
    allMicros: ((after.all - before.all) * 1e6) / load.requests,
    load,
  }
}

/** CPU seconds so far. The primary is the root of the tree, everything below it are workers. */
function cpuOf(pid: number): { readonly workers: number; readonly all: number } {
  const tree = readTree(pid)
  return { workers: cpuSecondsOf(tree.slice(1)), all: cpuSecondsOf(tree) }
}
