/** What processes tell each other about what they counted: plain data, small enough to send every few seconds. */

/** One label set of the request metrics. */
export interface SeriesSnapshot {
  /** Values of `REQUEST_LABELS`, in that order. */
  readonly labels: readonly string[]
  /** When its counting began: the same labels with another time are another series, counted from zero. */
  readonly createdMs: number
  readonly lastSeenMs: number
  /** As `LAYOUT` in request-metrics.ts has it. */
  readonly values: readonly number[]
}

export interface RequestSnapshot {
  /** When the process began to count: another time is another process. */
  readonly startedMs: number
  readonly series: readonly SeriesSnapshot[]
  /** Requests that were counted in the overflow series. */
  readonly overflowed: number
}

/** A process' own figures; times in seconds, memory in bytes. */
export interface ProcessFacts {
  readonly residentMemoryBytes: number
  readonly heapUsedBytes: number
  readonly cpuSeconds: number
  /** Delay of the event loop since the last reading. */
  readonly eventLoopDelay: { readonly mean: number; readonly p99: number; readonly max: number }
}

/** What a process met at its upstreams. All but `ejected` count since the process began. */
export interface UpstreamSnapshot {
  /** Endpoints that were ejected, by reason. */
  readonly ejections: Readonly<Record<string, number>>
  /** Endpoints that were found to be outliers, and stayed because too many were out already; by reason. */
  readonly ejectionsOverflow: Readonly<Record<string, number>>
  /** Times that a limit was met, by kind. */
  readonly overflow: Readonly<Record<string, number>>
  /** Endpoints that are ejected now, for clusters that have some. */
  readonly ejected: readonly (readonly [cluster: string, endpoints: number])[]
}

/** How often a rule of a RateLimitPolicy decided what. */
export interface RuleOutcomes {
  /** `NAMESPACE/NAME` */
  readonly policy: string
  readonly rule: string
  readonly outcomes: Readonly<Record<string, number>>
}

/** Upper bounds of the buckets for the time that the store takes, in seconds. */
export const STORE_BUCKETS: readonly number[] = [
  0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1,
]

/** The store that gateways share, as one process sees it. All but `up` count since the process began. */
export interface StoreSnapshot {
  readonly up: boolean
  /** Sum of all durations. */
  readonly seconds: number
  /** As `STORE_BUCKETS`, and one more for what took longer. */
  readonly durations: readonly number[]
  /** By reason. */
  readonly errors: Readonly<Record<string, number>>
}

export interface RateLimitSnapshot {
  readonly rules: readonly RuleOutcomes[]
  /** Null: there is none. */
  readonly store: StoreSnapshot | null
}

/** What the forward proxy of a process did. */
export interface EgressSnapshot {
  /** Open now. */
  readonly tunnels: number
  /** Destinations that names are resolved and connections kept for, now. */
  readonly destinations: number
  /** Refused since the process began, by reason. */
  readonly denied: Readonly<Record<string, number>>
}

/** One label set of connections that were passed on. */
export interface TcpSeries {
  /** Values of `TCP_LABELS`, in that order. */
  readonly labels: readonly string[]
  /** As `TCP_LAYOUT` has it; since the process began. */
  readonly values: readonly number[]
}

/** Everything that one worker tells. */
export interface MetricsSnapshot extends RequestSnapshot {
  /** Lines of the access log that were lost since the log was opened. */
  readonly accessLogDropped: number
  readonly downstreamConnections: number
  readonly upstreamConnections: number
  readonly process: ProcessFacts | null
  /** Absent: it counts nothing of the kind. */
  readonly upstream?: UpstreamSnapshot
  readonly rateLimits?: RateLimitSnapshot
  /** What policies on trial would have done, by `ACTION RESULT` (`deny denied`). */
  readonly dryRun?: Readonly<Record<string, number>>
  /** Requests that were refused because the gateway had too much to do, by reason. */
  readonly shed?: Readonly<Record<string, number>>
  /** Absent: it has no forward proxy. */
  readonly egress?: EgressSnapshot
  readonly tcp?: readonly TcpSeries[]
  /** HTTP/2 connections of clients that were closed for what they did, by reason. */
  readonly http2?: Readonly<Record<string, number>>
}

/** A worker's snapshot from its request metrics and what else it knows. */
export function snapshotOf(
  requests: RequestSnapshot,
  more: Partial<Omit<MetricsSnapshot, keyof RequestSnapshot>> = {},
): MetricsSnapshot {
  return {
    accessLogDropped: 0,
    downstreamConnections: 0,
    upstreamConnections: 0,
    process: null,
    ...more,
    ...requests,
  }
}
