/** `/listeners`: what the plan listens on, and whether it does. */
import type { ListenerPlan } from '../plan/listener.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import type { AdminModel, ListenerState } from './model.ts'

export interface ListenerView {
  readonly name: string
  readonly kind: ListenerPlan['kind']
  /** The Gateway server's port. */
  readonly port: number
  /** Where it is bound on this machine; null: nowhere. */
  readonly address: string | null
  /** Every worker listens. */
  readonly up: boolean
  /** Why not, each reason once. */
  readonly errors: readonly string[]
  readonly routeTables: readonly string[]
  /** Hosts that have routes there. */
  readonly hosts: readonly string[]
  readonly tlsServers?: readonly {
    readonly name: string
    readonly serverNames: readonly string[]
    readonly certificates: readonly string[]
    readonly minVersion: string
    readonly maxVersion: string
  }[]
  /** Connections that are passed on as they are, by the name that a TLS client asks for (none: any); and where to. */
  readonly connections?: readonly { readonly serverNames: readonly string[]; readonly clusters: readonly string[] }[]
}

export function listenerViews(model: AdminModel): ListenerView[] {
  const plan = model.plan()
  if (plan === null) return []
  const states = Map.groupBy(model.listenerStates(), ({ name }) => name)
  return Object.values(plan.listeners).map((listener) => {
    const routeTables = routeTablesOf(listener)
    const hosts = routeTables.flatMap((name) => Object.keys(plan.routeTables[name]?.virtualHosts ?? {}))
    return {
      name: listener.name,
      kind: listener.kind,
      port: listener.port,
      ...stateOf(states.get(listener.name) ?? []),
      routeTables,
      hosts: [...new Set(hosts)],
      ...(listener.kind === 'tls' ? { tlsServers: listener.servers.map(tlsServerView) } : {}),
      ...connectionsView(listener),
    }
  })
}

/** Names of the route tables that a listener asks. */
export function routeTablesOf(listener: ListenerPlan): string[] {
  switch (listener.kind) {
    case 'http':
      return [listener.routeTable]
    case 'tls':
      return [...new Set(listener.servers.flatMap(({ routeTable, tcp }) => (tcp === undefined ? [routeTable] : [])))]
    case 'tcp':
    case 'egress':
      return []
    default:
      return listener satisfies never
  }
}

function tlsServerView({ name, serverNames, certificates, minVersion, maxVersion }: TlsServer) {
  return { name, serverNames, certificates, minVersion, maxVersion }
}

type TlsServer = Extract<ListenerPlan, { kind: 'tls' }>['servers'][number]

/** Where connections go whose bytes are passed on as they are. */
function connectionsView(listener: ListenerPlan): Pick<ListenerView, 'connections'> {
  if (listener.kind === 'http' || listener.kind === 'egress') return {}
  const routes: (readonly [readonly string[], TcpRoutePlan | null])[] =
    listener.kind === 'tcp'
      ? [[[], listener.route]]
      : [
          ...listener.servers.flatMap(({ serverNames, tcp }) =>
            tcp === undefined ? [] : [[serverNames, tcp] as const],
          ),
          ...(listener.passthrough ?? []).map(({ serverNames, route }) => [serverNames, route] as const),
        ]
  if (routes.length === 0) return {}
  return {
    connections: routes.map(([serverNames, route]) => ({
      serverNames,
      clusters: route?.destinations.map(({ cluster }) => cluster) ?? [],
    })),
  }
}

function stateOf(states: readonly ListenerState[]): Pick<ListenerView, 'address' | 'up' | 'errors'> {
  const errors = [...new Set(states.flatMap(({ error }) => (error === null ? [] : [error])))]
  return {
    address: states.find(({ error }) => error === null)?.address ?? states[0]?.address ?? null,
    up: states.length > 0 && errors.length === 0,
    errors,
  }
}
