/**
 * Weighted round robin, and with it least request of unequal weights: an endpoint's next turn is `load / weight` after
 * the one it has, so a load of 1 makes shares follow the weights, and a load of the requests in flight makes a busy
 * endpoint wait longer. As in Envoy the load counts when the endpoint is taken, not again while it waits.
 *
 * Source: semantics §3.3; envoy: load_balancer_impl.cc (`EdfLoadBalancerBase`), least_request_lb.cc (`hostWeight`).
 */
import type { Picker } from './balanced-endpoint.ts'
import { EarliestDeadlineFirst } from './earliest-deadline.ts'

export interface WeightedTurns<E> {
  readonly pick: Picker<E>
  /** From now on these weights count, for the turns that are waited for too. */
  reweigh(weights: Float64Array): void
}

/**
 * @param initial Above 0, one an endpoint.
 * @param load Above 0.
 */
export function weightedTurns<E>(
  endpoints: readonly E[],
  initial: Float64Array,
  random: () => number,
  load: (endpoint: E) => number,
): WeightedTurns<E> {
  let weights = initial
  // Each starts somewhere in its first interval: neither all workers nor all heavy endpoints are first.
  const schedule = new EarliestDeadlineFirst(initial.map((weight) => random() / weight))
  return {
    pick() {
      const { next } = schedule
      const endpoint = endpoints[next]!
      schedule.postpone(load(endpoint) / weights[next]!)
      return endpoint
    },
    reweigh(changed) {
      const before = weights
      schedule.stretch((member) => before[member]! / changed[member]!)
      weights = changed
    },
  }
}
