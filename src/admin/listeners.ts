/** `/listeners`: what the plan listens on, and whether it does. */
import type { ListenerPlan } from '../plan/listener.ts'
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
    }
  })
}

/** Names of the route tables that a listener asks. */
export function routeTablesOf(listener: ListenerPlan): string[] {
  if (listener.kind === 'http') return [listener.routeTable]
  if (listener.kind === 'egress') return []
  return [...new Set(listener.servers.map(({ routeTable }) => routeTable))]
}

function tlsServerView({ name, serverNames, certificates, minVersion, maxVersion }: TlsServer) {
  return { name, serverNames, certificates, minVersion, maxVersion }
}

type TlsServer = Extract<ListenerPlan, { kind: 'tls' }>['servers'][number]

function stateOf(states: readonly ListenerState[]): Pick<ListenerView, 'address' | 'up' | 'errors'> {
  const errors = [...new Set(states.flatMap(({ error }) => (error === null ? [] : [error])))]
  return {
    address: states.find(({ error }) => error === null)?.address ?? states[0]?.address ?? null,
    up: states.length > 0 && errors.length === 0,
    errors,
  }
}
