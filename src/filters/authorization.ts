/**
 * AuthorizationPolicies: whether a request may pass. DENY refuses what a rule matches, ALLOW what none does.
 *
 * Source: semantics §5.6 and §5.10; envoy: source/extensions/filters/http/rbac/rbac_filter.cc.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { AuthorizationPlan, AuthorizationRulePlan, CustomAuthorizationPlan } from '../plan/authorization.ts'
import { compileRules } from './authorization/rules.ts'
import type { Filter, FilterResult } from './filter.ts'

/** What is told about a request and decides nothing. */
export type AuthorizationEvent =
  | { readonly kind: 'audit'; readonly rule: AuthorizationRulePlan }
  /** What policies on trial would have done; `rule` is the one that matched. */
  | {
      readonly kind: 'shadow'
      readonly action: 'ALLOW' | 'DENY'
      readonly result: 'allowed' | 'denied'
      readonly rule: AuthorizationRulePlan | null
    }

export interface AuthorizationDeps {
  /** Null: nobody wants to know, and nothing is evaluated for it. */
  readonly onAuthorizationEvent: ((exchange: Exchange, event: AuthorizationEvent) => void) | null
}

/** A filter that never waits. */
export type SynchronousFilter = (exchange: Exchange) => FilterResult

/** @param matched The id of the rule that refuses; `none`: nothing allows the request. */
export function denied(matched: string): LocalReply {
  return {
    status: 403,
    body: 'RBAC: access denied',
    details: `rbac_access_denied_matched_policy[${matched.replaceAll(/\s/g, '_')}]`,
  }
}

/** AUDIT, DENY and ALLOW in this order; null where no policy has any of them. */
export function compileAuthorization(plan: AuthorizationPlan, deps: AuthorizationDeps): SynchronousFilter | null {
  const steps = [
    compileAudit(plan.audit, deps),
    compileDenyTrial(plan.dryRun.deny, deps),
    compileDeny(plan.deny),
    compileAllowTrial(plan.dryRun.allow, deps),
    compileAllow(plan.allow),
  ].filter((step) => step !== null)
  if (steps.length < 2) return steps[0] ?? null
  return (exchange) => {
    for (const step of steps) {
      const reply = step(exchange)
      if (reply !== undefined) return reply
    }
    return undefined
  }
}

/**
 * Asks an external authorizer about the requests that its rules match.
 *
 * @param ask The authorizer; null: there is none that could be asked, so these requests are refused.
 */
export function compileCustom({ name, rules }: CustomAuthorizationPlan, ask: Filter | null): Filter {
  const search = compileRules(rules)
  if (ask !== null) return (exchange) => (search(exchange) === null ? undefined : ask(exchange))
  const replies = compileReplies(rules, ({ id }) => `istio-ext-authz-${name}-${id}-deny-due-to-bad-CUSTOM-action`)
  return (exchange) => {
    const rule = search(exchange)
    return rule === null ? undefined : replies.get(rule)
  }
}

function compileDeny(rules: readonly AuthorizationRulePlan[]): SynchronousFilter | null {
  if (rules.length === 0) return null
  const search = compileRules(rules)
  const replies = compileReplies(rules, ({ id }) => id)
  return (exchange) => {
    const rule = search(exchange)
    return rule === null ? undefined : replies.get(rule)
  }
}

function compileAllow(rules: readonly AuthorizationRulePlan[] | null): SynchronousFilter | null {
  if (rules === null) return null
  const search = compileRules(rules)
  const reply = denied('none')
  return (exchange) => (search(exchange) === null ? reply : undefined)
}

function compileAudit(
  rules: readonly AuthorizationRulePlan[],
  { onAuthorizationEvent: tell }: AuthorizationDeps,
): SynchronousFilter | null {
  if (rules.length === 0 || tell === null) return null
  const search = compileRules(rules)
  return (exchange) => {
    const rule = search(exchange)
    if (rule !== null) tell(exchange, { kind: 'audit', rule })
    return undefined
  }
}

function compileDenyTrial(
  rules: readonly AuthorizationRulePlan[],
  { onAuthorizationEvent: tell }: AuthorizationDeps,
): SynchronousFilter | null {
  if (rules.length === 0 || tell === null) return null
  const search = compileRules(rules)
  return (exchange) => {
    const rule = search(exchange)
    tell(exchange, { kind: 'shadow', action: 'DENY', result: rule === null ? 'allowed' : 'denied', rule })
    return undefined
  }
}

function compileAllowTrial(
  rules: readonly AuthorizationRulePlan[] | null,
  { onAuthorizationEvent: tell }: AuthorizationDeps,
): SynchronousFilter | null {
  if (rules === null || tell === null) return null
  const search = compileRules(rules)
  return (exchange) => {
    const rule = search(exchange)
    tell(exchange, { kind: 'shadow', action: 'ALLOW', result: rule === null ? 'denied' : 'allowed', rule })
    return undefined
  }
}

function compileReplies(
  rules: readonly AuthorizationRulePlan[],
  matched: (rule: AuthorizationRulePlan) => string,
): ReadonlyMap<AuthorizationRulePlan, LocalReply> {
  return new Map(rules.map((rule) => [rule, denied(matched(rule))]))
}
