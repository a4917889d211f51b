/**
 * Which VirtualServices route on which servers, under which hosts: binding, visibility and order.
 *
 * Source: istio: pilot/pkg/model/push_context.go (`VirtualServicesForGateway`, `initVirtualServices`),
 * pilot/pkg/networking/core/gateway.go (`buildGatewayHTTPRouteConfig`).
 */
import type { Problem } from '../plan/problem.ts'
import type { VirtualService } from '../resources/virtual-service.ts'
import { distinct, nameOf } from './findings.ts'
import type { PlacedServer, PlacedServers } from './gateways/ports.ts'
import { endsTls, hostsForNamespace } from './gateways/server.ts'
import { fullHost, intersectHosts } from './hosts.ts'
import { sameElements } from './memo.ts'
import { namesSections } from './rate-limits.ts'
import type { ClusterReference } from './routes/forward.ts'
import { gatewayReference, MESH } from './routes/gateway-names.ts'
import { type CompiledRoutes, compileRoutes, type RouteContext } from './routes/routes.ts'
import { compileTcpRoutes, type TcpRoutes, tcpProblems } from './routes/tcp.ts'
import { readRules, type Rules } from './routes/rules.ts'
import { visibilityRank } from './visibility.ts'

/** Routes of one VirtualService on one server. */
export interface Contribution {
  readonly server: PlacedServer
  /** Names that the server and the VirtualService have in common. */
  readonly hosts: readonly string[]
  readonly compiled: CompiledRoutes
  /** The virtual host of each of them, as long as nobody else adds to it: most hosts have one VirtualService. */
  readonly alone: HostDraft
}

/** A virtual host as it comes together: whether TLS is required, then the routes of its VirtualServices. */
export type HostDraft = readonly [requireTls: boolean, ...compiled: CompiledRoutes[]]

/** What one VirtualService says of connections of one server that are passed on as they are. */
export interface ConnectionRoutes {
  readonly server: PlacedServer
  readonly routes: TcpRoutes
}

export interface BoundVirtualService {
  readonly virtualService: VirtualService
  readonly contributions: readonly Contribution[]
  readonly connections: readonly ConnectionRoutes[]
  /** Every place that names a cluster. */
  readonly references: readonly ClusterReference[]
  /** One reference for each cluster. */
  readonly clusters: readonly ClusterReference[]
  readonly problems: readonly Problem[]
}

interface Memoised extends BoundVirtualService {
  /** Preference among VirtualServices; undefined: this gateway may not see it. */
  readonly rank: 0 | 1 | 2 | undefined
  /** Undefined where no rule delegates. */
  readonly delegates: Rules['delegates'] | undefined
}

/** Everything beyond the VirtualService itself that its routes depend on. */
interface Surroundings extends RouteContext {
  readonly placed: PlacedServers
}

/**
 * Binds VirtualServices, and keeps the result for each object while its surroundings stay the same.
 *
 * Bound: what is kept hangs on the VirtualService objects themselves and goes with them.
 */
export class VirtualServiceBinder {
  #known = new WeakMap<VirtualService, Memoised>()
  #surroundings: Surroundings | undefined
  #servers: ReadonlyMap<string, readonly PlacedServer[]> = new Map()

