/** What the primary and its workers tell each other. Sent by structured clone, so texts stay texts. */
import type { ChallengeAnswer } from '../certificates/acme/challenge-answer.ts'
import type { MeshCertificate } from '../certificates/mesh-identity.ts'
import type { TicketKeys } from '../certificates/ticket-keys.ts'
import type { EgressSettings } from '../egress/proxy.ts'
import type { ProxyProtocolSettings } from '../listeners/proxied-clients.ts'
import type { DownstreamLimits } from '../listeners/listener.ts'
import type { OverloadSettings } from '../listeners/overload.ts'
import type { RedisSettings } from '../limits/redis/settings.ts'
import type { LogLevel } from '../observability/logger.ts'
import type { MetricsSnapshot } from '../observability/metrics-snapshot.ts'
import type { PlanUpdate } from '../plan/parts.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { CachedKeySet } from '../tokens/key-set-cache.ts'
import type { ClusterStats } from '../upstreams/cluster-set.ts'
import type { PoliciesSettings } from './policies.ts'

/** Where a listener of the plan is bound on this machine. */
export interface Binding {
  readonly host: string
  readonly port: number
}

/** Settings of the data plane that do not change while it runs. */
export interface DataPlaneSettings {
  /** Which connections have to begin with a PROXY header; absent: none. */
  readonly proxyProtocol?: ProxyProtocolSettings | null
  readonly limits: DownstreamLimits
  readonly dnsRefreshMs: number
  /** Lower case, or null. */
  readonly generationHeader: string | null
  /** How long requests in flight may take once their listener is gone, or the gateway ends. */
  readonly drainMs: number
  /** To HTTP/2 requests for a host of another TLS server of the port: 421 (Misdirected Request), or Istio's 404. */
  readonly misdirectedStatus: 421 | 404
  readonly maxSeries: number
  /** Null: series are kept for ever. */
  readonly seriesIdleMs: number | null
  readonly logLevel: LogLevel
  readonly policies: PoliciesSettings
  readonly rateLimits: RateLimitSettings
  readonly overload: OverloadSettings
  /** The explicit forward proxy; null: there is none. */
  readonly egress: EgressDataPlaneSettings | null
  /** Whether there is any issuer: else nobody ever asks for a challenge. */
  readonly ordersCertificates: boolean
  /** Null: gateways share nothing. */
  readonly redis: RedisSettings | null
}

export interface RateLimitSettings {
  /** Bound on the buckets that one rule holds in one process. */
  readonly maxBuckets: number
}

export interface EgressDataPlaneSettings extends EgressSettings {
  /** `/dev/stdout`, `/dev/stderr` or a path; empty: no audit. */
  readonly auditLog: string
}

export interface ApplyMessage {
  readonly type: 'apply'
  readonly update: PlanUpdate
  readonly generation: number
  /** `NUMBER-HASH`, for headers and logs. */
  readonly generationText: string
  /** By name of the listener; one that is missing could not be bound and is not opened. */
  readonly bindings: Readonly<Record<string, Binding>>
}

/** Parts of the update whose {@link ApplyMessage} comes next: nothing is done with them until then. */
export interface PartsMessage {
  readonly type: 'parts'
  readonly set: PlanUpdate['set']
}

export type ToWorker =
  | { readonly type: 'start'; readonly settings: DataPlaneSettings }
  | PartsMessage
  | ApplyMessage
  /** The gateway's own certificate in its mesh; null: it has none at present. */
  | { readonly type: 'identity'; readonly certificate: MeshCertificate | null }
  | { readonly type: 'ticket-keys'; readonly keys: TicketKeys }
  /** All challenges that are to be answered from now on; it says `challenges-answered` when they are. */
  | { readonly type: 'challenges'; readonly id: number; readonly answers: readonly ChallengeAnswer[] }
  /** The keys of a token issuer; null: there are no newer ones. */
  | { readonly type: 'key-set'; readonly source: string; readonly keySet: CachedKeySet | null }
  | { readonly type: 'stats'; readonly id: number }
  | { readonly type: 'log-level'; readonly level: LogLevel }
  | { readonly type: 'reopen-logs' }
  /** Finish what is in flight, then end. */
  | { readonly type: 'drain' }

export interface ListenerState {
  readonly name: string
  /** The Gateway server's port. */
  readonly port: number
  readonly address: string
  /** Null: it listens. */
  readonly error: string | null
}

export interface WorkerStats {
  readonly metrics: MetricsSnapshot
  readonly clusters: readonly ClusterStats[]
  readonly activeRequests: number
}

export type FromWorker =
  | { readonly type: 'applied'; readonly generation: number; readonly listeners: readonly ListenerState[] }
  /** A token names a key that the worker does not know. */
  | { readonly type: 'want-keys'; readonly source: string }
  /** What was found out about the security policies that came with this generation. */
  | { readonly type: 'proofs'; readonly generation: number; readonly proofs: readonly PolicyProof[] }
  /** An update failed half-way: a fault of this program, not of the configuration. */
  | { readonly type: 'not-applied'; readonly generation: number; readonly reason: string }
  | { readonly type: 'stats'; readonly id: number; readonly stats: WorkerStats }
  | { readonly type: 'challenges-answered'; readonly id: number }
