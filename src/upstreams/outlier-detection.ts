/**
 * Which endpoints of a cluster are left out because they fail, and for how long. Only what requests meet is looked at:
 * errors in a row eject an endpoint at once, a sweep at every interval brings it back. Each ejection lasts longer than
 * the one before, and every interval of good behaviour takes one step of that back.
 *
 * How a cluster calls it:
 *
 *     cluster, new plan    plan.outlierDetection ? (detector ??= new …).setPlan(…) : (detector = null)
 *     cluster, endpoints   detector.setEndpoints(all of them, of every priority), then a balancer over those that are
 *                          not isEjected()
 *     onChange             the same balancer again; nothing else is needed
 *     sweep timer          detector.sweep(now), the oftener the more exact: it returns at once before an interval is over
 *     answer's head        detector.onResponse(endpoint, status, gRPC request ? its `grpc-status` header : null)
 *     try failed           detector.onLocalFailure(endpoint): no connection, reset (after the head too), request or
 *                          per-try timeout before the head. Not: overflow, a client that left, a request that timed out
 *                          while it still waited for a connection
 *
 * Source: envoy: source/common/upstream/outlier_detection_impl.cc, router.cc (`onUpstreamHeaders`, `onUpstreamReset`,
 * `onResponseTimeout`); semantics §3.5. Two differences, on purpose: with `splitLocalOrigin` Envoy takes any connection
 * as a success of the local origin, so that timeouts of an endpoint that accepts connections never add up, and it counts
 * any 5xx as a gateway error; here an answer is the success, and gateway errors are what their name says.
 */
import { grpcStatusNumber } from '../exchange/grpc-status.ts'
import type { OutlierDetectionPlan } from '../plan/cluster.ts'
import { type EjectionReason, noEjections, type UpstreamCounters } from './counters.ts'

export interface OutlierDetectorDeps {
  /** Monotonic ms. */
  readonly now: () => number
  /** The set of ejected endpoints changed. It is complete when this is called. */
  readonly onChange: () => void
  /** The worker's, beside the detector's own. */
  readonly counters?: UpstreamCounters
  readonly log?: (level: 'warn' | 'info', message: string, facts: Record<string, unknown>) => void
  /** Envoy's `always_eject_one_host`, which Istio leaves at false: see {@link mayEject}. */
  readonly alwaysEjectOneHost?: boolean
}

export interface OutlierStats {
  /** By endpoint key. `until`, in monotonic ms: the first sweep at or after it ends the ejection. */
  readonly ejected: readonly { readonly key: string; readonly until: number; readonly ejections: number }[]
  /** Since the detector exists, as the next two. */
  readonly totalEjections: number
  readonly enforced: Readonly<Record<EjectionReason, number>>
  /** Found to be outliers, and kept because of `maxEjectionFraction`. */
  readonly overflowed: Readonly<Record<EjectionReason, number>>
}

/** What is known of an endpoint. As many as there are endpoints. */
interface Monitor {
  readonly key: string
  consecutive5xx: number
  consecutiveGatewayErrors: number
  consecutiveLocalOriginFailures: number
  /** Null: in use. */
  ejectedAt: number | null
  ejections: number
  /** Multiplies the base ejection time; grows with ejections, shrinks with good behaviour. */
  backoff: number
}

/** What counts for a failure that has no status of its own (Envoy: `LocalOriginConnectFailed` → 503). */
const LOCAL_FAILURE_STATUS = 503

export class OutlierDetector<E extends { readonly key: string }> {
  #plan: OutlierDetectionPlan
  readonly #deps: OutlierDetectorDeps
  #monitors = new Map<string, Monitor>()
  /** Ejected, or with a multiplier above 0: all that a sweep has to look at. */
  readonly #watched = new Set<Monitor>()
  #ejectedCount = 0
  #nextSweepAt: number
  readonly #enforced = noEjections()
  readonly #overflowed = noEjections()

  constructor(plan: OutlierDetectionPlan, deps: OutlierDetectorDeps) {
    this.#plan = plan
    this.#deps = deps
    this.#nextSweepAt = deps.now() + plan.intervalMs
  }

