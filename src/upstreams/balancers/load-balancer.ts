/**
 * How a cluster picks an endpoint. A balancer is made of the endpoints and their health as they are; when those
 * change the cluster makes another, and nothing in it must outlive that. Only `active` is read at each pick.
 *
 * Source: semantics §3.3; envoy: source/extensions/load_balancing_policies/common/load_balancer_impl.cc.
 */
import type { ClusterPlan } from '../../plan/cluster.ts'
import type { BalancedEndpoint, BalancerDeps, LoadBalancer, Picker } from './balanced-endpoint.ts'
import { consistentHash } from './consistent-hash.ts'
import { usableLevels, type UsableLevel } from './levels.ts'
import { mix32 } from './murmur3.ts'
import { leastOfTwo, loadOf, uniform, byWeight, inTurn, oneEach } from './policies.ts'
import { warming, warmUntil } from './warmup.ts'
import { weightedTurns } from './weighted-turns.ts'

/**
 * @param endpoints In the cluster's order; keys differ.
 * @returns A balancer whose `pick` is null where no endpoint may be used: there is none, or all are ejected and the
 *   cluster has no panic threshold.
 */
export function createLoadBalancer<E extends BalancedEndpoint>(
  plan: ClusterPlan,
  endpoints: readonly E[],
  deps: BalancerDeps,
): LoadBalancer<E> {
  const levels = usableLevels(endpoints, plan.outlierDetection ?? null)
  const pickers = levels.map((level) => createPicker(plan, level, deps))
  const first = pickers[0]
  if (first === undefined) return { pick: () => null }
  if (pickers.length === 1) return { pick: (hash, attempt = 0) => first(hash, attempt) }
  const shares = levels.map(({ share }) => share)
  return {
    pick(hash, attempt = 0) {
      // The hash is mixed anew, or a priority's keys would all be neighbours on its ring.
      const at = hash === null ? deps.random() : mix32(~hash) / 2 ** 32
      return pickers[levelAt(shares, at)]!(hash, attempt)
    },
  }
}

/** @param at In [0, 1). */
function levelAt(shares: readonly number[], at: number): number {
  let bound = 0
  for (let i = 0; i < shares.length - 1; i++) if (at < (bound += shares[i]!)) return i
  return shares.length - 1
}

function createPicker<E extends BalancedEndpoint>(
  plan: ClusterPlan,
  level: UsableLevel<E>,
  deps: BalancerDeps,
): Picker<E> {
  const { usable } = level
  if (usable.length === 1) {
    const only = usable[0]!
    return () => only
  }
  if (plan.consistentHash !== undefined) return consistentHash(plan.consistentHash.algorithm, level, deps)
  const { random } = deps
  const weights = Float64Array.from(usable, (endpoint) => endpoint.plan.weight)
  const equal = weights.every((weight) => weight === weights[0])
  switch (plan.loadBalancer) {
    case 'random':
      return equal ? uniform(usable, random) : byWeight(usable, weights, random)
    case 'round-robin': {
      const settled = () => (equal ? inTurn(usable, random) : weightedTurns(usable, weights, random, oneEach).pick)
      return whileWarming(plan, usable, deps, oneEach, settled)
    }
    case 'least-request': {
      const settled = () => (equal ? leastOfTwo(usable, random) : weightedTurns(usable, weights, random, loadOf).pick)
      return whileWarming(plan, usable, deps, loadOf, settled)
    }
    default:
      return plan.loadBalancer satisfies never
  }
}

function whileWarming<E extends BalancedEndpoint>(
  plan: ClusterPlan,
  usable: readonly E[],
  deps: BalancerDeps,
  load: (endpoint: E) => number,
  settled: () => Picker<E>,
): Picker<E> {
  const { warmup } = plan
  if (warmup === undefined || warmUntil(warmup, usable) <= deps.now()) return settled()
  return warming(warmup, usable, deps, load, settled)
}
