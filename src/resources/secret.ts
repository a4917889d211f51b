/**
 * Secret of Kubernetes' core v1. Its values are never part of a problem or a log line. It has no `spec`: what stands
 * beside `metadata` is read as one.
 */
import { Type, type Static } from 'typebox'
import { isBase64 } from '../lib/base64.ts'
import { PemError, readKeyPair } from '../lib/pem.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings, pointerToken } from './findings.ts'
import type { Resource } from './resource.ts'
import { type Frozen, map, optional, text } from './schema.ts'

export const SecretSpecSchema = Type.Object({
  type: optional(text),
  /** base64 */
  data: optional(map(text)),
  stringData: optional(map(text)),
})

/** `data` holds `stringData` too, which wins as in Kubernetes; values are base64. */
export interface SecretSpec {
  /** For example `kubernetes.io/tls`; `Opaque` where the object named none. */
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}

export type RawSecretSpec = Frozen<Static<typeof SecretSpecSchema>>
export type Secret = Resource<'Secret', SecretSpec>

/** What the API server makes of a Secret when it stores it: one map, base64. */
export function normaliseSecret({ type, data, stringData }: RawSecretSpec): SecretSpec {
  const merged: Record<string, string> = { ...data }
  for (const [key, value] of Object.entries(stringData ?? {})) merged[key] = Buffer.from(value).toString('base64')
  return { type: type ?? 'Opaque', data: merged }
}

/** Where a Secret may hold a certificate with its chain, and the key that belongs to it. */
const KEY_PAIRS = [
  ['cert', 'key'],
  ['tls.crt', 'tls.key'],
] as const

/** No message of this function quotes a value. */
export function validateSecret(secret: Secret): Problem[] {
  const findings = createFindings(secret)
  for (const [key, value] of Object.entries(secret.spec.data)) {
    if (isBase64(value)) continue
    findings.error('secret/data', `/data/${pointerToken(key)}`, 'the value is not base64', {
      remedy: 'Write values as they are under "stringData" instead.',
    })
  }
  if (secret.spec.type === 'kubernetes.io/tls') {
    for (const key of ['tls.crt', 'tls.key']) {
      if (secret.spec.data[key] === undefined) {
        findings.error('secret/data', '/data', `a Secret of type kubernetes.io/tls needs "${key}"`)
      }
    }
  }
  for (const [chainKey, keyKey] of KEY_PAIRS) checkKeyPair(findings, secret, chainKey, keyKey)
  return [...findings.problems]
}

/**
 * A pair that does not fit is refused, so that the last good version of the Secret stays in force. In a Secret of no
 * type only what looks like a pair is taken for one.
 */
function checkKeyPair(findings: Findings, { spec: { type, data } }: Secret, chainKey: string, keyKey: string): void {
  const [chain, key] = [textOf(data[chainKey]), textOf(data[keyKey])]
  if (chain === undefined || key === undefined) return
  const isPair = chain.includes('-----BEGIN CERTIFICATE-----') && key.includes('PRIVATE KEY-----')
  if (!isPair && type !== 'kubernetes.io/tls') return
  try {
    readKeyPair(chain, key)
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    findings.error('secret/key-pair', '/data', `"${chainKey}" and "${keyKey}" are no key pair: ${error.message}`, {
      remedy:
        'Put the certificate first and what it was issued by behind it, all in PEM, and the key that belongs to it.',
    })
  }
}

function textOf(base64: string | undefined): string | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString('latin1')
}
