/**
 * What all clusters of a worker count together. A cluster that leaves the plan takes its own figures with it; these
 * stay, so that what is made of them never goes backwards. Plain numbers, read when somebody asks.
 */

/** Why an endpoint was found to be an outlier; Envoy's names (`data.cluster.v3.OutlierEjectionType`). */
export type EjectionReason = 'consecutive_5xx' | 'consecutive_gateway_failure' | 'consecutive_local_origin_failure'

/**
 * Which limit was met. `connections`: a request had to wait, or was let through as its endpoint's only connection.
 * The others: it was refused.
 */
export type OverflowKind = 'connections' | 'pending' | 'requests' | 'retries'

export interface UpstreamCounters {
  readonly ejections: Record<EjectionReason, number>
  /** Endpoints that stayed only because too many others were out already; Envoy's `ejections_overflow`. */
  readonly ejectionsOverflow: Record<EjectionReason, number>
  readonly overflow: Record<OverflowKind, number>
}

export function createUpstreamCounters(): UpstreamCounters {
  return { ejections: noEjections(), ejectionsOverflow: noEjections(), overflow: noOverflow() }
}

export function noEjections(): Record<EjectionReason, number> {
  return { consecutive_5xx: 0, consecutive_gateway_failure: 0, consecutive_local_origin_failure: 0 }
}

export function noOverflow(): Record<OverflowKind, number> {
  return { connections: 0, pending: 0, requests: 0, retries: 0 }
}
