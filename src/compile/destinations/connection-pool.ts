/**
 * `connectionPool` and `retryBudget` of a traffic policy: how connections to a cluster are opened, kept and limited.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_traffic_policy.go (`applyConnectionPool`, `applyTCPKeepalive`,
 * `applyRetryBudget`).
 */
import { durationMs } from '../../lib/duration.ts'
import type { CircuitBreakersPlan, ClusterPlan } from '../../plan/cluster.ts'
import type { ConnectionPoolSettings, TrafficPolicy } from '../../resources/destination-rule.ts'
import type { MeshOptions } from '../options.ts'

export type RetryBudget = NonNullable<TrafficPolicy['retryBudget']>
export type TcpKeepalive = NonNullable<NonNullable<ConnectionPoolSettings['tcp']>['tcpKeepalive']>

export type Pool = Pick<
  ClusterPlan,
  | 'connectTimeoutMs'
  | 'idleTimeoutMs'
  | 'tcpIdleTimeoutMs'
  | 'maxRequestsPerConnection'
  | 'maxConnectionDurationMs'
  | 'maxConcurrentStreams'
  | 'http2Keepalive'
  | 'tcpKeepaliveMs'
  | 'tcpKeepaliveIntervalMs'
  | 'tcpKeepaliveProbes'
  | 'circuitBreakers'
>

/** What Linux has in `net.ipv4.tcp_keepalive_*`, which holds for what a `tcpKeepalive` block leaves out. */
const KEEPALIVE_TIME_MS = 7_200_000
const KEEPALIVE_INTERVAL_MS = 75_000
const KEEPALIVE_PROBES = 9

const DEFAULT_BUDGET_PERCENT = 20
const DEFAULT_BUDGET_CONCURRENCY = 3

/** @param meshKeepalive The mesh's `tcpKeepalive`, whose fields a pool's own take the place of one by one. */
export function compileConnectionPool(
  pool: ConnectionPoolSettings | undefined,
  retryBudget: RetryBudget | undefined,
  mesh: Pick<MeshOptions, 'connectTimeoutMs' | 'httpIdleTimeoutMs'>,
  meshKeepalive: TcpKeepalive | undefined,
): Pool {
  const { tcp, http } = pool ?? {}
  const lifetimeMs = milliseconds(tcp?.maxConnectionDuration)
  const circuitBreakers = compileCircuitBreakers(pool, retryBudget)
  const idleMs = idleTimeout(pool?.http?.idleTimeout ?? tcp?.idleTimeout, mesh.httpIdleTimeoutMs)
  const tcpIdleMs = idleTimeout(tcp?.idleTimeout, mesh.httpIdleTimeoutMs)
  return {
    connectTimeoutMs: milliseconds(tcp?.connectTimeout) || mesh.connectTimeoutMs,
    idleTimeoutMs: idleMs,
    ...(tcpIdleMs === idleMs ? {} : { tcpIdleTimeoutMs: tcpIdleMs }),
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? 0,
    ...(lifetimeMs === 0 ? {} : { maxConnectionDurationMs: lifetimeMs }),
    ...compileHttp2(http),
    ...compileKeepalive(tcp?.tcpKeepalive, meshKeepalive),
    ...(circuitBreakers === undefined ? {} : { circuitBreakers }),
  }
}

/** What the rule says, else the mesh's; 0 switches it off. */
function idleTimeout(text: string | undefined, fallbackMs: number): number | null {
  const timeout = text === undefined ? fallbackMs : durationMs(text)
  return timeout > 0 ? timeout : null
}

/** A limit of 0 is none, and a keepalive needs both of its times. */
function compileHttp2(http: ConnectionPoolSettings['http']): Pick<Pool, 'maxConcurrentStreams' | 'http2Keepalive'> {
  const { maxConcurrentStreams = 0, http2KeepAlive } = http ?? {}
  const intervalMs = milliseconds(http2KeepAlive?.interval)
  const timeoutMs = milliseconds(http2KeepAlive?.timeout)
  return {
    ...(maxConcurrentStreams === 0 ? {} : { maxConcurrentStreams }),
    ...(intervalMs === 0 || timeoutMs === 0 ? {} : { http2Keepalive: { intervalMs, timeoutMs } }),
  }
}

function compileKeepalive(
  own: TcpKeepalive | undefined,
  mesh: TcpKeepalive | undefined,
): Pick<Pool, 'tcpKeepaliveMs' | 'tcpKeepaliveIntervalMs' | 'tcpKeepaliveProbes'> {
  if (own === undefined && mesh === undefined) return {}
  return {
    tcpKeepaliveMs: milliseconds(own?.time ?? mesh?.time) || KEEPALIVE_TIME_MS,
    tcpKeepaliveIntervalMs: milliseconds(own?.interval ?? mesh?.interval) || KEEPALIVE_INTERVAL_MS,
    tcpKeepaliveProbes: (own?.probes ?? mesh?.probes) || KEEPALIVE_PROBES,
  }
}

/** 0 is the default in all of these, so it means no limit. Undefined: there is none at all. */
function compileCircuitBreakers(
  pool: ConnectionPoolSettings | undefined,
  budget: RetryBudget | undefined,
): CircuitBreakersPlan | undefined {
  const limits = Object.entries({
    maxConnections: pool?.tcp?.maxConnections,
    maxPendingRequests: pool?.http?.http1MaxPendingRequests,
    maxRequests: pool?.http?.http2MaxRequests,
    maxRetries: budget === undefined ? pool?.http?.maxRetries : undefined,
  } satisfies Record<keyof Omit<CircuitBreakersPlan, 'retryBudget'>, number | undefined>).filter(([, limit]) => limit)
  if (budget === undefined) return limits.length === 0 ? undefined : Object.fromEntries(limits)
  const { percent = DEFAULT_BUDGET_PERCENT, minRetryConcurrency = DEFAULT_BUDGET_CONCURRENCY } = budget
  return {
    ...Object.fromEntries(limits),
    retryBudget: { fraction: percent / 100, minConcurrency: minRetryConcurrency },
  }
}

function milliseconds(text: string | undefined): number {
  return text === undefined ? 0 : durationMs(text)
}
