/** What requests have to pass before they are routed, whatever route would take them. */
import type { AuthorizationPlan } from './authorization.ts'
import type { JwtProviderPlan } from './jwt.ts'

export interface PoliciesPlan {
  /** Sorted by issuer; empty: tokens are not looked at. */
  readonly jwt: readonly JwtProviderPlan[]
  readonly authorization: AuthorizationPlan
}