  /** @returns Those that are bound to a server of this gateway, in the order in which their routes are tried. */
  bind(all: readonly VirtualService[], surroundings: Surroundings): BoundVirtualService[] {
    if (!isSame(this.#surroundings, surroundings)) {
      this.#known = new WeakMap()
      this.#servers = serversByGateway(surroundings.placed)
      this.#surroundings = surroundings
    }
    const delegates = new Map<string, VirtualService>()
    for (const virtualService of all) {
      if (isDelegate(virtualService)) delegates.set(nameOf(virtualService), virtualService)
    }
    const ranks: BoundVirtualService[][] = [[], [], []]
    for (const virtualService of all) {
      const bound = this.#bindOne(virtualService, delegates, surroundings)
      if (bound.rank !== undefined) ranks[bound.rank]?.push(bound)
    }
    return ranks.flat()
  }

  #bindOne(
    virtualService: VirtualService,
    delegates: ReadonlyMap<string, VirtualService>,
    surroundings: Surroundings,
  ): Memoised {
    const known = this.#known.get(virtualService)
    if (known !== undefined && hasSameDelegates(known, delegates)) return known
    const bound = bindVirtualService(virtualService, this.#servers, delegates, surroundings)
    this.#known.set(virtualService, bound)
    return bound
  }
}

/** A VirtualService without hosts takes no traffic itself. */
function isDelegate({ spec }: VirtualService): boolean {
  return spec.hosts === undefined || spec.hosts.length === 0
}

function isSame(a: Surroundings | undefined, b: Surroundings): boolean {
  if (a === undefined) return false
  return sameElements(
    [a.placed, a.workload, a.options, a.solePorts, a.rateLimits],
    [b.placed, b.workload, b.options, b.solePorts, b.rateLimits],
  )
}

function hasSameDelegates({ delegates }: Memoised, now: ReadonlyMap<string, VirtualService>): boolean {
  if (delegates === undefined) return true
  for (const [name, delegate] of delegates) if (now.get(name) !== delegate) return false
  return true
}

/** Servers whose routes are compiled, by Gateway. A refused server gets none: it answers nobody. */
function serversByGateway({ ports }: PlacedServers): Map<string, PlacedServer[]> {
  const byGateway = new Map<string, PlacedServer[]>()
  for (const { servers } of ports) {
    for (const server of servers) {
      if (server.refused) continue
      const known = byGateway.get(server.gatewayName)
      if (known === undefined) byGateway.set(server.gatewayName, [server])
      else known.push(server)
    }
  }
  return byGateway
}

/** Gateways that a VirtualService names, as `NAMESPACE/NAME` (or `mesh`), each once. */
export function gatewaysOf({ metadata, spec }: VirtualService): string[] {
  return [...new Set((spec.gateways ?? [MESH]).map((name) => gatewayReference(name, metadata.namespace)))]
}

function bindVirtualService(
  virtualService: VirtualService,
  servers: ReadonlyMap<string, readonly PlacedServer[]>,
  delegates: ReadonlyMap<string, VirtualService>,
  surroundings: Surroundings,
): Memoised {
  const { metadata, spec } = virtualService
  const { options } = surroundings
  const nothing = {
    virtualService,
    contributions: [],
    connections: [],
    references: [],
    clusters: [],
    problems: [],
    delegates: new Map(),
  }
  if (isDelegate(virtualService)) return { ...nothing, rank: undefined }
  const { namespace, clusterDomain } = options.gateway
  const rank = visibilityRank(spec.exportTo, metadata.namespace, namespace, options.mesh.defaultVirtualServiceExportTo)
  const own = rank === undefined ? [] : gatewaysOf(virtualService).flatMap((gateway) => servers.get(gateway) ?? [])
  if (own.length === 0) return { ...nothing, rank: undefined }

  const hosts = (spec.hosts ?? []).map((host) => fullHost(host, metadata.namespace, clusterDomain))
  const { rules, delegates: used, problems } = readRules(virtualService, delegates, options)
  const routesFor = routesByTarget(rules, surroundings)
  const connections = own.flatMap((server): ConnectionRoutes[] => {
    if (server.class === 'http' || server.class === 'https') return []
    const common = intersectHosts(hostsForNamespace(server, metadata.namespace), hosts)
    if (common.length === 0) return []
    const kind = server.class === 'tls' && !endsTls(server.server) ? 'tls' : 'tcp'
    const target = { gateway: server.gatewayName, port: server.port, tls: false, section: '' }
    return [{ server, routes: compileTcpRoutes(virtualService, kind, common, target, surroundings) }]
  })
  const contributions = own.flatMap((server): Contribution[] => {
    if (server.class === 'tcp' || server.class === 'tls') return []
    const common = intersectHosts(hostsForNamespace(server, metadata.namespace), hosts)
    if (common.length === 0) return []
    const compiled = routesFor(server)
    return compiled.routes.length === 0
      ? []
      : [{ server, hosts: common, compiled, alone: [server.httpsRedirect, compiled] }]
  })
  const compiled = [...new Set(contributions.map((contribution) => contribution.compiled))]
  const references = [
    ...compiled.flatMap((routes) => routes.references),
    ...connections.flatMap(({ routes }) => routes.references),
  ]
  return {
    virtualService,
    rank,
    contributions,
    connections,
    references,
    clusters: [...new Map(references.map((reference) => [reference.cluster, reference])).values()],
    problems: distinct([...problems, ...tcpProblems(virtualService), ...compiled.flatMap((routes) => routes.problems)]),
    delegates: used.size === 0 ? undefined : used,
  }
}

/** The same routes serve all servers of a Gateway that have the same port and are alike in TLS. */
function routesByTarget(rules: Rules['rules'], context: RouteContext): (server: PlacedServer) => CompiledRoutes {
  const known = new Map<string, CompiledRoutes>()
  return ({ gatewayName, port, class: kind, server }) => {
    const section = namesSections(context.rateLimits, gatewayName) ? server.port.name : ''
    const key = `${gatewayName} ${port} ${kind} ${section}`
    const compiled =
      known.get(key) ?? compileRoutes(rules, { gateway: gatewayName, port, tls: kind === 'https', section }, context)
    known.set(key, compiled)
    return compiled
  }
}