  /** What is counted and who is out stays; an ejection that is under way ends as the new plan has it. */
  setPlan(plan: OutlierDetectionPlan): void {
    if (plan.intervalMs !== this.#plan.intervalMs) this.#nextSweepAt = this.#deps.now() + plan.intervalMs
    this.#plan = plan
  }

  /** Makes the endpoints those given; known ones, by key, keep their counts and ejections. Does not call `onChange`. */
  setEndpoints(endpoints: readonly E[]): void {
    const before = this.#monitors
    this.#monitors = new Map()
    for (const { key } of endpoints) this.#monitors.set(key, before.get(key) ?? newMonitor(key))
    for (const [key, monitor] of before) {
      if (this.#monitors.has(key)) continue
      this.#watched.delete(monitor)
      if (monitor.ejectedAt !== null) this.#ejectedCount--
    }
  }

  isEjected(endpoint: E): boolean {
    const ejectedAt = this.#monitors.get(endpoint.key)?.ejectedAt ?? null
    return ejectedAt !== null
  }

  /**
   * The head of an answer came.
   *
   * @param grpcStatus `grpc-status` of its headers where the request was gRPC; it counts in place of `status`.
   */
  onResponse(endpoint: E, status: number, grpcStatus: string | null): void {
    const monitor = this.#monitors.get(endpoint.key)
    if (monitor === undefined) return
    monitor.consecutiveLocalOriginFailures = 0
    const counted = grpcStatus === null ? status : grpcToHttpStatus(grpcStatus)
    const { errorStatuses } = this.#plan
    if (errorStatuses === undefined ? counted >= 500 && counted <= 599 : errorStatuses.includes(counted)) {
      this.#onError(monitor, counted)
    } else {
      monitor.consecutive5xx = 0
      monitor.consecutiveGatewayErrors = 0
    }
  }

  /** No answer came, for a reason that this side saw: no connection, a reset, a timeout. */
  onLocalFailure(endpoint: E): void {
    const monitor = this.#monitors.get(endpoint.key)
    if (monitor === undefined) return
    if (!this.#plan.splitLocalOrigin) {
      this.#onError(monitor, LOCAL_FAILURE_STATUS)
      return
    }
    monitor.consecutiveLocalOriginFailures++
    if (reached(monitor.consecutiveLocalOriginFailures, this.#plan.consecutiveLocalOriginFailures)) {
      if (this.#tryEject(monitor, 'consecutive_local_origin_failure')) monitor.consecutiveLocalOriginFailures = 0
    }
  }

  /**
   * Brings back who has been out for long enough, and takes a step off the multipliers of those that have behaved
   * since the last sweep. Does nothing before an interval is over.
   *
   * @param now Monotonic ms.
   */
  sweep(now: number): void {
    if (now < this.#nextSweepAt) return
    const { intervalMs } = this.#plan
    this.#nextSweepAt += intervalMs
    // Later than a whole interval: go on from here, not faster for a while.
    if (this.#nextSweepAt <= now) this.#nextSweepAt = now + intervalMs
    let changed = false
    for (const monitor of this.#watched) {
      if (monitor.ejectedAt === null) {
        monitor.backoff--
        if (monitor.backoff === 0) this.#watched.delete(monitor)
      } else if (now >= this.#until(monitor, monitor.ejectedAt)) {
        changed = true
        this.#return(monitor)
      }
    }
    if (changed) this.#deps.onChange()
  }

  stats(): OutlierStats {
    const ejected = [...this.#watched].flatMap((monitor) => {
      const { key, ejectedAt, ejections } = monitor
      return ejectedAt === null ? [] : [{ key, until: this.#until(monitor, ejectedAt), ejections }]
    })
    const totalEjections = Object.values(this.#enforced).reduce((sum, count) => sum + count, 0)
    return { ejected, totalEjections, enforced: { ...this.#enforced }, overflowed: { ...this.#overflowed } }
  }

  #onError(monitor: Monitor, status: number): void {
    const { consecutive5xx, consecutiveGatewayErrors } = this.#plan
    if (status >= 502 && status <= 504) {
      monitor.consecutiveGatewayErrors++
      if (reached(monitor.consecutiveGatewayErrors, consecutiveGatewayErrors)) {
        if (this.#tryEject(monitor, 'consecutive_gateway_failure')) monitor.consecutiveGatewayErrors = 0
      }
    } else {
      monitor.consecutiveGatewayErrors = 0
    }
    monitor.consecutive5xx++
    if (reached(monitor.consecutive5xx, consecutive5xx)) {
      if (this.#tryEject(monitor, 'consecutive_5xx')) monitor.consecutive5xx = 0
    }
  }

  /** @returns False where the endpoint was out already, and its count stands until it is back. */
  #tryEject(monitor: Monitor, reason: EjectionReason): boolean {
    if (monitor.ejectedAt !== null) return false
    const { counters, log, now, onChange, alwaysEjectOneHost = false } = this.#deps
    const { baseEjectionMs, maxEjectionMs, maxEjectionFraction } = this.#plan
    if (!mayEject(this.#ejectedCount, this.#monitors.size, maxEjectionFraction, alwaysEjectOneHost)) {
      this.#overflowed[reason]++
      if (counters !== undefined) counters.ejectionsOverflow[reason]++
      return true
    }
    this.#enforced[reason]++
    if (counters !== undefined) counters.ejections[reason]++
    this.#ejectedCount++
    this.#watched.add(monitor)
    monitor.ejectedAt = now()
    monitor.ejections++
    // One step beyond the longest time, as Envoy has it: who comes back from that must behave a little longer.
    if (monitor.backoff * baseEjectionMs < maxEjectionMs + baseEjectionMs) monitor.backoff++
    const forMs = this.#until(monitor, monitor.ejectedAt) - monitor.ejectedAt
    log?.('warn', 'endpoint ejected', { endpoint: monitor.key, reason, forMs, ejections: monitor.ejections })
    onChange()
    return true
  }

  #return(monitor: Monitor): void {
    this.#ejectedCount--
    monitor.ejectedAt = null
    // A count that did not reach its limit would otherwise eject again at the first error.
    monitor.consecutive5xx = 0
    monitor.consecutiveGatewayErrors = 0
    monitor.consecutiveLocalOriginFailures = 0
    this.#deps.log?.('info', 'endpoint back in use', { endpoint: monitor.key, ejections: monitor.ejections })
  }

  #until({ backoff }: Monitor, ejectedAt: number): number {
    return ejectedAt + Math.min(this.#plan.baseEjectionMs * backoff, this.#plan.maxEjectionMs)
  }
}

/**
 * Whether one more endpoint may be ejected: the share of those out, this one included, must not be above the maximum.
 * So 10 % of fewer than ten endpoints is none at all, and 100 % is all of them, the only one too.
 *
 * Source: envoy: `DetectorImpl::ejectHost`. Releases before 1.31 had what `alwaysEjectOneHost` now switches on: the
 * first one goes whatever its share.
 *
 * @param ejected How many are out.
 * @param total How many there are, those that are out included.
 * @param maxFraction A percentage divided by 100, so that n of m endpoints compare exactly.
 */
export function mayEject(ejected: number, total: number, maxFraction: number, alwaysEjectOneHost = false): boolean {
  return (alwaysEjectOneHost && ejected === 0) || (ejected + 1) / total <= maxFraction
}

/**
 * The HTTP status that a gRPC status counts as. What gRPC does not define counts as 500.
 *
 * Source: envoy: source/common/grpc/status.cc (`grpcToHttpStatus`).
 */
export function grpcToHttpStatus(grpcStatus: string): number {
  return HTTP_STATUS_OF_GRPC[grpcStatusNumber(grpcStatus)] ?? 500
}

/** By gRPC status, 0 (OK) to 16 (UNAUTHENTICATED). */
const HTTP_STATUS_OF_GRPC: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
]

/** @param limit 0: never. */
function reached(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
}

function newMonitor(key: string): Monitor {
  return {
    key,
    consecutive5xx: 0,
    consecutiveGatewayErrors: 0,
    consecutiveLocalOriginFailures: 0,
    ejectedAt: null,
    ejections: 0,
    backoff: 0,
  }
}
