/** What requests have to pass before they are routed, whatever route would take them. */
import type { AuthorizationPlan } from './authorization.ts'
import type { JwtProviderPlan } from './jwt.ts'
import type { Origin } from './problem.ts'

export interface PoliciesPlan {
  /** Sorted by issuer; empty: tokens are not looked at. */
  readonly jwt: readonly JwtProviderPlan[]
  readonly authorization: AuthorizationPlan
  /** Every AuthorizationPolicy that is part of `authorization`, those without rules too. */
  readonly authorizationPolicies: readonly AuthorizationPolicyPlan[]
}

export interface AuthorizationPolicyPlan {
  readonly origin: Origin
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM'
  /** `istio.io/dry-run`: it decides nothing. */
  readonly isTrial: boolean
}
