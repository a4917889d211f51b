/**
 * A JSON Web Key Set (RFC 7517) and the signatures that it vouches for. jose reads keys and checks signatures, but for
 * RSASSA-PKCS1-v1_5, the usual one: there Node checks at once what jose hands to a thread, which takes twice the CPU
 * (loadtest/micro/policies.ts). Which key is tried for which token follows jwt_verify_lib (src/verify.cc).
 */
import { KeyObject, verify as verifySignature } from 'node:crypto'
import { compactVerify, importJWK, type JWK } from 'jose'
import type { TokenFailure } from './failure.ts'
import type { Algorithm, JsonObject, ParsedToken } from './parse.ts'

/** A `KeyObject` is an RSA key for {@link DIGESTS}. */
type ImportedKey = Awaited<ReturnType<typeof importJWK>> | KeyObject

interface Key {
  readonly jwk: JWK
  /** Empty: fits any token. */
  readonly keyId: string
  /** Empty: fits any algorithm of its type. */
  readonly algorithm: string
  /**
   * Imported when first used, for each algorithm by itself: at most the few of the key's type. Null: a key that cannot
   * be used with it (a curve that does not fit, say).
   */
  readonly imported: Map<Algorithm, ImportedKey | null>
}

const ED25519_SIGNATURE_BYTES = 64

/** RFC 7518 §3.3: RSASSA-PKCS1-v1_5, whose keys have at least so many bits. */
const DIGESTS: Readonly<Partial<Record<Algorithm, string>>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' }
const LEAST_RSA_BITS = 2048

export class KeySet {
  readonly #keys: readonly Key[]

  private constructor(keys: readonly Key[]) {
    this.#keys = keys
  }

  /** @returns Null where the text is no key set, or has no key that could verify a signature. */
  static parse(text: string): KeySet | null {
    let keys: unknown
    try {
      keys = (JSON.parse(text) as { keys?: unknown } | null)?.keys
    } catch {
      return null
    }
    const usable = Array.isArray(keys) ? keys.filter(isUsable).map(readKey) : []
    return usable.length === 0 ? null : new KeySet(usable)
  }

  /** Whether a key claims to be the one for this token. */
  fits(token: ParsedToken): boolean {
    return this.#keys.some((key) => isMeantFor(key, token))
  }

  /** @returns Undefined where a key of the set has signed the token. */
  async verify(token: ParsedToken): Promise<TokenFailure | undefined> {
    const meant = this.#keys.filter((key) => isMeantFor(key, token))
    if (meant.length === 0) return 'no-matching-key'
    if (token.hasCritical) return 'bad-signature'
    for (const key of meant) {
      // The token names the algorithm, so it must not choose what kind of key it is checked with: a public RSA key
      // read as the secret of an HMAC would let anybody sign.
      if (!isOfType(key.jwk, token.algorithm)) continue
      if (token.algorithm === 'EdDSA' && token.signatureBytes !== ED25519_SIGNATURE_BYTES) return 'signature-length'
      let imported = key.imported.get(token.algorithm)
      // Asked for only once: a promise more on the way of each token costs as much as parsing it.
      if (imported === undefined) imported = await importFor(key, token.algorithm)
      if (imported === null) continue
      // Another key may have signed it.
      if (imported instanceof KeyObject ? hasSigned(imported, token) : await hasSignedByJose(imported, token)) {
        return undefined
      }
    }
    return 'bad-signature'
  }
}

function hasSigned(key: KeyObject, { text, algorithm }: ParsedToken): boolean {
  const end = text.lastIndexOf('.')
  const signed = Buffer.from(text.slice(0, end), 'latin1')
  return verifySignature(DIGESTS[algorithm], signed, key, Buffer.from(text.slice(end + 1), 'base64url'))
}

async function hasSignedByJose(key: Exclude<ImportedKey, KeyObject>, { text, algorithm }: ParsedToken) {
  try {
    await compactVerify(text, key, { algorithms: [algorithm] })
    return true
  } catch {
    return false
  }
}

async function importFor(key: Key, algorithm: Algorithm): Promise<ImportedKey | null> {
  let imported: ImportedKey | null = await importJWK(key.jwk, algorithm).catch(() => null)
  if (imported !== null && DIGESTS[algorithm] !== undefined && !(imported instanceof Uint8Array)) {
    const rsa = KeyObject.from(imported)
    imported = (rsa.asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_RSA_BITS ? null : rsa
  }
  key.imported.set(algorithm, imported)
  return imported
}

function isMeantFor({ keyId, algorithm }: Key, token: ParsedToken): boolean {
  if (keyId !== '' && token.keyId !== '' && keyId !== token.keyId) return false
  return algorithm === '' || algorithm === token.algorithm
}

function isOfType({ kty }: JWK, algorithm: Algorithm): boolean {
  switch (algorithm.slice(0, 2)) {
    case 'ES':
      return kty === 'EC'
    case 'RS':
    case 'PS':
      return kty === 'RSA'
    case 'HS':
      return kty === 'oct'
    default:
      return kty === 'OKP'
  }
}

/** What a key of each type cannot do without (RFC 7518 §6, RFC 8037 §2). */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  oct: ['k'],
  OKP: ['crv', 'x'],
}

function isUsable(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null) return false
  const key = value as JsonObject
  const { kty, use, crv } = key
  if (typeof kty !== 'string' || !Object.hasOwn(NEEDED, kty)) return false
  // RFC 7517 §4.2: a key for encryption is none for signatures.
  if (use !== undefined && use !== 'sig') return false
  if (kty === 'OKP' && crv !== 'Ed25519') return false
  return NEEDED[kty]!.every((field) => typeof key[field] === 'string')
}

/** Private parts, which have no business in a key set, are not even kept; nor is what jose would judge by again. */
function readKey(key: JsonObject): Key {
  const kty = key['kty'] as string
  const fields = ['kty', ...NEEDED[kty]!].map((field) => [field, key[field]])
  return {
    jwk: Object.fromEntries(fields) as JWK,
    keyId: textOf(key['kid']),
    algorithm: textOf(key['alg']),
    imported: new Map(),
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
