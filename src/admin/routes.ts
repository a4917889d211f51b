/** `/routes`: every route in the order in which it is tried, for a host or a listener if asked so. */
import type { Plan } from '../plan/plan.ts'
import type { Origin } from '../plan/problem.ts'
import type { RoutePlan, VirtualHostPlan } from '../plan/route.ts'
import { routeTablesOf } from './listeners.ts'
import type { AdminModel } from './model.ts'
import { redact } from './redact.ts'
import { actionText, matchText } from './route-text.ts'

export interface RouteView {
  readonly listeners: readonly string[]
  readonly port: number
  readonly routeTable: string
  readonly host: string
  /** Place among the host's routes, from 0: the first that matches takes a request. */
  readonly position: number
  readonly name: string
  readonly match: string
  readonly action: string
  readonly origin: Origin
}

export interface RouteFilter {
  /** A host as a request would name it, port and case do not matter: the virtual host that takes it. */
  readonly host?: string | undefined
  /** Name or port of a listener. */
  readonly listener?: string | undefined
}

export function routeViews(model: AdminModel, filter: RouteFilter): RouteView[] {
  const plan = model.plan()
  if (plan === null) return []
  const views: RouteView[] = []
  for (const table of Object.values(plan.routeTables)) {
    const listeners = listenersOf(plan, table.name)
    if (filter.listener !== undefined && !listeners.some((name) => isNamed(plan, name, filter.listener!))) continue
    for (const virtualHost of chosen(Object.values(table.virtualHosts), filter.host)) {
      const context = { listeners, port: table.port, routeTable: table.name, host: virtualHost.host }
      for (const [position, route] of virtualHost.routes.entries()) views.push(routeView(context, position, route))
    }
  }
  return views
}

function routeView(
  context: Pick<RouteView, 'listeners' | 'port' | 'routeTable' | 'host'>,
  position: number,
  route: RoutePlan,
): RouteView {
  const { match } = redact({ match: { ...route.match } }) as Pick<RoutePlan, 'match'>
  return {
    ...context,
    position,
    name: route.name,
    match: matchText(match),
    action: actionText(route.action),
    origin: route.origin,
  }
}

function listenersOf(plan: Plan, routeTable: string): string[] {
  return Object.values(plan.listeners)
    .filter((listener) => routeTablesOf(listener).includes(routeTable))
    .map(({ name }) => name)
}

function isNamed(plan: Plan, name: string, wanted: string): boolean {
  return name === wanted || String(plan.listeners[name]?.port) === wanted
}

/** All, or the one that a request for `host` gets: the exact name, else the longest wildcard. */
function chosen(virtualHosts: readonly VirtualHostPlan[], host: string | undefined): readonly VirtualHostPlan[] {
  if (host === undefined) return virtualHosts
  const wanted = host.toLowerCase().replace(/:\d+$/, '')
  const taking = virtualHosts.filter((virtualHost) => takes(virtualHost.host, wanted))
  return taking.sort((a, b) => rank(b.host) - rank(a.host)).slice(0, 1)
}

function takes(pattern: string, host: string): boolean {
  if (pattern === host || pattern === '*') return true
  return pattern.startsWith('*') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1))
}

/** Exact names before wildcards, long ones before short ones. */
function rank(pattern: string): number {
  return pattern.startsWith('*') ? pattern.length : Number.MAX_SAFE_INTEGER
}
