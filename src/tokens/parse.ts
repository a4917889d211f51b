/**
 * The form of a JSON Web Token (RFC 7519 in the compact form of RFC 7515): everything that can be said about it
 * without a key. The order of the checks is that of jwt_verify_lib (src/jwt.cc), as it decides what a client is told.
 */
import { Buffer, isUtf8 } from 'node:buffer'
import type { TokenFailure } from './failure.ts'

/** Signature algorithms that are accepted. `none` is not one, and never will be. */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const

export type Algorithm = (typeof ALGORITHMS)[number]

export type JsonObject = Readonly<Record<string, unknown>>

export interface ParsedToken {
  readonly text: string
  readonly algorithm: Algorithm
  /** Empty: the token does not say. */
  readonly keyId: string
  /** Header parameters that must be understood (RFC 7515 §4.1.11): none of them is. */
  readonly hasCritical: boolean
  /** `iss` and `sub`; empty: it has none. */
  readonly issuer: string
  readonly subject: string
  readonly audiences: readonly string[]
  /** Seconds since 1970; undefined: it has none. */
  readonly notBefore: number | undefined
  readonly expires: number | undefined
  readonly claims: JsonObject
  /** As it is in the token: base64url without padding. */
  readonly payload: string
  readonly signatureBytes: number
}

/** Stricter than jwt_verify_lib, which takes padding and white space: RFC 7515 §2 has neither. */
const BASE64URL = /^[A-Za-z0-9_-]+$/

/** @returns The token, or what is wrong with it. Nothing in it can be trusted before its signature was verified. */
export function parseToken(text: string): ParsedToken | TokenFailure {
  const sections = text.split('.', 4)
  const [encodedHeader, payload, signature] = sections
  if (sections.length !== 3 || !encodedHeader || !payload || !signature) return 'bad-format'
  const header = readJson(encodedHeader)
  if (header === 'base64') return 'header-base64'
  if (header === 'json') return 'header-json'
  const { alg, kid } = header
  if (typeof alg !== 'string') return 'header-alg'
  if (!isAlgorithm(alg)) return 'header-alg-unsupported'
  if (kid !== undefined && typeof kid !== 'string') return 'header-kid'
  const claims = readJson(payload)
  if (claims === 'base64') return 'payload-base64'
  if (claims === 'json') return 'payload-json'
  const failure = checkClaims(claims)
  if (failure !== undefined) return failure
  if (!isBase64url(signature)) return 'signature-base64'
  const { iss, sub, aud, nbf, exp } = claims as RegisteredClaims
  return {
    text,
    algorithm: alg,
    keyId: kid ?? '',
    hasCritical: Object.hasOwn(header, 'crit'),
    issuer: iss ?? '',
    subject: sub ?? '',
    audiences: aud === undefined ? [] : typeof aud === 'string' ? [aud] : aud,
    notBefore: nbf === undefined ? undefined : Math.trunc(nbf),
    expires: exp === undefined ? undefined : Math.trunc(exp),
    claims,
    payload,
    signatureBytes: Math.floor((signature.length * 3) / 4),
  }
}

/** The claims with a meaning of their own (RFC 7519 §4.1), after {@link checkClaims}. */
interface RegisteredClaims {
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string | readonly string[]
  readonly nbf?: number
  readonly exp?: number
}

function checkClaims(claims: JsonObject): TokenFailure | undefined {
  for (const name of ['iss', 'sub'] as const) if (!isAbsentOr('string', claims[name])) return `payload-${name}`
  for (const name of ['iat', 'nbf', 'exp'] as const) {
    const value = claims[name]
    if (!isAbsentOr('number', value)) return `payload-${name}`
    if (typeof value === 'number' && !(value >= 0 && value < 2 ** 63)) return `payload-${name}-range`
  }
  if (!isAbsentOr('string', claims['jti'])) return 'payload-jti'
  const { aud } = claims
  const isText = isAbsentOr('string', aud) || (Array.isArray(aud) && aud.every((one) => typeof one === 'string'))
  return isText ? undefined : 'payload-aud'
}

function isAbsentOr(type: 'string' | 'number', value: unknown): boolean {
  return value === undefined || typeof value === type
}

function isAlgorithm(name: string): name is Algorithm {
  return (ALGORITHMS as readonly string[]).includes(name)
}

function isBase64url(text: string): boolean {
  return text.length % 4 !== 1 && BASE64URL.test(text)
}

function readJson(section: string): JsonObject | 'base64' | 'json' {
  if (!isBase64url(section)) return 'base64'
  try {
    const bytes = Buffer.from(section, 'base64url')
    if (!isUtf8(bytes)) return 'json'
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : 'json'
  } catch {
    return 'json'
  }
}
