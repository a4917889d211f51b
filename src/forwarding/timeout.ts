/**
 * Deadlines of a route, and how upstreams are told of them.
 *
 * Source: Envoy `router.cc` (`FilterUtility::finalTimeout`, `setTimeoutHeaders`) and `grpc/common.cc`
 * (`toGrpcTimeout`); Istio sets `max_grpc_timeout` to the route's timeout.
 */
import type { Exchange } from '../exchange/exchange.ts'
import { headerValue, setHeader } from '../exchange/headers.ts'

const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }
/** The finest unit in which a deadline has at most eight digits is taken. */
const GRPC_UNITS = [
  ['m', 1],
  ['S', 1000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const
const MAX_GRPC_TIMEOUT = 99_999_999

/** Node turns longer timers into ones of 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1

export interface Deadline {
  /** From the end of the request to the end of the response, over all tries; null: none. */
  readonly totalMs: number | null
  /** For one try; null: the total alone governs. */
  readonly perTryMs: number | null
  /** Writes into the request's headers how long this try may take. @param elapsedMs Of the total. */
  tell(exchange: Exchange, elapsedMs: number): void
}

const NONE: Deadline = { totalMs: null, perTryMs: null, tell: () => {} }

/** The deadlines of one request: the route's, and for gRPC also the client's. */
export function compileDeadline(
  exchange: Exchange,
  routeTimeoutMs: number | null,
  routePerTryMs: number | null,
): Deadline {
  const totalMs = exchange.grpc
    ? grpcTimeoutMs(headerValue(exchange.headers, 'grpc-timeout'), routeTimeoutMs)
    : routeTimeoutMs
  const perTryMs = routePerTryMs !== null && totalMs !== null && routePerTryMs >= totalMs ? null : routePerTryMs
  const expectedMs = perTryMs ?? totalMs
  if (expectedMs === null) return NONE
  return {
    totalMs,
    perTryMs,
    tell({ headers, grpc, epoch }, elapsedMs) {
      const left = totalMs === null ? expectedMs : Math.min(expectedMs, totalMs - elapsedMs)
      // 0 would mean that there is no deadline.
      const ms = Math.max(1, Math.round(left))
      if (epoch.mesh.envoyDebugHeaders) setHeader(headers, 'x-envoy-expected-rq-timeout-ms', String(ms))
      if (grpc) setHeader(headers, 'grpc-timeout', toGrpcTimeout(ms))
    },
  }
}

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

/** As `grpc-timeout`, whose values have at most eight digits. */
function toGrpcTimeout(ms: number): string {
  const [unit, size] = GRPC_UNITS.find(([, unitMs]) => ms / unitMs <= MAX_GRPC_TIMEOUT) ?? GRPC_UNITS[3]
  return `${Math.min(MAX_GRPC_TIMEOUT, Math.floor(ms / size))}${unit}`
}
