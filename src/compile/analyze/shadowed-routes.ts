/** Routes that an older VirtualService for the same host leaves nothing to. Inside one object, reading it tells. */
import type { Problem } from '../../plan/problem.ts'
import type { RoutePlan } from '../../plan/route.ts'
import type { CompileContext } from '../context.ts'
import { nameOf } from '../findings.ts'
import type { BoundVirtualService } from '../virtual-services.ts'

interface Turn {
  readonly bound: BoundVirtualService
  readonly routes: readonly RoutePlan[]
}

export function checkShadowedRoutes({ bound }: CompileContext): Problem[] {
  const problems: Problem[] = []
  for (const [key, turns] of turnsByHost(bound)) {
    if (turns.length < 2) continue
    const [host = '', table = ''] = key.split(' ')
    // The same test by two rules: the second one is never asked.
    const first = new Map<string, BoundVirtualService>()
    for (const turn of turns) {
      for (const route of turn.routes) {
        const test = JSON.stringify(route.match)
        const holder = first.get(test) ?? turn.bound
        first.set(test, holder)
        if (holder !== turn.bound) problems.push(shadowed(route, holder, host, table))
      }
    }
  }
  return problems
}

function turnsByHost(bound: readonly BoundVirtualService[]): Map<string, Turn[]> {
  const turns = new Map<string, Turn[]>()
  for (const one of bound) {
    for (const { server, hosts, compiled } of one.contributions) {
      for (const host of hosts) {
        const key = `${host} ${server.routeTable}`
        const known = turns.get(key)
        if (known === undefined) turns.set(key, [{ bound: one, routes: compiled.routes }])
        else known.push({ bound: one, routes: compiled.routes })
      }
    }
  }
  return turns
}

function shadowed(
  { origin }: RoutePlan,
  { virtualService }: BoundVirtualService,
  host: string,
  table: string,
): Problem {
  return {
    code: 'virtual-service/shadowed',
    severity: 'warning',
    origin,
    message: `VirtualService ${nameOf(virtualService)} already takes these requests for ${host} (route table ${table}), so this is never used`,
    remedy: 'Where hosts are the same, the older VirtualService comes first; put what belongs together into one.',
  }
}
