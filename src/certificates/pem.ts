/** Certificates, keys and revocation lists as texts (RFC 7468), checked before anything uses them. */
import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { pemBlocks, PemError as MaterialError, readCertificates, readKeyPair as readPemKeyPair } from '../lib/pem.ts'
import { Redacted } from '../lib/redacted.ts'

export { MaterialError }

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
  const { certificates } = readPemKeyPair(certificateChain, privateKey)
  const leaf = certificates[0]!
  const chain = certificates.map(String).join('')
  // What OpenSSL will not use, a short RSA key for one, shows here and not in the first handshake.
  attempt('the key pair cannot be used', () => createSecureContext({ cert: chain, key: privateKey, ca: [] }))
  return { certificateChain: chain, privateKey: new Redacted(privateKey), leaf, ...validityOf([leaf]) }
}

/**
 * Reads a bundle of authorities, and their revocation lists.
 *
 * @param crl One list or several, PEM.
 * @throws MaterialError where there is no certificate, or one or a list is malformed.
 */
export function readTrust(caCertificates: string, crl?: string): TrustMaterial {
  const authorities = readCertificates(caCertificates)
  const crls = crl === undefined ? [] : pemBlocks(crl, 'X509 CRL')
  if (crl !== undefined && crls.length === 0) throw new MaterialError('the revocation list is no PEM X509 CRL')
  attempt('a revocation list is malformed', () => createSecureContext({ ca: [], crl: [...crls] }))
  // The same authority twice, as in the folders of a system, costs time and memory in every context.
  const certificates = [...new Set(authorities.map(String))]
  return { certificates, crls, ...validityOf(authorities) }
}

/** @returns From the first that is valid to the last that is. */
function validityOf(certificates: readonly X509Certificate[]): Validity {
  return {
    validFrom: Math.min(...certificates.map(({ validFromDate }) => validFromDate.getTime())),
    validTo: Math.max(...certificates.map(({ validToDate }) => validToDate.getTime())),
  }
}

function attempt<T>(complaint: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw new MaterialError(`${complaint}: ${(error as Error).message}`)
  }
}
