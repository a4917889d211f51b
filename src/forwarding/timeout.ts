/** Deadlines of a route. */

const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * The deadline of a gRPC request: the client's `grpc-timeout`, at most the route's own.
 *
 * @param header Value of `grpc-timeout` (gRPC over HTTP/2, "Requests"); absent or malformed: the route's timeout.
 * @returns Milliseconds, or null for none.
 */
export function grpcTimeoutMs(header: string | undefined, routeTimeoutMs: number | null): number | null {
  const match = header === undefined ? null : GRPC_TIMEOUT.exec(header)
  if (match === null) return routeTimeoutMs
  const asked = Math.ceil(Number(match[1]) * UNIT_MS[match[2]!]!)
  if (asked === 0) return routeTimeoutMs
  return routeTimeoutMs === null ? asked : Math.min(asked, routeTimeoutMs)
}

/** Node turns longer timers into ones of 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1
