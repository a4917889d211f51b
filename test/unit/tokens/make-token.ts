/** Keys and tokens for tests, signed by jose itself or put together by hand where jose would refuse to. */
import { createHmac } from 'node:crypto'
import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose'
import { type ParsedToken, parseToken } from '../../../src/tokens/parse.ts'

export interface TestKey {
  readonly algorithm: string
  readonly keyId: string
  /** As a key set holds it. */
  readonly jwk: JWK
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'] | Uint8Array
}

/** Key pairs are made once for each algorithm and key id: RSA takes its time. */
const made = new Map<string, Promise<TestKey>>()

export function testKey(algorithm: string, keyId = `${algorithm}-key`): Promise<TestKey> {
  const name = `${algorithm} ${keyId}`
  let key = made.get(name)
  if (key === undefined) made.set(name, (key = makeKey(algorithm, keyId)))
  return key
}

async function makeKey(algorithm: string, keyId: string): Promise<TestKey> {
  if (algorithm.startsWith('HS')) {
    const secret = new TextEncoder().encode(`${keyId}-`.padEnd(64, 'x'))
    const k = Buffer.from(secret).toString('base64url')
    return { algorithm, keyId, jwk: { kty: 'oct', k, kid: keyId }, privateKey: secret }
  }
  const options = algorithm === 'EdDSA' ? { crv: 'Ed25519' } : {}
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true, ...options })
  return { algorithm, keyId, jwk: { ...(await exportJWK(publicKey)), kid: keyId }, privateKey }
}

export function keySetText(...keys: readonly TestKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })
}

export async function sign(
  key: TestKey,
  claims: unknown,
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const signer = new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
  return signer.setProtectedHeader({ alg: key.algorithm, kid: key.keyId, ...header }).sign(key.privateKey)
}

export function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

/** Sections that are not what jose would write; a text stands for itself. */
export function unsigned(header: unknown, claims: unknown, signature = 'AAAA'): string {
  return `${encode(header)}.${encode(claims)}.${signature}`
}

/** HS256 with a public key as the secret: what key confusion looks like. */
export function confused({ jwk, keyId }: TestKey, claims: unknown, secret: string = JSON.stringify(jwk)): string {
  const signed = `${encode({ alg: 'HS256', kid: keyId })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

export function parsed(text: string): ParsedToken {
  const token = parseToken(text)
  if (typeof token === 'string') throw new Error(`not a token: ${token}`)
  return token
}
