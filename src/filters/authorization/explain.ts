/** What authorization policies would make of a request, in words: for `sluice explain`. */
import type { Exchange } from '../../exchange/exchange.ts'
import type { AuthorizationPlan, AuthorizationRulePlan } from '../../plan/authorization.ts'
import type { Origin } from '../../plan/problem.ts'
import { compileRule } from './rules.ts'

export interface AuthorizationExplanation {
  /**
   * `denied`: a request like this is refused with 403. `asked`: an external authorizer decides first, and the policies
   * after it let the request pass. `unknown`: it depends on what the description of the request does not say.
   */
  readonly outcome: 'allowed' | 'denied' | 'asked' | 'unknown'
  /** One sentence. */
  readonly because: string
  /** The rule that decides; absent: that none matched does, or there are none. */
  readonly rule?: Origin
}

/** @param exchange With `tokens` as the request's would be, and addresses where they are known. */
export function explainAuthorization(plan: AuthorizationPlan, exchange: Exchange): AuthorizationExplanation {
  try {
    return explain(plan, exchange)
  } catch (error) {
    return { outcome: 'unknown', because: `a policy cannot be evaluated: ${(error as Error).message}` }
  }
}

function explain({ custom, deny, allow }: AuthorizationPlan, exchange: Exchange): AuthorizationExplanation {
  let asked: AuthorizationExplanation | null = null
  for (const { name, provider, rules } of custom) {
    const rule = find(rules, exchange)
    if (rule === undefined) continue
    if (provider === null) {
      return refused(rule, `${rule.id} asks the external authorizer "${name}", which cannot be asked`)
    }
    asked ??= { outcome: 'asked', because: `${rule.id} asks the external authorizer "${name}"`, rule: rule.origin }
  }
  const denying = find(deny, exchange)
  if (denying !== undefined) return refused(denying, `${denying.id} denies it`)
  if (allow === null) {
    return asked ?? { outcome: 'allowed', because: 'no policy denies it, and there is no ALLOW policy' }
  }
  const allowing = find(allow, exchange)
  if (allowing === undefined) return { outcome: 'denied', because: 'no rule of the ALLOW policies matches it' }
  return asked ?? { outcome: 'allowed', because: `${allowing.id} allows it`, rule: allowing.origin }
}

function find(rules: readonly AuthorizationRulePlan[], exchange: Exchange): AuthorizationRulePlan | undefined {
  return rules.find((rule) => compileRule(rule)(exchange))
}

function refused({ origin }: AuthorizationRulePlan, because: string): AuthorizationExplanation {
  return { outcome: 'denied', because, rule: origin }
}
