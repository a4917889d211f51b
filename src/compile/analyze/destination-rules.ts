/** DestinationRules for hosts that no service has, and subsets that select no endpoint. */
import { covers } from '../../lib/names.ts'
import type { Problem } from '../../plan/problem.ts'
import type { DestinationRule } from '../../resources/destination-rule.ts'
import type { CompileContext } from '../context.ts'
import { problem } from '../findings.ts'
import { fullHost } from '../hosts.ts'
import type { MeshService } from '../services/service.ts'
import { selects } from '../workload.ts'

export function checkDestinationRules({ snapshot, registry, options }: CompileContext): Problem[] {
  return snapshot.destinationRules.flatMap((rule) => {
    const host = fullHost(rule.spec.host, rule.metadata.namespace, options.gateway.clusterDomain)
    const exact = registry.services.get(host)
    if (exact !== undefined) return emptySubsets(rule, exact)
    if (host.startsWith('*') && [...registry.services.keys()].some((other) => covers(host, other))) return []
    return [
      problem('warning', rule, '/spec/host', {
        code: 'destination-rule/unknown-host',
        istioCode: 'IST0174',
        message: `no service has the host ${host}, so this DestinationRule is used for nothing`,
      }),
    ]
  })
}

function emptySubsets(rule: DestinationRule, { host, resolution, endpoints }: MeshService): Problem[] {
  const all = [...endpoints.values()].flat()
  // An empty service has nothing to select from, and one without resolution has no endpoints to know of.
  if (all.length === 0 || resolution === 'none') return []
  return (rule.spec.subsets ?? []).flatMap(({ name, labels }, i) =>
    all.some((endpoint) => selects(labels, endpoint.labels))
      ? []
      : [
          problem('error', rule, `/spec/subsets/${i}/labels`, {
            code: 'destination-rule/empty-subset',
            istioCode: 'IST0173',
            message: `subset ${name} selects no endpoint of ${host}, so requests to it are answered 503`,
          }),
        ],
  )
}
