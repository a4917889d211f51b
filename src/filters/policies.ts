/**
 * What every request has to pass before it is routed, in Envoy's order: external authorization, tokens, authorization
 * (semantics §0). Rate limits come first, before what costs most, and those that ask for claims once these are verified.
 * Whatever fails on the way refuses the request.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { ExtAuthzProviderPlan } from '../plan/ext-authz.ts'
import type { PoliciesPlan } from '../plan/policy.ts'
import { type AuthorizationDeps, compileAuthorization, compileCustom, denied } from './authorization.ts'
import { forConnections } from './authorization/connections.ts'
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

export interface CompiledPolicies {
  /** Null where there is nothing to pass. */
  readonly filter: Filter | null
  /** The same but for what asks or counts elsewhere: external authorizers and rate limits. For proofs. */
  readonly ownFilter: Filter | null
}

/**
 * The filters go on in the same turn of the event loop while none of their parts has to wait; they never throw, and
 * their promises never reject.
 */
export function compilePolicies(plan: PoliciesPlan, deps: PoliciesDeps): CompiledPolicies {
  try {
    return compileFilters(plan, deps)
  } catch (error) {
    deps.onPolicyError(error, null)
    const closed = () => denied('none')
    return { filter: closed, ownFilter: closed }
  }
}

/**
 * What every connection has to pass of which no request is read.
 *
 * @returns Null where there is nothing to pass. Never throws; a reply is why the connection is refused.
 */
export function compileConnectionPolicies(
  { authorization }: PoliciesPlan,
  deps: PoliciesDeps,
): ((exchange: Exchange) => LocalReply | undefined) | null {
  let filters: readonly Filter[]
  try {
    const plan = forConnections(authorization)
    filters = [
      ...plan.custom.map((custom) => compileCustom(custom, null)),
      ...[compileAuthorization(plan, deps)].filter((filter) => filter !== null),
    ]
  } catch (error) {
    deps.onPolicyError(error, null)
    return () => denied('none')
  }
  if (filters.length === 0) return null
  return (exchange) => {
    const result = run(filters, 0, exchange, deps)
    // None of them waits; should one, it has not let the connection pass.
    return result !== undefined && 'then' in result ? denied('none') : result
  }
}

function compileFilters({ jwt, authorization }: PoliciesPlan, deps: PoliciesDeps): CompiledPolicies {
  const custom = authorization.custom.map(({ provider, ...rest }) => ({
    asksNobody: provider === null,
    filter: compileCustom({ provider, ...rest }, provider === null ? null : deps.compileExtAuthz(provider)),
  }))
  const tokens = compileJwt(jwt, deps)
  const last = compileAuthorization(authorization, deps)
  const own = [...custom.filter(({ asksNobody }) => asksNobody).map(({ filter }) => filter), tokens, last]
  const chain = { filter: null, ownFilter: inTurn(own, deps) }
  if (custom.length === 0 && tokens === null && last === null) return chain
  const { checkRateLimits: check } = deps
  const all = [
    check === null ? null : (exchange: Exchange) => check(exchange, 'before-tokens'),
    ...custom.map(({ filter }) => filter),
    tokens,
    check === null ? null : (exchange: Exchange) => check(exchange, 'after-tokens'),
    last,
  ]
  return { ...chain, filter: inTurn(all, deps) }
}

function inTurn(filters: readonly (Filter | null)[], deps: PoliciesDeps): Filter | null {
  const some = filters.filter((filter) => filter !== null)
  return some.length === 0 ? null : (exchange) => run(some, 0, exchange, deps)
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
