/**
 * Certificates and keys as texts (RFC 7468), and whether they belong together. What is wrong is said in words of whoever
 * put them there; no message holds any part of a key.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'

/** Why a text cannot be used. */
export class PemError extends Error {}

/** A certificate with what leads from it to an authority, and its key. */
export interface KeyPair {
  /** Leaf first. */
  readonly certificates: readonly X509Certificate[]
  readonly privateKey: KeyObject
}

/** The texts between `BEGIN` and `END` lines of that label, with those. What stands around them is not looked at. */
export function pemBlocks(text: string, label: string): readonly string[] {
  const begin = `-----BEGIN ${label}-----`
  const end = `-----END ${label}-----`
  const found: string[] = []
  for (let at = text.indexOf(begin); at !== -1; at = text.indexOf(begin, at)) {
    const close = text.indexOf(end, at)
    if (close === -1) throw new PemError(`a "${begin}" has no end`)
    found.push(`${text.slice(at, close + end.length)}\n`)
    at = close + end.length
  }
  return found
}

/**
 * All certificates of a text, in its order.
 *
 * @throws PemError where there is none, or one is malformed.
 */
export function readCertificates(text: string): readonly X509Certificate[] {
  const found = pemBlocks(text, 'CERTIFICATE')
  if (found.length === 0) throw new PemError('there is no PEM certificate in it')
  return found.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw new PemError(`certificate ${index + 1} of ${found.length} is malformed: ${(error as Error).message}`)
    }
  })
}

/**
 * A certificate with its chain, and the key that fits it.
 *
 * @throws PemError where a text is no PEM, the key is encrypted, or does not belong to the first certificate.
 */
export function readKeyPair(certificateChain: string, privateKey: string): KeyPair {
  const certificates = readCertificates(certificateChain)
  const key = readPrivateKey(privateKey)
  const place = certificates.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (place === 0) return { certificates, privateKey: key }
  if (place > 0) {
    throw new PemError(
      `the chain is in the wrong order: the key belongs to certificate ${place + 1} of ${certificates.length}, which has to come first`,
    )
  }
  throw new PemError(`the private key does not belong to the certificate (${describe(certificates[0]!)})`)
}

function readPrivateKey(text: string): KeyObject {
  // RFC 7468 §11, and the older form of RFC 1421.
  if (/^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(text)) throw new PemError('the private key is encrypted')
  try {
    return createPrivateKey(text)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new PemError(`the private key is no PEM private key${code === undefined ? '' : ` (${code})`}`)
  }
}

function describe(certificate: X509Certificate): string {
  return `serial ${certificate.serialNumber}, valid from ${certificate.validFromDate.toISOString()}`
}
