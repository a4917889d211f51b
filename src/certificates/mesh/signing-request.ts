/**
 * A certification request (PKCS#10, RFC 2986) for a SPIFFE id, and the key that it is for.
 *
 * node:crypto makes keys and signatures but no requests. A library for them is some twenty packages and a polyfill of
 * globals, for one structure with one extension; so it is written here, and the tests have OpenSSL verify it.
 */
import { generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import {
  bitString,
  booleanTrue,
  element,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
} from './der.ts'

/** `ECDSA` is P-256. Istio's agents make RSA keys of 2048 bits where nothing else is said, ztunnel P-256. */
export type KeyType = 'ECDSA' | 'RSA'

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const RSA_BITS = 2048

const OID = {
  /** PKCS#9 extensionRequest, RFC 2985 section 5.4.2. */
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  sha256WithRsa: '1.2.840.113549.1.1.11',
} as const

/** `[0]`, constructed: the attributes of a request. */
const ATTRIBUTES = 0xa0
/** `[6]`, primitive: a URI among general names (RFC 5280 section 4.2.1.6). */
const URI_NAME = 0x86

/** Off the main thread: an RSA key takes some hundred milliseconds. */
export async function createKeyPair(type: KeyType): Promise<KeyPair> {
  return type === 'RSA'
    ? promisify(generateKeyPair)('rsa', { modulusLength: RSA_BITS })
    : promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
}

/**
 * @param keys RSA or P-256.
 * @param uri The only name that is asked for: subject empty, extension critical (X.509-SVID sections 2 and 3;
 *   `istio: security/pkg/pki/util/generate_csr.go`).
 * @returns PEM.
 */
export function createSigningRequest({ publicKey, privateKey }: KeyPair, uri: string): string {
  const names = sequence(element(URI_NAME, Buffer.from(uri, 'latin1')))
  const extension = sequence(objectIdentifier(OID.subjectAltName), booleanTrue(), octetString(names))
  const attribute = sequence(objectIdentifier(OID.extensionRequest), setOf(sequence(extension)))
  const info = sequence(
    smallInteger(0),
    sequence(),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(ATTRIBUTES, attribute),
  )
  const request = sequence(info, signatureAlgorithm(privateKey), bitString(sign('sha256', info, privateKey)))
  const lines = request.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n')
}

/** The parameters are absent for ECDSA (RFC 5758 section 3.2) and NULL for RSA (RFC 4055 section 5). */
function signatureAlgorithm(key: KeyObject): Buffer {
  return key.asymmetricKeyType === 'ec'
    ? sequence(objectIdentifier(OID.ecdsaWithSha256))
    : sequence(objectIdentifier(OID.sha256WithRsa), nullValue())
}
