/**
 * Route tables: the virtual hosts of each port, and of each TLS server, with the routes of all their VirtualServices.
 *
 * Source: istio: pilot/pkg/networking/core/gateway.go (`buildGatewayHTTPRouteConfig`), route.go (`SortVHostRoutes`).
 */
import type { RouteTablePlan, VirtualHostPlan } from '../plan/route.ts'
import type { GatewayPort, PlacedServer } from './gateways/ports.ts'
import { serverNames } from './gateways/server.ts'
import { keepRecord, Memo } from './memo.ts'
import type { CompiledRoutes } from './routes/routes.ts'
import type { BoundVirtualService, Contribution, HostDraft } from './virtual-services.ts'

/** Makes route tables; a virtual host, and a table, in which nothing changed is the object that it was before. */
export class RouteTableBuilder {
  #builders = new Map<string, TableBuilder>()
  #tables: Readonly<Record<string, RouteTablePlan>> = {}

  build(
    ports: readonly GatewayPort[],
    bound: readonly BoundVirtualService[],
  ): Readonly<Record<string, RouteTablePlan>> {
    const contributions = byServer(bound)
    const builders = new Map<string, TableBuilder>()
    const tables: Record<string, RouteTablePlan> = {}
    for (const [name, servers] of serversByTable(ports)) {
      const builder = this.#builders.get(name) ?? new TableBuilder()
      builders.set(name, builder)
      tables[name] = builder.build(name, servers, contributions)
    }
    this.#builders = builders
    this.#tables = keepRecord(this.#tables, tables)
    return this.#tables
  }
}

class TableBuilder {
  readonly #memo = new Memo<VirtualHostPlan>()
  #last: RouteTablePlan | undefined

  build(
    name: string,
    servers: readonly PlacedServer[],
    contributions: Map<PlacedServer, Contribution[]>,
  ): RouteTablePlan {
    const drafts = draftHosts(servers, contributions)
    this.#memo.begin()
    const plans: VirtualHostPlan[] = []
    for (const [host, draft] of drafts) plans.push(this.#memo.get(host, draft, () => finish(host, draft)))
    const isChanged = this.#memo.end()
    if (this.#last !== undefined && !isChanged) return this.#last
    const virtualHosts: Record<string, VirtualHostPlan> = {}
    for (const plan of plans) virtualHosts[plan.host] = plan
    this.#last = { name, port: servers[0]!.port, virtualHosts }
    return this.#last
  }
}

function finish(host: string, [requireTls, ...compiled]: HostDraft): VirtualHostPlan {
  return { host, requireTls, routes: joinRoutes(compiled) }
}

/** Routes of each VirtualService in turn, but those that take every request after all others. */
function joinRoutes(compiled: readonly CompiledRoutes[]): VirtualHostPlan['routes'] {
  const [only] = compiled
  if (compiled.length === 1 && only !== undefined) return only.routes
  return [
    ...compiled.flatMap(({ routes, endsInCatchAll }) => (endsInCatchAll ? routes.slice(0, -1) : routes)),
    ...compiled.flatMap(({ routes, endsInCatchAll }) => (endsInCatchAll ? routes.slice(-1) : [])),
  ]
}

function byServer(bound: readonly BoundVirtualService[]): Map<PlacedServer, Contribution[]> {
  const result = new Map<PlacedServer, Contribution[]>()
  for (const { contributions } of bound) {
    for (const contribution of contributions) {
      const known = result.get(contribution.server)
      if (known === undefined) result.set(contribution.server, [contribution])
      else known.push(contribution)
    }
  }
  return result
}

/** Tables of every port that is opened; a refused server has an empty one. */
function serversByTable(ports: readonly GatewayPort[]): Map<string, PlacedServer[]> {
  const tables = new Map<string, PlacedServer[]>()
  for (const { servers } of ports) {
    if (servers.every(({ refused }) => refused)) continue
    for (const server of servers) {
      // Connections of the others are not looked into.
      if (server.class === 'tcp' || server.class === 'tls') continue
      tables.set(server.routeTable, [...(tables.get(server.routeTable) ?? []), server])
    }
  }
  return tables
}

function draftHosts(
  servers: readonly PlacedServer[],
  contributions: Map<PlacedServer, Contribution[]>,
): Map<string, HostDraft> {
  const drafts = new Map<string, HostDraft>()
  for (const server of servers) {
    const own = contributions.get(server) ?? []
    for (const { hosts, compiled, alone } of own) {
      for (const host of hosts) {
        const draft = drafts.get(host)
        if (draft === undefined) drafts.set(host, alone)
        // The same routes a second time, by another server of the Gateway, could never be reached.
        else if (!draft.includes(compiled)) drafts.set(host, [...draft, compiled])
      }
    }
    if (server.httpsRedirect) requireTls(drafts, server, own)
  }
  return drafts
}

/** Hosts that no VirtualService covers are redirected as well. */
function requireTls(drafts: Map<string, HostDraft>, server: PlacedServer, own: readonly Contribution[]): void {
  for (const host of [...own.flatMap(({ hosts }) => hosts), ...serverNames(server)]) {
    const [isRequired, ...compiled] = drafts.get(host) ?? [false]
    if (!isRequired || compiled.length === 0) drafts.set(host, [true, ...compiled])
  }
}
