/**
 * What a token says about itself against what a rule asks for: issuer, time, audience, in jwt_verify_lib's order.
 *
 * Source: envoy: source/extensions/filters/http/jwt_authn/authenticator.cc (`startVerify`); jwt_verify_lib:
 * src/jwt.cc (`verifyTimeConstraint`), src/check_audience.cc.
 */
import type { TokenFailure } from './failure.ts'
import type { ParsedToken } from './parse.ts'

/** Clocks of issuers and gateways may differ by so much. */
export const CLOCK_SKEW_S = 60

/** @param issuer What `iss` has to be; empty: anything. */
export function checkIssuer(token: Pick<ParsedToken, 'issuer'>, issuer: string): TokenFailure | undefined {
  return issuer === '' || issuer === token.issuer ? undefined : 'unknown-issuer'
}

/** @param now Milliseconds since 1970. */
export function checkTime(
  { notBefore, expires }: Pick<ParsedToken, 'notBefore' | 'expires'>,
  now: number,
): TokenFailure | undefined {
  const seconds = Math.floor(now / 1000)
  if (notBefore !== undefined && seconds + CLOCK_SKEW_S < notBefore) return 'not-yet-valid'
  // Here `exp: 0` has expired long ago; Envoy takes it for no `exp` at all.
  if (expires !== undefined && seconds > expires + CLOCK_SKEW_S) return 'expired'
  return undefined
}

/** @returns A test of `aud`: one of the audiences has to be in it. Without any of them every token passes. */
export function compileAudiences(audiences: readonly string[]): (token: Pick<ParsedToken, 'audiences'>) => boolean {
  if (audiences.length === 0) return () => true
  const allowed = new Set(audiences.map(bareAudience))
  return (token) => token.audiences.some((audience) => allowed.has(bareAudience(audience)))
}

/** The scheme and a slash at the end make no difference between audiences. */
function bareAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '')
}
