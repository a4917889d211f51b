/**
 * New endpoints start at a part of their weight and grow into all of it, for round robin and least request.
 *
 * Source: semantics §3.3; envoy: load_balancer_impl.cc (`applySlowStartFactor`).
 */
import type { WarmupPlan } from '../../plan/cluster.ts'
import type { BalancedEndpoint, BalancerDeps, Picker } from './balanced-endpoint.ts'
import { weightedTurns } from './weighted-turns.ts'

/** Weights are worked out this many times in a warm-up, not at each pick: the steps are too small to matter. */
const STEPS = 100

/** No endpoint has less than this part of its weight, or its first turn would never come. */
const LEAST = 0.001

/** Monotonic ms at which the last of the endpoints has its whole weight. */
export function warmUntil(warmup: WarmupPlan, endpoints: readonly BalancedEndpoint[]): number {
  return endpoints.reduce((latest, { addedAt }) => Math.max(latest, addedAt), -Infinity) + warmup.durationMs
}

/** @returns The part of its weight that an endpoint has this long after it joined. */
export function warmthOf(warmup: WarmupPlan, ageMs: number): number {
  const { durationMs, minimumFraction, aggression } = warmup
  if (ageMs >= durationMs) return 1
  return Math.min(1, Math.max(LEAST, minimumFraction, (ageMs / durationMs) ** (1 / aggression)))
}

/**
 * @param load What a turn costs an endpoint (`weightedTurns`).
 * @param settled Makes the picker that takes over when all are warm.
 */
export function warming<E extends BalancedEndpoint>(
  warmup: WarmupPlan,
  endpoints: readonly E[],
  deps: BalancerDeps,
  load: (endpoint: E) => number,
  settled: () => Picker<E>,
): Picker<E> {
  const until = warmUntil(warmup, endpoints)
  const stepMs = warmup.durationMs / STEPS
  const weightsAt = (now: number) =>
    Float64Array.from(endpoints, ({ plan, addedAt }) => plan.weight * warmthOf(warmup, now - addedAt))
  const start = deps.now()
  const turns = weightedTurns(endpoints, weightsAt(start), deps.random, load)
  let nextStep = start + stepMs
  let warm: Picker<E> | null = null
  return (hash, attempt) => {
    if (warm !== null) return warm(hash, attempt)
    const now = deps.now()
    if (now >= until) {
      warm = settled()
      return warm(hash, attempt)
    }
    if (now >= nextStep) {
      turns.reweigh(weightsAt(now))
      nextStep = now + stepMs
    }
    return turns.pick(hash, attempt)
  }
}
