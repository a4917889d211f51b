/**
 * Istio's request metrics as plain numbers. A request finds its series by two or three map look-ups over values that
 * exist anyway (no text is built on the way), and adds to one array; labels are spelled out when a series is made.
 *
 * Bound: `maxSeries` label sets; a request that would need one more is counted in the series named `overflow`. A
 * series without a request for `idleMs` is dropped, and its counts with it.
 */
import type { Exchange } from '../exchange/exchange.ts'
import { grpcStatusNumber } from '../exchange/grpc-status.ts'
import { identityOf } from './mesh-identity.ts'
import { BUCKET_BOUNDS, REQUEST_LABELS } from './metric-table.ts'
import type { RequestSnapshot, SeriesSnapshot } from './metrics-snapshot.ts'

export interface RequestMetricsOptions {
  /** Label sets at most, the overflow's not counted. Default 600: each is 67 lines of a scrape. */
  readonly maxSeries?: number
  /** Default 1 h, in ms; Infinity: never. */
  readonly idleMs?: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export interface RequestMetrics {
  /** Counts an exchange that ended. */
  record(exchange: Exchange, durationMs: number): void
  /** What was counted so far, as data of its own. Drops idle series. */
  snapshot(): RequestSnapshot
}

const BUCKETS = BUCKET_BOUNDS.length + 1

/** Where things are in a series' values: the count, three sums, then the buckets of three histograms. */
export const LAYOUT = {
  requests: 0,
  durationSum: 1,
  requestBytesSum: 2,
  responseBytesSum: 3,
  duration: 4,
  requestBytes: 4 + BUCKETS,
  responseBytes: 4 + 2 * BUCKETS,
  length: 4 + 3 * BUCKETS,
} as const

/** A full table is searched for idle series at most this often, in ms: a flood of new label sets must not cost more. */
const SWEEP_INTERVAL_MS = 1000

interface Series {
  readonly labels: readonly string[]
  readonly createdMs: number
  readonly values: Float64Array
  lastSeenMs: number
}

/** One destination: a service and the labels of an endpoint. Its series by flags, then by code. */
interface Destination {
  readonly labels: readonly string[]
  readonly unflagged: Map<number, Series>
  readonly flagged: Map<string, Map<number, Series>>
}

/** The way from a host to its destinations. Holds nothing that would have to be counted. */
interface HostEntry {
  readonly serviceName: string
  readonly serviceNamespace: string
  unlabelled: Destination | null
  /** By identity: the labels of an endpoint are one object for as long as its part of the plan stays. */
  readonly labelled: WeakMap<object, Destination>
}

export function createRequestMetrics(options: RequestMetricsOptions): RequestMetrics {
  return new SeriesTable(options)
}

class SeriesTable implements RequestMetrics {
  readonly #maxSeries: number
  readonly #idleMs: number
  readonly #now: () => number
  readonly #startedMs: number
  /** Short cuts into `#destinations`, thrown away whenever a destination goes; bounded by the plan's hosts. */
  #hosts = new Map<string, HostEntry>()
  /** By the text of its labels. Each has at least one series. */
  readonly #destinations = new Map<string, Destination>()
  readonly #overflow: Series
  #size = 0
  #overflowed = 0
  #sweptMs = -Infinity

  constructor({ maxSeries = 600, idleMs = 3_600_000, now }: RequestMetricsOptions) {
    this.#maxSeries = maxSeries
    this.#idleMs = idleMs
    this.#now = now
    this.#startedMs = now()
    this.#overflow = newSeries(
      REQUEST_LABELS.map(() => 'overflow'),
      this.#startedMs,
    )
  }

  record(exchange: Exchange, durationMs: number): void {
    const series = this.#find(exchange)
    const { values } = series
    const requestBytes = exchange.requestHeadBytes + exchange.bytesReceived
    const responseBytes = exchange.responseHeadBytes + exchange.bytesSent
    values[LAYOUT.requests]! += 1
    values[LAYOUT.durationSum]! += durationMs
    values[LAYOUT.requestBytesSum]! += requestBytes
    values[LAYOUT.responseBytesSum]! += responseBytes
    values[LAYOUT.duration + bucketOf(durationMs)]! += 1
    values[LAYOUT.requestBytes + bucketOf(requestBytes)]! += 1
    values[LAYOUT.responseBytes + bucketOf(responseBytes)]! += 1
    series.lastSeenMs = exchange.startedAt + durationMs
  }

