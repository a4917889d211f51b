/**
 * Policies that need no table and no schedule. Each is made for at least one endpoint.
 *
 * Source: envoy: source/extensions/load_balancing_policies/{least_request,round_robin,random}.
 */
import type { BalancedEndpoint, Picker } from './balanced-endpoint.ts'

/** Round robin: a turn costs the same whatever an endpoint is doing. */
export function oneEach(): number {
  return 1
}

/** Least request: a turn costs the requests that the endpoint has then. */
export function loadOf(endpoint: BalancedEndpoint): number {
  return endpoint.active + 1
}

export function uniform<E>(endpoints: readonly E[], random: () => number): Picker<E> {
  return () => endpoints[Math.floor(random() * endpoints.length)]!
}

/**
 * A binary search in the running sums: 10 steps in one small array for 1,000 endpoints cost less than the two reads of
 * an alias table would save.
 */
export function byWeight<E>(endpoints: readonly E[], weights: Float64Array, random: () => number): Picker<E> {
  let total = 0
  const bounds = weights.map((weight) => (total += weight))
  return () => {
    const at = random() * total
    let low = 0
    let high = bounds.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (at < bounds[middle]!) high = middle
      else low = middle + 1
    }
    return endpoints[low]!
  }
}

/** Starts anywhere, so that workers which all start at the same time do not all begin with the same endpoint. */
export function inTurn<E>(endpoints: readonly E[], random: () => number): Picker<E> {
  let next = Math.floor(random() * endpoints.length)
  return () => {
    const endpoint = endpoints[next]!
    next = next + 1 === endpoints.length ? 0 : next + 1
    return endpoint
  }
}

/** Two at random (possibly the same one), of which the one with fewer requests in flight. */
export function leastOfTwo<E extends BalancedEndpoint>(endpoints: readonly E[], random: () => number): Picker<E> {
  const { length } = endpoints
  return () => {
    const first = endpoints[Math.floor(random() * length)]!
    const second = endpoints[Math.floor(random() * length)]!
    return second.active < first.active ? second : first
  }
}
