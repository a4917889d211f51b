/** What becomes of a request by the plan alone: which route takes it, or which status the gateway answers itself. */
import type { Plan } from '../../src/plan/plan.ts'
import type { RoutePlan, VirtualHostPlan } from '../../src/plan/route.ts'
import type { TcpRoutePlan } from '../../src/plan/tcp.ts'
import { matchLinear } from '../../src/routing/linear.ts'
import { makeExchange } from '../unit/routing/exchanges.ts'

/** One entry of `calls.yaml`: a request, and what is expected of it. */
export interface Call {
  /** The Gateway server's port; 80 by default. */
  readonly port?: number
  readonly method?: string
  readonly host: string
  /** `/` by default. */
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The route's name, or where it has none the pointer of its match. */
  readonly route?: string
  /** Set where the gateway answers by itself: no route, no cluster, a redirect, a direct response. */
  readonly status?: number
  /** The cluster, or all of them joined by a comma and a blank where a rule has several. */
  readonly cluster?: string
}

export type Outcome = Pick<Call, 'route' | 'status' | 'cluster'>

export function callPlan(plan: Plan, call: Call): Outcome {
  const port = call.port ?? 80
  const host = call.host.replace(/:\d+$/, '').toLowerCase()
  const listener = plan.listeners[port]
  if (listener === undefined || listener.kind === 'egress') return {}
  if (listener.kind === 'tcp') return connection(listener.route)
  const passed =
    listener.kind === 'tls' ? mostSpecific(listener.passthrough ?? [], (entry) => entry.serverNames, host) : undefined
  if (passed !== undefined) return connection(passed.route)
  const server =
    listener.kind === 'http' ? listener : mostSpecific(listener.servers, (entry) => entry.serverNames, host)
  if (server !== undefined && 'tcp' in server) return connection(server.tcp ?? null)
  const table = plan.routeTables[server?.routeTable ?? '']
  const virtualHost = mostSpecific(Object.values(table?.virtualHosts ?? {}), (entry) => [entry.host], host)
  if (virtualHost === undefined) return { status: 404 }
  if (virtualHost.requireTls && listener.kind === 'http') return { status: 301 }
  return answer(plan, routeOf(virtualHost, call, listener.kind === 'tls'))
}

/** Of connections only the cluster can be told. */
function connection(route: TcpRoutePlan | null): Outcome {
  return route === null ? {} : { cluster: route.destinations.map(({ cluster }) => cluster).join(', ') }
}

function routeOf(virtualHost: VirtualHostPlan, call: Call, tls: boolean): RoutePlan | undefined {
  const { method = 'GET', host, path = '/', headers = {} } = call
  const scheme = tls ? 'https' : 'http'
  const exchange = makeExchange({ method, authority: host, path, scheme, headers: Object.entries(headers).flat() })
  return virtualHost.routes[matchLinear(virtualHost, exchange)]
}

function answer(plan: Plan, route: RoutePlan | undefined): Outcome {
  if (route === undefined) return { status: 404 }
  const name = route.name === '' ? (route.origin.pointer ?? '') : route.name
  if (route.action.kind !== 'forward') return { route: name, status: route.action.status }
  const clusters = route.action.destinations.map(({ cluster }) => cluster)
  const isMissing = clusters.some((cluster) => plan.clusters[cluster] === undefined)
  return { route: name, ...(isMissing ? { status: 503 } : {}), cluster: clusters.join(', ') }
}

/** Exact name, else the longest wildcard, else `*`. */
function mostSpecific<T>(entries: readonly T[], names: (entry: T) => readonly string[], host: string): T | undefined {
  const fits = (name: string) =>
    name === host || (name.startsWith('*') && host.length >= name.length && host.endsWith(name.slice(1)))
  const rank = (name: string) => (name === host ? Infinity : name.length)
  const found = entries.flatMap((entry) =>
    names(entry)
      .filter(fits)
      .map((name) => ({ entry, name })),
  )
  return found.sort((a, b) => rank(b.name) - rank(a.name))[0]?.entry
}
