/**
 * Connections that are passed on as they are: which route the servers of a port have for them, and which clients of TLS
 * they are for.
 *
 * Source: istio: pilot/pkg/networking/core/gateway.go (`createGatewayTCPFilterChainOpts`, `builtAutoPassthroughFilterChains`),
 * pilot/pkg/model/service.go (`BuildDNSSrvSubsetKey`).
 */
import type { ListenerPlan, TlsListenerPlan } from '../../plan/listener.ts'
import type { PassthroughPlan, TcpRoutePlan } from '../../plan/tcp.ts'
import { covers } from '../../lib/names.ts'
import type { DestinationRules } from '../destinations/destination-rules.ts'
import type { ClusterReference } from '../routes/forward.ts'
import type { ServiceRegistry } from '../services/registry.ts'
import type { BoundVirtualService } from '../virtual-services.ts'
import type { GatewayPort, PlacedServer } from './ports.ts'
import { endsTls, hostsForNamespace } from './server.ts'

/** ALPN of the mesh's own clients: nobody else may choose a workload by its name (istio: `util.ALPNInMesh` and more). */
const MESH_ALPN = ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2']

/** Clusters that mesh TLS is passed on to, and who asks for which. */
export interface AutoPassthrough {
  readonly chains: ReadonlyMap<PlacedServer, readonly PassthroughPlan[]>
  readonly clusters: readonly ClusterReference[]
}

/** The listeners with their routes for connections. */
export function withTcpRoutes(
  listeners: Readonly<Record<string, ListenerPlan>>,
  ports: readonly GatewayPort[],
  bound: readonly BoundVirtualService[],
  auto: AutoPassthrough,
): Readonly<Record<string, ListenerPlan>> {
  if (!ports.some(({ servers }) => servers.some(({ class: kind }) => kind === 'tcp' || kind === 'tls')))
    return listeners
  const routed: Record<string, ListenerPlan> = { ...listeners }
  const byServer = routesByServer(bound)
  for (const { name, servers } of ports) {
    const listener = routed[name]
    if (listener?.kind === 'tcp') routed[name] = { ...listener, route: byServer.get(servers[0]!)?.tcp ?? null }
    else if (listener?.kind === 'tls') routed[name] = withTls(listener, servers, byServer, auto)
  }
  return routed
}

interface ServerRoutes {
  /** Of the first VirtualService that has one. */
  tcp: TcpRoutePlan | null
  readonly tls: PassthroughPlan[]
}

function routesByServer(bound: readonly BoundVirtualService[]): Map<PlacedServer, ServerRoutes> {
  const byServer = new Map<PlacedServer, ServerRoutes>()
  for (const { connections } of bound) {
    for (const { server, routes } of connections) {
      const known = byServer.get(server) ?? { tcp: null, tls: [] }
      byServer.set(server, known)
      known.tcp ??= routes.tcp
      for (const chain of routes.tls) known.tls.push({ name: nameOfServer(server), ...chain })
    }
  }
  return byServer
}

function withTls(
  listener: TlsListenerPlan,
  servers: readonly PlacedServer[],
  byServer: ReadonlyMap<PlacedServer, ServerRoutes>,
  auto: AutoPassthrough,
): TlsListenerPlan {
  const routeOf = new Map(
    servers.flatMap((server) =>
      server.class === 'tls' && endsTls(server.server)
        ? [[nameOfServer(server), byServer.get(server)?.tcp ?? null] as const]
        : [],
    ),
  )
  const passthrough = servers.flatMap((server) => [
    ...(byServer.get(server)?.tls ?? []),
    ...(auto.chains.get(server) ?? []),
  ])
  return {
    ...listener,
    servers: listener.servers.map((server) => {
      const tcp = routeOf.get(server.name)
      return tcp === undefined ? server : { ...server, tcp }
    }),
    ...(passthrough.length === 0 ? {} : { passthrough }),
  }
}

/**
 * A name for every port and subset of every service of the mesh that an AUTO_PASSTHROUGH server has the host of. Services
 * outside the mesh have none: whoever knows a name could reach them.
 */
export function compileAutoPassthrough(
  ports: readonly GatewayPort[],
  { services }: ServiceRegistry,
  rules: DestinationRules,
): AutoPassthrough {
  const chains = new Map<PlacedServer, readonly PassthroughPlan[]>()
  const clusters = new Map<string, ClusterReference>()
  for (const server of ports.flatMap((port) => port.servers).filter(isAutoPassthrough)) {
    const own: PassthroughPlan[] = []
    for (const service of services.values()) {
      const hosts = hostsForNamespace(server, service.namespace)
      if (service.external || service.host.includes('*') || !hosts.some((host) => covers(host, service.host))) continue
      const subsets = ['', ...(rules.resolve(service)?.subsets.keys() ?? [])]
      for (const { number: port } of service.ports) {
        for (const subset of subsets) {
          const cluster = `outbound_.${port}_.${subset}_.${service.host}`
          const { origin, host } = service
          clusters.set(cluster, { cluster, host, port, subset, origin, passthrough: true })
          own.push({
            name: nameOfServer(server),
            serverNames: [cluster],
            alpn: MESH_ALPN,
            route: { origin, destinations: [{ cluster, weight: 1 }] },
          })
        }
      }
    }
    chains.set(server, own)
  }
  return { chains, clusters: [...clusters.values()] }
}

/** Whether a server passes TLS on by the name of a cluster, without any route. */
function isAutoPassthrough({ server, class: kind, refused }: PlacedServer): boolean {
  return kind === 'tls' && !refused && server.tls?.mode === 'AUTO_PASSTHROUGH'
}

function nameOfServer({ gatewayName, server }: PlacedServer): string {
  return `${gatewayName}/${server.port.name}`
}
