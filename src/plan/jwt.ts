/**
 * JSON Web Tokens of the plan: one rule of a RequestAuthentication per entry. Header names are lower case, times are
 * milliseconds.
 */
import type { Origin } from './problem.ts'

/** Where the public keys of an issuer come from. */
export type JwtKeysPlan =
  /** `jwks`: a JSON Web Key Set as text. */
  | { readonly kind: 'inline'; readonly jwks: string }
  /** `jwksUri`. */
  | { readonly kind: 'uri'; readonly uri: string; readonly timeoutMs: number }
  /** The document at `uri` (OpenID Connect Discovery) names the key set's address. */
  | { readonly kind: 'discovery'; readonly uri: string; readonly timeoutMs: number }
  /** Neither is set and the issuer is no address: every token is refused. */
  | { readonly kind: 'none' }

/** A place of the request that may hold a token. */
export type JwtLocationPlan =
  /** `prefix` is looked for anywhere in the value, and what follows is the token; empty: the whole value. */
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'param'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }

export interface JwtClaimHeaderPlan {
  readonly header: string
  /** Names from the outside in. */
  readonly claim: readonly string[]
}

export interface JwtProviderPlan {
  readonly origin: Origin
  /** What `iss` must be; empty: it is not looked at. */
  readonly issuer: string
  /** Any of them must be in `aud`; empty: it is not looked at. */
  readonly audiences: readonly string[]
  readonly keys: JwtKeysPlan
  /** In the order in which they are looked at; the first token that is found is the rule's. */
  readonly locations: readonly JwtLocationPlan[]
  /** False: the token is taken out of the request once it was found to be good. */
  readonly forwardOriginalToken: boolean
  /** Header that tells the upstream the payload (base64url); absent: none. */
  readonly outputPayloadToHeader?: string
  readonly outputClaimToHeaders: readonly JwtClaimHeaderPlan[]
  /** Claims whose text is a list with blanks between its members. */
  readonly spaceDelimitedClaims: readonly string[]
}
