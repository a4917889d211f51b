/**
 * Which priorities get which share of the requests, and which of their endpoints (locality failover, panic).
 *
 * A priority can carry 1.4 times its healthy share: with 72 % of its endpoints healthy it still takes everything, below
 * that the rest spills over to the next. Only where all priorities together cannot carry the whole does a panic
 * threshold count: a priority with fewer healthy endpoints than that uses all it has.
 *
 * Source: semantics §3.3, §3.5; envoy: load_balancer_impl.cc (`recalculatePerPriorityState`,
 * `recalculatePerPriorityPanic`, `recalculateLoadInTotalPanic`). Envoy counts in whole percents, this does not.
 */
import type { OutlierDetectionPlan } from '../../plan/cluster.ts'
import type { BalancedEndpoint } from './balanced-endpoint.ts'

/** Envoy's default overprovisioning factor, 140 %. */
const OVERPROVISIONING = 1.4

/** Sums of fractions that differ by less than this are equal; Envoy's whole percents have no such question. */
const ROUNDING = 1e-9

/** One priority that gets requests. */
export interface UsableLevel<E> {
  /** 0 to 1; the shares of all levels add up to 1. */
  readonly share: number
  /** Never empty: a priority without healthy endpoints has no share, or panics. */
  readonly usable: readonly E[]
  /** Those of this priority that are left out. */
  readonly ejected: readonly E[]
}

interface Level<E> {
  readonly all: readonly E[]
  readonly healthy: readonly E[]
  readonly ejected: readonly E[]
  /** 0 to 1: what it can carry. */
  readonly health: number
}

/**
 * @param outlierDetection Null: nothing is ejected, whatever the endpoints say.
 * @returns The priorities with a share above zero, first to last; none where there is no usable endpoint.
 */
export function usableLevels<E extends BalancedEndpoint>(
  endpoints: readonly E[],
  outlierDetection: OutlierDetectionPlan | null,
): readonly UsableLevel<E>[] {
  const levels = byPriority(endpoints, (endpoint) => outlierDetection === null || !endpoint.ejected)
  const sum = levels.reduce((before, { health }) => before + health, 0)
  const total = sum > 1 - ROUNDING ? 1 : sum
  const threshold = outlierDetection?.minHealthFraction ?? 0
  const panics = levels.map(({ all, healthy }) => total < 1 && healthy.length < threshold * all.length)
  const shares = panics.every(Boolean) ? sharesBySize(levels) : sharesByHealth(levels, total)
  return levels.flatMap(({ all, healthy, ejected }, i) => {
    const share = shares[i]!
    if (share < ROUNDING) return []
    return [panics[i]! ? { share, usable: all, ejected: [] } : { share, usable: healthy, ejected }]
  })
}

function byPriority<E extends BalancedEndpoint>(endpoints: readonly E[], isHealthy: (endpoint: E) => boolean) {
  const groups = Map.groupBy(endpoints, (endpoint) => endpoint.plan.priority ?? 0)
  return [...groups]
    .sort(([a], [b]) => a - b)
    .map(([, all]): Level<E> => {
      const healthy = all.filter(isHealthy)
      const ejected = all.filter((endpoint) => !isHealthy(endpoint))
      return { all, healthy, ejected, health: Math.min(1, (OVERPROVISIONING * healthy.length) / all.length) }
    })
}

/** Each takes what it can carry, in order; where all together carry too little, in proportion to that. */
function sharesByHealth(levels: readonly Level<unknown>[], total: number): number[] {
  let left = 1
  return levels.map(({ health }) => {
    const share = health === 0 ? 0 : Math.min(left, health / total)
    left -= share
    return share
  })
}

function sharesBySize(levels: readonly Level<unknown>[]): number[] {
  const count = levels.reduce((sum, { all }) => sum + all.length, 0)
  return levels.map(({ all }) => all.length / count)
}
