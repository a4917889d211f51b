/**
 * `tcp` and `tls` routes: what becomes of a connection whose bytes are passed on as they are.
 *
 * Source: istio: pilot/pkg/networking/core/gateway.go (`buildGatewayNetworkFiltersFromTCPRoutes`,
 * `buildGatewayNetworkFiltersFromTLSRoutes`, `l4MultiMatch`); semantics §1.10, §2.14.
 */
import type { PassthroughPlan, TcpDestination, TcpRoutePlan } from '../../plan/tcp.ts'
import type { Problem } from '../../plan/problem.ts'
import type { L4MatchAttributes, RouteDestination, VirtualService } from '../../resources/virtual-service.ts'
import { originOf, problem } from '../findings.ts'
import { intersectHosts } from '../hosts.ts'
import type { Workload } from '../workload.ts'
import { type ClusterReference, referToCluster } from './forward.ts'
import { gatewayReference } from './gateway-names.ts'
import { appliesTo, type RouteTarget } from './match.ts'
import type { RouteContext } from './routes.ts'

/** What one VirtualService says of the connections of one server. */
export interface TcpRoutes {
  /** Of its `tcp` rules the first that holds there; null: none does. */
  readonly tcp: TcpRoutePlan | null
  /** Of its `tls` rules, one for each match that holds there. */
  readonly tls: readonly Chain[]
  readonly references: readonly ClusterReference[]
}

/** Which clients a `tls` rule is for. */
export type Chain = Pick<PassthroughPlan, 'serverNames' | 'destinationSubnets' | 'route'>

/** @param hosts Names that the server and the VirtualService have in common. */
export function compileTcpRoutes(
  virtualService: VirtualService,
  kind: 'tcp' | 'tls',
  hosts: readonly string[],
  target: RouteTarget,
  context: RouteContext,
): TcpRoutes {
  const references: ClusterReference[] = []
  const compile = (route: readonly RouteDestination[] | undefined, pointer: string): TcpRoutePlan | null => {
    const destinations = weigh(route ?? [], pointer, virtualService, target, context, references)
    return destinations.length === 0 ? null : { origin: originOf(virtualService, pointer), destinations }
  }
  const { tcp = [], tls = [] } = virtualService.spec
  const { namespace } = virtualService.metadata
  if (kind === 'tcp') {
    const index = tcp.findIndex(({ match = [] }) => match.length === 0 || match.some(holds(target, namespace, context)))
    const route = index === -1 ? null : compile(tcp[index]!.route, `/spec/tcp/${index}`)
    return { tcp: route, tls: [], references }
  }
  const chains = tls.flatMap(({ match = [], route }, i) => {
    const matches = match.filter(holds(target, namespace, context))
    const compiled = matches.length === 0 ? null : compile(route, `/spec/tls/${i}`)
    if (compiled === null) return []
    return matches.flatMap(({ sniHosts = [], destinationSubnets = [] }): Chain[] => {
      const lower = sniHosts.map((name) => name.toLowerCase())
      const serverNames = intersectHosts(hosts, lower)
      if (serverNames.length === 0) return []
      const subnets = destinationSubnets.map(toBlock)
      return [{ serverNames, ...(subnets.length === 0 ? {} : { destinationSubnets: subnets }), route: compiled }]
    })
  })
  return { tcp: null, tls: chains, references }
}

/** What is read of `tcp` matches, and says nothing at a gateway, as in Istio. */
export function tcpProblems(virtualService: VirtualService): Problem[] {
  return (virtualService.spec.tcp ?? []).flatMap(({ match = [] }, i) =>
    match.flatMap(({ destinationSubnets = [], sourceSubnet = '' }, j) => [
      ...(destinationSubnets.length === 0 ? [] : [withoutEffect(virtualService, i, j, 'destinationSubnets')]),
      ...(sourceSubnet === '' ? [] : [withoutEffect(virtualService, i, j, 'sourceSubnet')]),
    ]),
  )
}

function withoutEffect(virtualService: VirtualService, rule: number, match: number, field: string): Problem {
  return problem('warning', virtualService, `/spec/tcp/${rule}/match/${match}/${field}`, {
    code: 'virtual-service/not-enforced',
    message: `${field} of a tcp match has no effect at a gateway, as in Istio: the rule takes every connection of the port`,
    remedy: 'Guard the port with an AuthorizationPolicy.',
  })
}

function holds(target: RouteTarget, namespace: string, { workload }: { workload: Workload }) {
  return ({ gateways = [], ...match }: L4MatchAttributes): boolean =>
    appliesTo({ ...match, gateways: gateways.map((name) => gatewayReference(name, namespace)) }, target, workload)
}

/** A rule's only destination gets every connection, whatever its weight. */
function weigh(
  route: readonly RouteDestination[],
  pointer: string,
  owner: VirtualService,
  target: RouteTarget,
  { options, solePorts }: RouteContext,
  references: ClusterReference[],
): TcpDestination[] {
  return route.flatMap(({ destination, weight = 0 }, i) => {
    if (route.length > 1 && weight <= 0) return []
    const at = { options, solePorts, target, owner, pointer }
    const reference = referToCluster(destination, `route/${i}/destination`, at)
    references.push(reference)
    return [{ cluster: reference.cluster, weight: route.length > 1 ? weight : 1 }]
  })
}

/** A bare address is a block of one. */
function toBlock(text: string): string {
  return text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
}
