/** Whether a certificate can be used as this gateway's: it fits its key, it is valid now, it is who it should be. */
import { type KeyObject, X509Certificate } from 'node:crypto'
import type { MeshCertificate } from '../mesh-identity.ts'
import { IdentityProblem, type IdentityProblemKind } from './problem.ts'

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
/** More certificates in one PEM text are refused: chains have a few, bundles of roots some dozens. */
const MOST_CERTIFICATES = 200
/** How far the clock of whoever signed may be ahead of ours, in ms. */
const CLOCK_SKEW_MS = 60_000

/**
 * @param what The text's name in a sentence.
 * @param kind Of the problem that is thrown where it is no list of certificates.
 */
export function readCertificates(pem: string, what: string, kind: IdentityProblemKind): X509Certificate[] {
  const texts = pem.match(PEM_CERTIFICATE) ?? []
  if (texts.length === 0) throw new IdentityProblem(kind, `${what} has no PEM certificate in it`)
  if (texts.length > MOST_CERTIFICATES) {
    throw new IdentityProblem(kind, `${what} has more than ${MOST_CERTIFICATES} certificates in it`)
  }
  try {
    return texts.map((text) => new X509Certificate(text))
  } catch (error) {
    throw new IdentityProblem(kind, `${what} has a certificate in it that cannot be read`, (error as Error).message)
  }
}

/** @throws IdentityProblem of kind `key-mismatch`. */
export function checkKey(leaf: X509Certificate, key: KeyObject): void {
  if (!leaf.checkPrivateKey(key)) throw new IdentityProblem('key-mismatch', 'the certificate is for another key')
}

/**
 * @param now Milliseconds since 1970.
 * @throws IdentityProblem of kind `outside-validity`.
 */
export function checkValidity(certificate: X509Certificate, now: number): void {
  const { validFromDate, validToDate } = certificate
  if (validToDate.getTime() <= now) {
    throw new IdentityProblem('outside-validity', 'the certificate has expired', `at ${validToDate.toISOString()}`)
  }
  if (validFromDate.getTime() > now + CLOCK_SKEW_MS) {
    const from = `from ${validFromDate.toISOString()} on`
    throw new IdentityProblem('outside-validity', 'the certificate is not valid yet', from)
  }
}

/** The SPIFFE id; undefined where the certificate has none, or another URI beside it (X.509-SVID section 2). */
export function spiffeIdOf(certificate: X509Certificate): string | undefined {
  const names = certificate.subjectAltName?.split(', ') ?? []
  const uris = names.filter((name) => name.startsWith('URI:')).map((name) => name.slice('URI:'.length))
  return uris.length === 1 && uris[0]?.startsWith('spiffe://') === true ? uris[0] : undefined
}

/**
 * Whether signatures lead from the certificate over intermediates to one of the roots, all of them valid now. Every
 * intermediate is tried at most once.
 *
 * @param now Milliseconds since 1970.
 */
export function chainsTo(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): boolean {
  const tried = new Set<X509Certificate>()
  const isIssuer = (candidate: X509Certificate, of: X509Certificate): boolean =>
    candidate.ca && of.checkIssued(candidate) && of.verify(candidate.publicKey) && isValid(candidate, now)
  const reaches = (from: X509Certificate): boolean => {
    if (roots.some((root) => isIssuer(root, from))) return true
    return intermediates.some((next) => {
      if (tried.has(next) || !isIssuer(next, from)) return false
      tried.add(next)
      return reaches(next)
    })
  }
  return reaches(certificate)
}

function isValid(certificate: X509Certificate, now: number): boolean {
  return certificate.validFromDate.getTime() <= now + CLOCK_SKEW_MS && certificate.validToDate.getTime() > now
}

/** The form that is handed on. PEM is written anew, so that nothing else that stood in a text goes along. */
export function meshCertificate(
  chain: readonly X509Certificate[],
  privateKey: string,
  roots: readonly X509Certificate[],
): MeshCertificate {
  const leaf = chain[0]!
  return {
    certificateChain: chain.join(''),
    privateKey,
    rootCertificates: roots.join(''),
    // A chain is worth nothing any more once one of its certificates has expired.
    notAfter: Math.min(...chain.map(({ validToDate }) => validToDate.getTime())),
    spiffeId: spiffeIdOf(leaf) ?? '',
  }
}
