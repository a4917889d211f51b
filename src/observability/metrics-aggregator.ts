/**
 * Adds up what workers report. It keeps totals of its own and adds only what is new since a worker's last report, so
 * that no counter goes backwards when a worker ends, is replaced, or drops an idle series.
 *
 * Bound: as many label sets as one worker may have; more are added to the overflow series. A label set that no worker
 * saw a request of for `idleMs` is dropped.
 */
import { REQUEST_LABELS } from './metric-table.ts'
import type { EgressSnapshot, MetricsSnapshot, ProcessFacts, SeriesSnapshot, TcpSeries } from './metrics-snapshot.ts'
import { RateLimitCounts, type RateLimitTotals } from './rate-limit-totals.ts'
import { TcpCounts } from './tcp-totals.ts'
import { addNews, UpstreamCounts, type UpstreamTotals } from './upstream-totals.ts'

export interface MetricsAggregatorOptions {
  /** Default 600. */
  readonly maxSeries?: number
  /** Default 1 h, in ms; Infinity: never. */
  readonly idleMs?: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** One label set over all workers. The same object from one scrape to the next, for what is cached by it. */
export interface SeriesTotal {
  readonly labels: readonly string[]
  readonly values: readonly number[]
}

export interface MetricsTotals {
  readonly series: readonly SeriesTotal[]
  readonly overflowed: number
  readonly accessLogDropped: number
  readonly downstreamConnections: number
  readonly upstreamConnections: number
  readonly upstream: UpstreamTotals
  readonly rateLimits: RateLimitTotals
  readonly dryRun: Readonly<Record<string, number>>
  /** By reason. */
  readonly shed: Readonly<Record<string, number>>
  /** Null: no worker has a forward proxy. */
  readonly egress: EgressSnapshot | null
  readonly tcp: readonly TcpSeries[]
  /** HTTP/2 connections that were closed for what their clients did, by reason. */
  readonly http2: Readonly<Record<string, number>>
  /** By worker. */
  readonly processes: ReadonlyMap<string, ProcessFacts>
}

export interface MetricsAggregator {
  /** Takes a worker's report in place of its last one. */
  update(worker: string, snapshot: MetricsSnapshot): void
  /** A worker ended: what it counted stays, what it held open is gone. */
  remove(worker: string): void
  totals(): MetricsTotals
}

interface MutableTotal extends SeriesTotal {
  readonly values: number[]
  lastSeenMs: number
}

interface LastReport {
  readonly snapshot: MetricsSnapshot
  readonly series: ReadonlyMap<string, SeriesSnapshot>
}

const OVERFLOW_LABELS = REQUEST_LABELS.map(() => 'overflow')
const OVERFLOW_KEY = keyOf(OVERFLOW_LABELS)

export function createMetricsAggregator(options: MetricsAggregatorOptions): MetricsAggregator {
  return new Aggregator(options)
}

/** The sum of snapshots of different processes, taken once. */
export function mergeSnapshots(
  snapshots: readonly MetricsSnapshot[],
  options: MetricsAggregatorOptions,
): MetricsTotals {
  const aggregator = createMetricsAggregator(options)
  for (const [index, snapshot] of snapshots.entries()) aggregator.update(String(index), snapshot)
  return aggregator.totals()
}

class Aggregator implements MetricsAggregator {
  readonly #maxSeries: number
  readonly #idleMs: number
  readonly #now: () => number
  /** Last report of each living worker. */
  readonly #workers = new Map<string, LastReport>()
  /** By label values. Bound: maxSeries, and the overflow. */
  readonly #series = new Map<string, MutableTotal>()
  readonly #upstream = new UpstreamCounts()
  readonly #rateLimits = new RateLimitCounts()
  /** Bound: two actions with two results. */
  readonly #dryRun: Record<string, number> = {}
  readonly #shed: Record<string, number> = {}
  /** By reason; bound: the reasons are fixed in the code. */
  readonly #denied: Record<string, number> = {}
  readonly #tcp = new TcpCounts()
  #overflowed = 0
  /** Bound: the reasons that workers know. */
  readonly #http2: Record<string, number> = {}
  #accessLogDropped = 0

  constructor({ maxSeries = 600, idleMs = 3_600_000, now }: MetricsAggregatorOptions) {
    this.#maxSeries = maxSeries
    this.#idleMs = idleMs
    this.#now = now
  }

