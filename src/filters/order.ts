/**
 * What runs before what: the only list of the filters of a route. The order is Envoy's in an Istio gateway
 * (semantics §0; istio: pilot/pkg/networking/core/listener_builder.go): first what decides whether the client may at
 * all (external authorization, tokens, authorization policies), then rate limits, then what is here.
 */
import type { RoutePlan } from '../plan/route.ts'
import { compileCors } from './cors.ts'
import { compileFault, type FaultDeps } from './fault.ts'
import type { Filter } from './filter.ts'

export interface FilterDeps extends FaultDeps {
  /** The filter of RateLimitPolicies by their names. */
  compileRateLimits(names: readonly string[]): Filter
}

/** @returns The filters in order, or null for a route without any: the request then goes straight to its action. */
export function compileFilters(route: RoutePlan, deps: FilterDeps): readonly Filter[] | null {
  const filters: Filter[] = []
  // First, so that what is refused costs nothing more. Where there are policies in front of routing, most limits were
  // checked with those, and only what came to light since (a route that needs a claim) is checked here.
  if (route.rateLimits !== undefined) filters.push(deps.compileRateLimits(route.rateLimits))
  // Before CORS, so that a fault also hits preflights.
  if (route.fault !== undefined) filters.push(compileFault(route.fault, deps))
  // Last before the action: a preflight has to pass everything that guards the route. Envoy's filter looks for the
  // policy of a route that forwards, so redirects and direct responses have none (`routeEntry()` is null there).
  if (route.cors !== undefined && route.action.kind === 'forward') filters.push(compileCors(route.cors))
  return filters.length === 0 ? null : filters
}
