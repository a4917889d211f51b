/**
 * What every request has to pass before it is routed, in Envoy's order: external authorization, tokens, authorization
 * (semantics §0). Rate limits come first, before what costs most, and those that ask for claims once these are verified.
 * Whatever fails on the way refuses the request.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { ExtAuthzProviderPlan } from '../plan/ext-authz.ts'
import type { PoliciesPlan } from '../plan/policy.ts'
import { type AuthorizationDeps, compileAuthorization, compileCustom, denied } from './authorization.ts'
import type { Filter, FilterResult } from './filter.ts'
import { compileJwt, type JwtDeps } from './jwt.ts'

export interface PoliciesDeps extends JwtDeps, AuthorizationDeps {
  compileExtAuthz(provider: ExtAuthzProviderPlan): Filter
  /** Checks the rate limits of the route that would take the request now; null: there are no limits of routes. */
  readonly checkRateLimits:
    ((exchange: Exchange, stage: 'before-tokens' | 'after-tokens') => FilterResult | Promise<FilterResult>) | null
  /** A policy that failed, or, without an exchange, one that could not be compiled. */
  onPolicyError(error: unknown, exchange: Exchange | null): void
}

/**
 * @returns Null where there is nothing to pass. The filter goes on in the same turn of the event loop while none of its
 * parts has to wait; it never throws, and its promise never rejects.
 */
export function compilePolicies(plan: PoliciesPlan, deps: PoliciesDeps): Filter | null {
  let filters: readonly Filter[]
  try {
    filters = compileFilters(plan, deps)
  } catch (error) {
    deps.onPolicyError(error, null)
    return () => denied('none')
  }
  return filters.length === 0 ? null : (exchange) => run(filters, 0, exchange, deps)
}

function compileFilters({ jwt, authorization }: PoliciesPlan, deps: PoliciesDeps): readonly Filter[] {
  const policies = [
    ...authorization.custom.map((custom) =>
      compileCustom(custom, custom.provider === null ? null : deps.compileExtAuthz(custom.provider)),
    ),
    compileJwt(jwt, deps),
  ].filter((filter) => filter !== null)
  const last = compileAuthorization(authorization, deps)
  if (policies.length === 0 && last === null) return []
  const { checkRateLimits: check } = deps
  return [
    ...(check === null ? [] : [(exchange: Exchange) => check(exchange, 'before-tokens')]),
    ...policies,
    ...(check === null ? [] : [(exchange: Exchange) => check(exchange, 'after-tokens')]),
    ...(last === null ? [] : [last]),
  ]
}

function run(
  filters: readonly Filter[],
  from: number,
  exchange: Exchange,
  deps: PoliciesDeps,
): FilterResult | Promise<FilterResult> {
  for (let at = from; at < filters.length; at++) {
    let result: FilterResult | Promise<FilterResult>
    try {
      result = filters[at]!(exchange)
    } catch (error) {
      return refuse(error, exchange, deps)
    }
    if (result === undefined) continue
    if (!('then' in result)) return result
    return result.then(
      (reply) => reply ?? run(filters, at + 1, exchange, deps),
      (error: unknown) => refuse(error, exchange, deps),
    )
  }
  return undefined
}

function refuse(error: unknown, exchange: Exchange, deps: PoliciesDeps): FilterResult {
  deps.onPolicyError(error, exchange)
  return denied('none')
}
