/** A request after its route was found: filters in order, then the action. */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { Filter, FilterResult } from '../filters/filter.ts'
import type { CompiledRoute, RoutingDeps } from './compiled-route.ts'

/** A filter that fails has not let the request through, so it does not go through. */
const FILTER_ERROR: LocalReply = { status: 500, details: 'filter_error' }
const INTERNAL_ERROR: LocalReply = { status: 500, details: 'internal_error' }

/** Never throws. */
export function serveRoute(route: CompiledRoute, exchange: Exchange, deps: RoutingDeps): void {
  exchange.route = route.plan
  exchange.responseOperations = route.responseOperations
  route.select?.(exchange)
  if (route.filters === null) act(route, exchange, deps)
  else runFilters(route, route.filters, 0, exchange, deps)
}

/** Goes on in the same turn of the event loop unless a filter has to wait. */
function runFilters(
  route: CompiledRoute,
  filters: readonly Filter[],
  from: number,
  exchange: Exchange,
  deps: RoutingDeps,
): void {
  for (let at = from; at < filters.length; at++) {
    let result: FilterResult | Promise<FilterResult>
    try {
      result = filters[at]!(exchange)
    } catch (error) {
      fail(exchange, error, FILTER_ERROR, deps)
      return
    }
    if (result === undefined) continue
    if (!isPromise(result)) {
      answer(exchange, result, deps)
      return
    }
    result.then(
      (reply) => {
        // Whoever left while a filter waited must not cost an upstream anything.
        if (isGone(exchange)) return
        if (reply === undefined) runFilters(route, filters, at + 1, exchange, deps)
        else answer(exchange, reply, deps)
      },
      (error: unknown) => fail(exchange, error, FILTER_ERROR, deps),
    )
    return
  }
  act(route, exchange, deps)
}

function act(route: CompiledRoute, exchange: Exchange, deps: RoutingDeps): void {
  try {
    route.act(exchange)
  } catch (error) {
    fail(exchange, error, INTERNAL_ERROR, deps)
  }
}

function answer(exchange: Exchange, reply: LocalReply, deps: RoutingDeps): void {
  try {
    deps.reply(exchange, reply)
  } catch (error) {
    deps.onError(error, exchange)
  }
}

/** Answers 500 where nothing was answered yet, and reports the error. */
export function fail(exchange: Exchange, error: unknown, reply: LocalReply, deps: RoutingDeps): void {
  if (!isGone(exchange) && !exchange.res.headersSent) answer(exchange, reply, deps)
  deps.onError(error, exchange)
}

export function failInternally(exchange: Exchange, error: unknown, deps: RoutingDeps): void {
  fail(exchange, error, INTERNAL_ERROR, deps)
}

/** True once the client has left or the exchange was logged: there is nobody to serve. */
export function isGone(exchange: Exchange): boolean {
  return exchange.finished || exchange.res.destroyed
}

function isPromise(result: LocalReply | Promise<FilterResult>): result is Promise<FilterResult> {
  return 'then' in result
}
