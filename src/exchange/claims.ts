/** Claims of verified tokens, as policies, routes and headers ask for them. */
import type { VerifiedToken } from './exchange.ts'

/**
 * @param path Names from the outside in. A claim's name may hold any character, so nothing is split here.
 * @returns Undefined where there is no such claim.
 */
export function claimAt(claims: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  let value: unknown = claims
  for (const name of path) {
    // Own properties only: a token's claims must not reach what every object has.
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) {
      return undefined
    }
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/**
 * Whether the claim is text that passes the test, or a list with such a member; anything else never passes.
 *
 * Source: istio: pilot/pkg/security/authz/matcher (`MetadataMatcherForJWTClaims`).
 */
export function claimPasses(
  tokens: readonly VerifiedToken[],
  path: readonly string[],
  test: (value: string) => boolean,
): boolean {
  for (const { claims } of tokens) {
    const value = claimAt(claims, path)
    if (typeof value === 'string') {
      if (test(value)) return true
    } else if (Array.isArray(value) && value.some((member) => typeof member === 'string' && test(member))) return true
  }
  return false
}
