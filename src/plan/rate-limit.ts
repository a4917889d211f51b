/** Rate limits of the plan: one RateLimitPolicy each, its defaults filled in. Times are milliseconds. */
import type { RouteMatch } from './route.ts'

/** A request attribute that decides, with the others of its rule, which bucket a request is counted in. */
export type RateLimitKeyPlan =
  /**
   * The trusted client address. Bits that count, of IPv4 and of IPv6: one client of IPv6 has a whole network of
   * addresses to choose from.
   */
  | { readonly kind: 'clientIP'; readonly ipv4Bits: number; readonly ipv6Bits: number }
  /** Lower case. */
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }
  | { readonly kind: 'query'; readonly name: string }
  /** Names from the outside in. */
  | { readonly kind: 'claim'; readonly path: readonly string[] }
  | { readonly kind: 'peer' }
  | { readonly kind: 'host' }
  | { readonly kind: 'method' }
  | { readonly kind: 'path' }

export interface RateLimitMatchPlan extends RouteMatch {
  /** The Gateway server's port. */
  readonly port?: number
}

export interface RateLimitRulePlan {
  /** The rule's name, or its index. */
  readonly name: string
  /** Any of them; null: every request. */
  readonly matches: readonly RateLimitMatchPlan[] | null
  /** Empty: one bucket for all requests. */
  readonly key: readonly RateLimitKeyPlan[]
  /** What becomes of a request that lacks an attribute of `key`: it is not limited, or counted with its like. */
  readonly missing: 'skip' | 'limit'
  /** At least 1 each; `burst` at least 0. `requests` and `burst` together are admitted within `perMs`. */
  readonly limit: { readonly requests: number; readonly perMs: number; readonly burst: number }
  readonly window: 'fixed' | 'sliding'
  readonly scope: 'global' | 'local'
  readonly whenStoreFails: 'local' | 'allow' | 'deny'
  readonly shadow: boolean
  /** Cost of a request; or the name (lower case) of the header that says it. */
  readonly hits: number | { readonly header: string }
  readonly status: number
  readonly body: string
  /** `x-ratelimit-*` in answers. */
  readonly responseHeaders: boolean
}

export interface RateLimitPolicyPlan {
  /** `NAMESPACE/NAME` */
  readonly name: string
  /** Some rule looks at claims, so the policy is checked once tokens are verified. */
  readonly needsTokens: boolean
  readonly rules: readonly RateLimitRulePlan[]
}
