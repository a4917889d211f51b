/** Fields of DestinationRules that are read, and have no effect in this version. */
import type { Problem } from '../../plan/problem.ts'
import type { DestinationRule, PortTrafficPolicy, TrafficPolicy } from '../../resources/destination-rule.ts'
import { listed, problem } from '../findings.ts'

/** One warning for a rule that names all such fields in it; empty where there are none. */
export function notEnforced(rule: DestinationRule): Problem[] {
  const { trafficPolicy, subsets = [] } = rule.spec
  const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)].filter(
    (policy) => policy !== undefined,
  )
  const fields = new Set(
    policies.flatMap((policy) => [...ofPolicy(policy), ...(policy.portLevelSettings ?? []).flatMap(ofBlocks)]),
  )
  if (fields.size === 0) return []
  const names = [...fields].sort()
  return [
    problem('warning', rule, '', {
      code: 'destination-rule/not-enforced',
      message: `${listed(names)} ${names.length === 1 ? 'has' : 'have'} no effect in this version`,
    }),
  ]
}

function ofPolicy(policy: TrafficPolicy): string[] {
  return [...ofBlocks(policy), ...present(policy, ['tunnel', 'proxyProtocol'])]
}

function ofBlocks({ loadBalancer = {} }: TrafficPolicy | PortTrafficPolicy): string[] {
  return [
    ...(loadBalancer.simple === 'PASSTHROUGH' ? ['loadBalancer.simple PASSTHROUGH'] : []),
    ...present(loadBalancer, ['zoneAwareLbSetting']).map((field) => `loadBalancer.${field}`),
  ]
}

function present<T extends object>(value: T, fields: readonly (keyof T & string)[]): string[] {
  return fields.filter((field) => value[field] !== undefined)
}