  update(worker: string, snapshot: MetricsSnapshot): void {
    const known = this.#workers.get(worker)
    const last = known?.snapshot.startedMs === snapshot.startedMs ? known : undefined
    const series = new Map<string, SeriesSnapshot>()
    for (const each of snapshot.series) {
      const key = keyOf(each.labels)
      series.set(key, each)
      this.#add(key, each, last?.series.get(key))
    }
    this.#overflowed += snapshot.overflowed - (last?.snapshot.overflowed ?? 0)
    // A log that was opened anew counts from zero.
    const droppedBefore = last?.snapshot.accessLogDropped ?? 0
    this.#accessLogDropped +=
      snapshot.accessLogDropped - (snapshot.accessLogDropped < droppedBefore ? 0 : droppedBefore)
    if (snapshot.upstream !== undefined) this.#upstream.add(snapshot.upstream, last?.snapshot.upstream)
    if (snapshot.dryRun !== undefined) addNews(this.#dryRun, snapshot.dryRun, last?.snapshot.dryRun)
    addNews(this.#shed, snapshot.shed ?? {}, last?.snapshot.shed)
    if (snapshot.rateLimits !== undefined) this.#rateLimits.add(snapshot.rateLimits, last?.snapshot.rateLimits)
    if (snapshot.http2 !== undefined) addNews(this.#http2, snapshot.http2, last?.snapshot.http2)
    if (snapshot.egress !== undefined) addNews(this.#denied, snapshot.egress.denied, last?.snapshot.egress?.denied)
    if (snapshot.tcp !== undefined) this.#tcp.add(snapshot.tcp, last?.snapshot.tcp)
    this.#workers.set(worker, { snapshot, series })
  }

  remove(worker: string): void {
    this.#workers.delete(worker)
  }

  totals(): MetricsTotals {
    this.#dropIdle()
    let [downstreamConnections, upstreamConnections] = [0, 0]
    const proxies: EgressSnapshot[] = []
    const processes = new Map<string, ProcessFacts>()
    for (const [worker, { snapshot }] of this.#workers) {
      downstreamConnections += snapshot.downstreamConnections
      upstreamConnections += snapshot.upstreamConnections
      if (snapshot.egress !== undefined) proxies.push(snapshot.egress)
      if (snapshot.process !== null) processes.set(worker, snapshot.process)
    }
    return {
      series: [...this.#series.values()],
      overflowed: this.#overflowed,
      accessLogDropped: this.#accessLogDropped,
      downstreamConnections,
      upstreamConnections,
      upstream: this.#upstream.totals([...this.#workers.values()].flatMap(({ snapshot }) => snapshot.upstream ?? [])),
      dryRun: { ...this.#dryRun },
      shed: this.#shed,
      rateLimits: this.#rateLimits.totals(
        [...this.#workers.values()].flatMap(({ snapshot }) => snapshot.rateLimits ?? []),
      ),
      http2: { ...this.#http2 },
      egress: proxies.length === 0 ? null : this.#egress(proxies),
      tcp: this.#tcp.totals(),
      processes,
    }
  }

  #egress(proxies: readonly EgressSnapshot[]): EgressSnapshot {
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
    return {
      tunnels: sum(proxies.map(({ tunnels }) => tunnels)),
      destinations: sum(proxies.map(({ destinations }) => destinations)),
      denied: { ...this.#denied },
    }
  }

  #add(key: string, now: SeriesSnapshot, last: SeriesSnapshot | undefined): void {
    const before = last?.createdMs === now.createdMs ? last : undefined
    const news = now.values[0]! - (before?.values[0] ?? 0)
    if (news === 0) return
    const total = this.#totalFor(key, now.labels, news)
    for (const [index, value] of now.values.entries()) {
      total.values[index] = (total.values[index] ?? 0) + value - (before?.values[index] ?? 0)
    }
    total.lastSeenMs = Math.max(total.lastSeenMs, now.lastSeenMs)
  }

  #totalFor(key: string, labels: readonly string[], requests: number): MutableTotal {
    const known = this.#series.get(key)
    if (known !== undefined) return known
    const counted = this.#series.size - (this.#series.has(OVERFLOW_KEY) ? 1 : 0)
    if (key === OVERFLOW_KEY || counted < this.#maxSeries) {
      const total: MutableTotal = { labels, values: [], lastSeenMs: 0 }
      this.#series.set(key, total)
      return total
    }
    this.#overflowed += requests
    return this.#totalFor(OVERFLOW_KEY, OVERFLOW_LABELS, 0)
  }

  #dropIdle(): void {
    const now = this.#now()
    for (const [key, total] of this.#series) {
      if (key !== OVERFLOW_KEY && now - total.lastSeenMs > this.#idleMs) this.#series.delete(key)
    }
  }
}

function keyOf(labels: readonly string[]): string {
  return labels.join('\0')
}
