/** RateLimitPolicies that are for nothing: a name that nobody has limits no request, and nobody would notice. */
import type { Problem } from '../plan/problem.ts'
import type { RateLimitPolicy } from '../resources/rate-limit-policy.ts'
import type { Snapshot } from '../resources/snapshot.ts'
import { nameOf, problem } from './findings.ts'
import type { CompileOptions } from './options.ts'

/** One warning for each reference, or policy, that no object answers to. */
export function findMissingTargets(
  policies: Snapshot['rateLimitPolicies'],
  virtualServices: Snapshot['virtualServices'],
  gateways: Snapshot['gateways'],
  { mesh }: CompileOptions,
): Problem[] {
  if (policies.length === 0) return []
  const routes = new Map(
    virtualServices.map((one) => [nameOf(one), (one.spec.http ?? []).map((http) => http.name ?? '')]),
  )
  const servers = new Map(gateways.map((one) => [nameOf(one), (one.spec.servers ?? []).map(({ port }) => port.name)]))
  const namespaces = new Set(virtualServices.map(({ metadata }) => metadata.namespace))
  return policies.flatMap((policy) => {
    const { namespace } = policy.metadata
    const { targetRefs = [] } = policy.spec
    if (targetRefs.length === 0) {
      if (namespace === mesh.rootNamespace || namespaces.has(namespace)) return []
      return missing(policy, '/spec', `there is no VirtualService in namespace ${namespace}`)
    }
    return targetRefs.flatMap(({ kind, name, sectionName }, index) => {
      const at = `/spec/targetRefs/${index}`
      const sections = (kind === 'VirtualService' ? routes : servers).get(`${namespace}/${name}`)
      if (sections === undefined) return missing(policy, `${at}/name`, `there is no ${kind} ${namespace}/${name}`)
      if (!sectionName || sections.includes(sectionName)) return []
      const what = kind === 'VirtualService' ? 'http route' : 'server whose port is'
      return missing(policy, `${at}/sectionName`, `${kind} ${namespace}/${name} has no ${what} named ${sectionName}`)
    })
  })
}

function missing(policy: RateLimitPolicy, pointer: string, reason: string): Problem {
  return problem('warning', policy, pointer, {
    code: 'rate-limit-policy/target-not-found',
    message: `${reason}, so no request is limited by this`,
    remedy: 'A policy is for objects of its own namespace.',
  })
}
