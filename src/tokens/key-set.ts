/**
 * A JSON Web Key Set (RFC 7517) and the signatures that it vouches for. jose does the cryptography; which key is tried
 * for which token follows jwt_verify_lib (src/verify.cc).
 */
import { compactVerify, importJWK, type JWK } from 'jose'
import type { TokenFailure } from './failure.ts'
import type { Algorithm, JsonObject, ParsedToken } from './parse.ts'

type ImportedKey = Awaited<ReturnType<typeof importJWK>>

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
  readonly imported: Map<Algorithm, Promise<ImportedKey | null>>
}

const ED25519_SIGNATURE_BYTES = 64

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
      if (await hasSigned(key, token)) return undefined
    }
    return 'bad-signature'
  }
}

async function hasSigned(key: Key, { text, algorithm }: ParsedToken): Promise<boolean> {
  const imported = await importFor(key, algorithm)
  if (imported === null) return false
  try {
    await compactVerify(text, imported, { algorithms: [algorithm] })
    return true
  } catch {
    return false
  }
}

function importFor(key: Key, algorithm: Algorithm): Promise<ImportedKey | null> {
  let imported = key.imported.get(algorithm)
  if (imported === undefined) {
    imported = importJWK(key.jwk, algorithm).catch(() => null)
    key.imported.set(algorithm, imported)
  }
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
