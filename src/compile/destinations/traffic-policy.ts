/**
 * The traffic policy of one cluster: a rule's, its port's and its subset's laid over each other block by block, never
 * mixed inside a block.
 *
 * Source: istio: pilot/pkg/networking/util/util.go (`MergeTrafficPolicy`, `ShadowSubsetTrafficPolicy`),
 * pilot/pkg/networking/core/cluster_traffic_policy.go.
 */
import type { PortTrafficPolicy, TrafficPolicy } from '../../resources/destination-rule.ts'
import type { MergedRule, Piece } from './destination-rules.ts'

type PortBlock = 'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'
type Block = PortBlock | 'retryBudget'

const PORT_BLOCKS: readonly PortBlock[] = ['connectionPool', 'loadBalancer', 'outlierDetection', 'tls']

/** The blocks that hold for a cluster, each with its place. */
export type EffectivePolicy = { readonly [B in Block]: Piece<NonNullable<TrafficPolicy[B]>> | undefined }

const NOTHING: EffectivePolicy = {
  connectionPool: undefined,
  loadBalancer: undefined,
  outlierDetection: undefined,
  tls: undefined,
  retryBudget: undefined,
}

/** @param subset Name of a subset of the rule, or empty. */
export function effectivePolicy(rule: MergedRule | undefined, port: number, subset: string): EffectivePolicy {
  if (rule === undefined) return NOTHING
  const top = rule.trafficPolicy === undefined ? NOTHING : layer(NOTHING, rule.trafficPolicy, port)
  const owner = rule.subsets.get(subset)
  if (owner?.value.trafficPolicy === undefined) return top
  return layer(top, { ...owner, value: owner.value.trafficPolicy, pointer: `${owner.pointer}/trafficPolicy` }, port)
}

/**
 * A policy over what is below it. An entry for the port replaces the four blocks that it can have, those too that it
 * leaves out; the others are the policy's own in any case.
 */
function layer(below: EffectivePolicy, policy: Piece<TrafficPolicy>, port: number): EffectivePolicy {
  const { value, rule, pointer } = policy
  const index = (value.portLevelSettings ?? []).findIndex((entry) => entry.port?.number === port)
  const entry = value.portLevelSettings?.[index]
  const source: TrafficPolicy | PortTrafficPolicy = entry ?? value
  const place = entry === undefined ? pointer : `${pointer}/portLevelSettings/${index}`
  const blocks = PORT_BLOCKS.map((block) => {
    const own = source[block]
    if (own !== undefined) return [block, { value: own, rule, pointer: `${place}/${block}` }]
    return [block, entry === undefined ? below[block] : undefined]
  })
  const retryBudget = value.retryBudget && { value: value.retryBudget, rule, pointer: `${pointer}/retryBudget` }
  return { ...Object.fromEntries(blocks), retryBudget: retryBudget ?? below.retryBudget } as EffectivePolicy
}