  snapshot(): RequestSnapshot {
    this.#sweep(this.#now())
    const series: SeriesSnapshot[] = []
    for (const each of this.#all()) series.push(copySeries(each))
    if (this.#overflowed > 0) series.push(copySeries(this.#overflow))
    return { startedMs: this.#startedMs, series, overflowed: this.#overflowed }
  }

  #find(exchange: Exchange): Series {
    const { status, flags, grpc, upstream } = exchange
    const labels = upstream.endpointLabels
    const entry = this.#hosts.get(upstream.serviceHost)
    const destination =
      entry === undefined ? undefined : labels === null ? entry.unlabelled : entry.labelled.get(labels)
    if (
      destination == null ||
      entry!.serviceName !== upstream.serviceName ||
      entry!.serviceNamespace !== upstream.serviceNamespace
    )
      return this.#findSlowly(exchange)
    const series = (flags === '' ? destination.unflagged : destination.flagged.get(flags))?.get(
      seriesCode(status, grpc, exchange.grpcStatus),
    )
    return series ?? this.#addSeries(destination, exchange) ?? this.#overflowSeries()
  }

  /** For the first request of a destination, and of one whose labels are another object with the same content. */
  #findSlowly(exchange: Exchange): Series {
    const labels = destinationLabels(exchange)
    const key = labels.join('\0')
    const known = this.#destinations.get(key)
    const destination: Destination = known ?? { labels, unflagged: new Map(), flagged: new Map() }
    const code = seriesCode(exchange.status, exchange.grpc, exchange.grpcStatus)
    const byCode = exchange.flags === '' ? destination.unflagged : destination.flagged.get(exchange.flags)
    const series = byCode?.get(code) ?? this.#addSeries(destination, exchange)
    if (series === null) return this.#overflowSeries()
    if (known === undefined) this.#destinations.set(key, destination)
    this.#remember(exchange, destination)
    return series
  }

  #remember({ upstream }: Exchange, destination: Destination): void {
    const { serviceHost, serviceName, serviceNamespace, endpointLabels } = upstream
    let entry = this.#hosts.get(serviceHost)
    if (entry === undefined || entry.serviceName !== serviceName || entry.serviceNamespace !== serviceNamespace) {
      entry = { serviceName, serviceNamespace, unlabelled: null, labelled: new WeakMap() }
      this.#hosts.set(serviceHost, entry)
    }
    if (endpointLabels === null) entry.unlabelled = destination
    else entry.labelled.set(endpointLabels, destination)
  }

  /** A new series, or null where there are too many. */
  #addSeries(destination: Destination, exchange: Exchange): Series | null {
    if (this.#size >= this.#maxSeries && exchange.startedAt - this.#sweptMs > SWEEP_INTERVAL_MS)
      this.#sweep(exchange.startedAt, destination)
    if (this.#size >= this.#maxSeries) return null
    const { status, flags, grpc, grpcStatus } = exchange
    let byCode = flags === '' ? destination.unflagged : destination.flagged.get(flags)
    if (byCode === undefined) destination.flagged.set(flags, (byCode = new Map()))
    const series = newSeries([...destination.labels, ...responseLabels(exchange)], exchange.startedAt)
    byCode.set(seriesCode(status, grpc, grpcStatus), series)
    this.#size += 1
    return series
  }

  #overflowSeries(): Series {
    this.#overflowed += 1
    return this.#overflow
  }

  /** Drops idle series, and destinations that have none left but `keep`, which is about to get one. */
  #sweep(nowMs: number, keep?: Destination): void {
    this.#sweptMs = nowMs
    let forget = false
    for (const [key, destination] of this.#destinations) {
      this.#dropIdle(destination.unflagged, nowMs)
      for (const [flags, byCode] of destination.flagged) {
        this.#dropIdle(byCode, nowMs)
        if (byCode.size === 0) destination.flagged.delete(flags)
      }
      if (destination === keep || destination.unflagged.size + destination.flagged.size > 0) continue
      this.#destinations.delete(key)
      forget = true
    }
    if (forget) this.#hosts = new Map()
  }

  #dropIdle(byCode: Map<number, Series>, nowMs: number): void {
    for (const [code, series] of byCode) {
      if (nowMs - series.lastSeenMs <= this.#idleMs) continue
      byCode.delete(code)
      this.#size -= 1
    }
  }

  *#all(): Iterable<Series> {
    for (const destination of this.#destinations.values()) {
      yield* destination.unflagged.values()
      for (const byCode of destination.flagged.values()) yield* byCode.values()
    }
  }
}

function newSeries(labels: readonly string[], nowMs: number): Series {
  return { labels, createdMs: nowMs, values: new Float64Array(LAYOUT.length), lastSeenMs: nowMs }
}

function copySeries({ labels, createdMs, lastSeenMs, values }: Series): SeriesSnapshot {
  return { labels, createdMs, lastSeenMs, values: Array.from(values) }
}

/** Most values are small: a walk from the lowest bound is shorter than a bisection. */
function bucketOf(value: number): number {
  let bucket = 0
  while (bucket < BUCKET_BOUNDS.length && value > BUCKET_BOUNDS[bucket]!) bucket += 1
  return bucket
}

/** Status, protocol and gRPC status as one number; what an upstream makes up as a gRPC status shares one place. */
function seriesCode(status: number, grpc: boolean, grpcStatus: string): number {
  if (!grpc && grpcStatus === '') return status * 64
  return status * 64 + (grpc ? 32 : 0) + grpcPlace(grpcStatus)
}

/** 0: none. 1 to 17: gRPC's codes. 18: anything else. */
function grpcPlace(grpcStatus: string): number {
  if (grpcStatus === '') return 0
  const code = grpcStatusNumber(grpcStatus)
  return code < 0 ? 18 : code + 1
}

/** The first eleven of REQUEST_LABELS. A gateway never takes the Host header for a service: clients choose it. */
export function destinationLabels({ upstream }: Exchange): string[] {
  const workload = identityOf(upstream.endpointLabels ?? {}, upstream.serviceNamespace)
  return [
    workload.workload,
    workload.namespace,
    workload.app,
    workload.version,
    workload.canonicalService,
    workload.canonicalRevision,
    workload.cluster,
    'unknown',
    upstream.serviceHost || 'unknown',
    upstream.serviceName || 'unknown',
    upstream.serviceNamespace || 'unknown',
  ]
}

/** The rest of REQUEST_LABELS. */
function responseLabels({ grpc, status, grpcStatus, flags }: Exchange): string[] {
  const place = grpcPlace(grpcStatus)
  const grpcLabel = place === 0 ? '' : place === 18 ? 'unknown' : String(place - 1)
  return [grpc ? 'grpc' : 'http', String(status), grpcLabel, flags || '-', 'unknown']
}
