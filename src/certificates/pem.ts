/** Certificates, keys and revocation lists as texts (RFC 7468), checked before anything uses them. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { Redacted } from '../lib/redacted.ts'

/** Why material cannot be used. The message holds no part of a key. */
export class MaterialError extends Error {}

/** When material can be used, ms since the epoch. */
export interface Validity {
  readonly validFrom: number
  readonly validTo: number
}

/** A certificate with its chain, and the key that fits it. */
export interface KeyPairMaterial extends Validity {
  /** PEM, leaf first. */
  readonly certificateChain: string
  readonly privateKey: Redacted
  readonly leaf: X509Certificate
}

/** What a peer's certificate is verified against. */
export interface TrustMaterial extends Validity {
  /** PEM, one certificate each. */
  readonly certificates: readonly string[]
  /** PEM, one list each. Where there is one, every certificate of a chain must be covered by one. */
  readonly crls: readonly string[]
}

/**
 * Reads a key pair.
 *
 * @throws MaterialError where a text is no PEM, the key is encrypted or too weak, or does not fit the certificate.
 */
export function readKeyPair(certificateChain: string, privateKey: string): KeyPairMaterial {
  const certificates = certificatesOf(certificateChain)
  const leaf = certificates[0]!
  if (!leaf.checkPrivateKey(readKey(privateKey))) {
    throw new MaterialError(`the private key does not belong to the certificate (${describe(leaf)})`)
  }
  const chain = certificates.map(String).join('')
  // What OpenSSL will not use, a short RSA key for one, shows here and not in the first handshake.
  attempt('the key pair cannot be used', () => createSecureContext({ cert: chain, key: privateKey }))
  return { certificateChain: chain, privateKey: new Redacted(privateKey), leaf, ...validityOf([leaf]) }
}

/**
 * Reads a bundle of authorities, and their revocation lists.
 *
 * @param crl One list or several, PEM.
 * @throws MaterialError where there is no certificate, or one or a list is malformed.
 */
export function readTrust(caCertificates: string, crl?: string): TrustMaterial {
  const authorities = certificatesOf(caCertificates)
  const crls = crl === undefined ? [] : blocks(crl, 'X509 CRL')
  if (crl !== undefined && crls.length === 0) throw new MaterialError('the revocation list is no PEM X509 CRL')
  attempt('a revocation list is malformed', () => createSecureContext({ ca: [], crl: [...crls] }))
  // The same authority twice, as in the folders of a system, costs time and memory in every context.
  const certificates = [...new Set(authorities.map(String))]
  return { certificates, crls, ...validityOf(authorities) }
}

function certificatesOf(text: string): readonly X509Certificate[] {
  const found = blocks(text, 'CERTIFICATE')
  if (found.length === 0) throw new MaterialError('there is no PEM certificate in it')
  return found.map((block, index) =>
    attempt(`certificate ${index + 1} of ${found.length} is malformed`, () => new X509Certificate(block)),
  )
}

function readKey(text: string): KeyObject {
  // RFC 7468 §11, and the older form of RFC 1421.
  if (/^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(text)) {
    throw new MaterialError('the private key is encrypted')
  }
  try {
    return createPrivateKey(text)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new MaterialError(`the private key is no PEM private key${code === undefined ? '' : ` (${code})`}`)
  }
}

function blocks(text: string, label: string): readonly string[] {
  const begin = `-----BEGIN ${label}-----`
  const end = `-----END ${label}-----`
  const found: string[] = []
  for (let at = text.indexOf(begin); at !== -1; at = text.indexOf(begin, at)) {
    const close = text.indexOf(end, at)
    if (close === -1) throw new MaterialError(`a "${begin}" has no end`)
    found.push(`${text.slice(at, close + end.length)}\n`)
    at = close + end.length
  }
  return found
}

/** @returns From the first that is valid to the last that is. */
function validityOf(certificates: readonly X509Certificate[]): Validity {
  return {
    validFrom: Math.min(...certificates.map(({ validFromDate }) => validFromDate.getTime())),
    validTo: Math.max(...certificates.map(({ validToDate }) => validToDate.getTime())),
  }
}

function describe(certificate: X509Certificate): string {
  return `serial ${certificate.serialNumber}, valid from ${certificate.validFromDate.toISOString()}`
}

function attempt<T>(complaint: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw new MaterialError(`${complaint}: ${(error as Error).message}`)
  }
}
