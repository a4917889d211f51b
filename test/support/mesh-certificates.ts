/**
 * Certificate authorities and certificates made on the spot, right or wrong as a test needs them: any validity to the
 * second, any names, any key.
 */
import { type KeyObject, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'
import {
  bitString,
  booleanTrue,
  element,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
} from '../../src/certificates/mesh/der.ts'

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export interface Authority extends KeyPair {
  readonly name: string
  /** PEM. */
  readonly certificate: string
}

export interface CertificateParts {
  readonly publicKey: KeyObject
  /** Common name; absent: the subject is empty. */
  readonly name?: string
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly (readonly [number, number, number, number])[]
  /** Milliseconds since 1970; default: two minutes ago, in an hour. */
  readonly notBefore?: number
  readonly notAfter?: number
  readonly isAuthority?: boolean
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

export function createKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

export function pemOfKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** @param parent Absent: self-signed. */
export function createAuthority(
  name: string,
  parent?: Authority,
  validity: Pick<CertificateParts, 'notBefore' | 'notAfter'> = {},
): Authority {
  const keys = createKeys()
  const signer = parent ?? { ...keys, name }
  const certificate = signCertificate(signer, { ...validity, publicKey: keys.publicKey, name, isAuthority: true })
  return { ...keys, name, certificate }
}

/** @returns PEM. */
export function signCertificate(signer: Pick<Authority, 'name' | 'privateKey'>, parts: CertificateParts): string {
  const notBefore = parts.notBefore ?? Date.now() - 2 * MINUTE_MS
  const notAfter = parts.notAfter ?? Date.now() + HOUR_MS
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
  const body = sequence(
    element(0xa0, smallInteger(2)),
    element(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    nameOf(signer.name),
    sequence(time(notBefore), time(notAfter)),
    nameOf(parts.name),
    parts.publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensions(parts))),
  )
  const whole = sequence(body, algorithm, bitString(sign('sha256', body, signer.privateKey)))
  return new X509Certificate(whole).toString()
}

function extensions({ uris = [], dnsNames = [], addresses = [], isAuthority = false }: CertificateParts): Buffer[] {
  const names = [
    ...uris.map((uri) => element(0x86, Buffer.from(uri))),
    ...dnsNames.map((name) => element(0x82, Buffer.from(name))),
    ...addresses.map((address) => element(0x87, Buffer.from(address))),
  ]
  const constraints = sequence(...(isAuthority ? [booleanTrue()] : []))
  return [
    sequence(objectIdentifier('2.5.29.19'), booleanTrue(), octetString(constraints)),
    ...(names.length === 0
      ? []
      : [sequence(objectIdentifier('2.5.29.17'), booleanTrue(), octetString(sequence(...names)))]),
  ]
}

function nameOf(name?: string): Buffer {
  if (name === undefined) return sequence()
  return sequence(setOf(sequence(objectIdentifier('2.5.4.3'), element(0x0c, Buffer.from(name)))))
}

/** GeneralizedTime, whole seconds. Readers of RFC 5280 want UTCTime before 2050; OpenSSL takes both. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.[0-9]+/g, '')
  return element(0x18, Buffer.from(text))
}
