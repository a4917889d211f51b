/** A route made ready to serve: what the plan says of it, as functions. */
import type { Exchange, HeaderEdit } from '../exchange/exchange.ts'
import { compileHeaderOperations } from '../exchange/header-operations.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { Filter } from '../filters/filter.ts'
import { compileFilters, type FilterDeps } from '../filters/order.ts'
import type { ForwardAction, RoutePlan } from '../plan/route.ts'
import { compileDirectResponse } from './actions/direct-response.ts'
import { compileRedirect } from './actions/redirect.ts'
import type { PathRouters } from './path-router.ts'

export type ForwardRoute = RoutePlan & { readonly action: ForwardAction }

/** The proxy path of a route. */
export interface Forwarder {
  /**
   * Draws the destination. It comes before the filters: whoever answers, the log, the metrics and the response's
   * headers are those of the destination that the request was for.
   */
  select(exchange: Exchange): void
  /** From here on the exchange is the forwarder's. */
  forward(exchange: Exchange): void
}

export interface RoutingDeps extends FilterDeps {
  /** Shared by the hosts of all listeners. */
  readonly routers: PathRouters
  compileForward(route: ForwardRoute): Forwarder
  /** Answers without an upstream. */
  reply(exchange: Exchange, reply: LocalReply): void
  /** Something failed that never should; the client was, or is being, answered 500. */
  onError(error: unknown, exchange: Exchange): void
}

export interface CompiledRoute {
  readonly plan: RoutePlan
  /** Null: none. */
  readonly responseOperations: HeaderEdit | null
  /** Null: none. */
  readonly filters: readonly Filter[] | null
  /** Null: the rule has no destinations. */
  readonly select: ((exchange: Exchange) => void) | null
  /** What the rule is for; it answers, or sees to it that the request is answered. */
  readonly act: (exchange: Exchange) => void
}

export function compileRoute(plan: RoutePlan, deps: RoutingDeps): CompiledRoute {
  return {
    plan,
    responseOperations: compileHeaderOperations(plan.responseHeaders),
    filters: compileFilters(plan, deps),
    ...compileAction(plan, deps),
  }
}

function compileAction(plan: RoutePlan, deps: RoutingDeps): Pick<CompiledRoute, 'select' | 'act'> {
  const { action } = plan
  switch (action.kind) {
    case 'forward': {
      // The plan itself and no copy: what the exchange's route is compared with stays the same object.
      const forwarder = deps.compileForward(plan as ForwardRoute)
      return {
        select: (exchange) => forwarder.select(exchange),
        act: (exchange) => forwarder.forward(exchange),
      }
    }
    case 'redirect': {
      const redirect = compileRedirect(action)
      return { select: null, act: (exchange) => deps.reply(exchange, redirect(exchange)) }
    }
    case 'direct-response': {
      const reply = compileDirectResponse(action)
      return { select: null, act: (exchange) => deps.reply(exchange, reply) }
    }
    default:
      return action satisfies never
  }
}
