/**
 * How a cluster picks one of its endpoints. A balancer is made anew when the endpoints change; it keeps nothing that
 * must outlive that.
 *
 * Source: Envoy `load_balancing_policies/{least_request,round_robin,random}`.
 */
import type { LoadBalancerPlan } from '../plan/cluster.ts'
import type { Endpoint } from './endpoint.ts'

/** @returns An endpoint, or null where there is none. */
export type Balancer = () => Endpoint | null

/** @param random Uniform in [0, 1). */
export function createBalancer(
  policy: LoadBalancerPlan,
  endpoints: readonly Endpoint[],
  random: () => number,
): Balancer {
  if (endpoints.length === 0) return () => null
  if (endpoints.length === 1) {
    const only = endpoints[0]!
    return () => only
  }
  const equal = endpoints.every((endpoint) => endpoint.plan.weight === endpoints[0]!.plan.weight)
  switch (policy) {
    case 'round-robin':
      return equal ? inTurn(endpoints, random) : smoothWeighted(endpoints, (endpoint) => endpoint.plan.weight)
    case 'random':
      return equal ? uniform(endpoints, random) : byWeight(endpoints, random)
    case 'least-request':
      // With unequal weights Envoy turns to weighted round robin in which load counts against an endpoint.
      return equal
        ? leastOfTwo(endpoints, random)
        : smoothWeighted(endpoints, (endpoint) => endpoint.plan.weight / (endpoint.active + 1))
    default:
      return policy satisfies never
  }
}

function uniform(endpoints: readonly Endpoint[], random: () => number): Balancer {
  return () => endpoints[Math.floor(random() * endpoints.length)]!
}

function byWeight(endpoints: readonly Endpoint[], random: () => number): Balancer {
  const bounds: number[] = []
  let total = 0
  for (const endpoint of endpoints) bounds.push((total += endpoint.plan.weight))
  return () => {
    const at = random() * total
    return endpoints[bounds.findIndex((bound) => at < bound)] ?? endpoints.at(-1)!
  }
}

/** Starts anywhere, so that workers which all start at the same time do not all begin with the same endpoint. */
function inTurn(endpoints: readonly Endpoint[], random: () => number): Balancer {
  let next = Math.floor(random() * endpoints.length)
  return () => {
    const endpoint = endpoints[next]!
    next = next + 1 === endpoints.length ? 0 : next + 1
    return endpoint
  }
}

/** Two at random (possibly the same one), of which the one with fewer requests in flight. */
function leastOfTwo(endpoints: readonly Endpoint[], random: () => number): Balancer {
  const pick = uniform(endpoints, random)
  return () => {
    const first = pick()!
    const second = pick()!
    return second.active < first.active ? second : first
  }
}

/** Smooth weighted round robin: every endpoint earns its weight each turn, the richest is taken and pays the total. */
function smoothWeighted(endpoints: readonly Endpoint[], weightOf: (endpoint: Endpoint) => number): Balancer {
  const credit = new Array<number>(endpoints.length).fill(0)
  return () => {
    let total = 0
    let best = 0
    for (let i = 0; i < endpoints.length; i++) {
      const weight = weightOf(endpoints[i]!)
      total += weight
      credit[i]! += weight
      if (credit[i]! > credit[best]!) best = i
    }
    credit[best]! -= total
    return endpoints[best]!
  }
}
