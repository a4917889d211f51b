/**
 * Routing as Istio defines it: the rules in order, the first that matches wins. It is the definition that the router
 * of a virtual host is tested against, and what `explain` and the golden tests ask.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { VirtualHostPlan } from '../plan/route.ts'
import { compileMatch } from './match.ts'
import { createQueryReader } from './query-parameters.ts'

/** @returns A function that gives the index of the route, or -1. */
export function compileLinear(virtualHost: VirtualHostPlan): (exchange: Exchange) => number {
  const query = createQueryReader()
  const tests = virtualHost.routes.map((route) => compileMatch(route.match, query))
  return (exchange) => tests.findIndex((test) => test(exchange))
}

/** As {@link compileLinear}, for one request. */
export function matchLinear(virtualHost: VirtualHostPlan, exchange: Exchange): number {
  return virtualHost.routes.findIndex((route) => compileMatch(route.match)(exchange))
}
