/**
 * Whether a client's certificate is what a server asks for, and what it says of the client.
 *
 * Source: envoy source/common/tls/cert_validator/default_validator.cc (`verifyCertificate`), san_matcher.cc,
 * source/common/http/conn_manager_utility.cc (`mutateXfccRequestHeader`), source/common/tls/utility.cc (names as RFC
 * 2253); semantics §6.7.
 */
import { createHash, type X509Certificate } from 'node:crypto'
import type { ClientCertificateDemand } from '../plan/listener.ts'
import { hasAnyName, subjectAltNames } from './subject-alt-names.ts'

/** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` and nothing else. */
const WORKLOAD = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/

/** How far the clock of whoever signed may be ahead of ours, in ms. */
const CLOCK_SKEW_MS = 60_000

/** The parts of a workload's SPIFFE ID; null for any other text. */
export function readWorkloadIdentity(
  uri: string,
): { readonly trustDomain: string; readonly namespace: string; readonly serviceAccount: string } | null {
  const [, trustDomain, namespace, serviceAccount] = WORKLOAD.exec(uri) ?? []
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return null
  return { trustDomain, namespace, serviceAccount }
}

/**
 * Why a client is not let in; empty: it is. The chain has been verified before, in the handshake.
 *
 * @param certificate Undefined: the client has shown none.
 * @param chainError OpenSSL's word for what is wrong with the chain; null: nothing is.
 * @param now Milliseconds since 1970. A session that is resumed may be older than its certificate lives.
 */
export function refusalOf(
  certificate: X509Certificate | undefined,
  chainError: string | null,
  demand: ClientCertificateDemand,
  now: number,
): string {
  if (certificate === undefined) return demand.required ? 'the client has shown no certificate' : ''
  if (demand.trust.kind !== 'none') {
    if (chainError !== null) return `the client's certificate cannot be verified: ${chainError}`
    if (certificate.validToDate.getTime() <= now) return "the client's certificate has expired"
    if (certificate.validFromDate.getTime() > now + CLOCK_SKEW_MS) return "the client's certificate is not valid yet"
  }
  if (!hasDemandedHash(certificate, demand)) return "the client's certificate has none of the demanded hashes"
  if (demand.subjectAltNames.length > 0 && !hasAnyName(certificate, demand.subjectAltNames)) {
    return "the client's certificate has none of the demanded names"
  }
  if (demand.trustDomains !== null && !isOfTrustDomain(certificate, demand.trustDomains)) {
    return "the client's certificate is of another trust domain"
  }
  return ''
}

function hasDemandedHash(
  certificate: X509Certificate,
  { publicKeyHashes, certificateHashes }: ClientCertificateDemand,
): boolean {
  if (publicKeyHashes.length === 0 && certificateHashes.length === 0) return true
  if (certificateHashes.length > 0 && certificateHashes.includes(fingerprint(certificate.fingerprint256))) return true
  return publicKeyHashes.length > 0 && publicKeyHashes.includes(publicKeyHash(certificate))
}

/** base64 SHA-256 of the SubjectPublicKeyInfo, as `openssl … -pubkey | openssl pkey -pubin -outform DER` writes it. */
function publicKeyHash(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('base64')
}

function isOfTrustDomain(certificate: X509Certificate, trustDomains: readonly string[]): boolean {
  return subjectAltNames(certificate).some(
    ({ type, value }) =>
      type === 'URI' && trustDomains.some((trustDomain) => value.startsWith(`spiffe://${trustDomain}/`)),
  )
}

/** Lower case, without colons. */
export function fingerprint(colons: string): string {
  return colons.replaceAll(':', '').toLowerCase()
}

/** PEM with everything percent-encoded that a header or a URL could not hold, as Envoy writes it. */
export function encodedPem(certificate: X509Certificate): string {
  return encodeURIComponent(certificate.toString())
}

/**
 * A distinguished name as RFC 2253 wants it, the most specific part first.
 *
 * @param lines As `node:crypto` gives it: a part a line, the least specific first, values escaped by RFC 2253 but for
 *   what is not ASCII.
 */
export function distinguishedName(lines: string | undefined): string {
  if (lines === undefined || lines === '') return ''
  const parts = lines.split('\n').map((part) => part.split(' + ').map(escapeNonAscii).join('+'))
  return parts.reverse().join(',')
}

function escapeNonAscii(text: string): string {
  return text.replaceAll(/[^\x00-\x7f]+/g, (run) =>
    [...Buffer.from(run)].map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

/**
 * The element of `x-forwarded-client-cert` for one connection.
 *
 * @param ownUris URI names of the certificate that the gateway has presented.
 */
export function forwardedElement(client: X509Certificate, ownUris: readonly string[]): string {
  const names = subjectAltNames(client)
  const named = (wanted: string) => names.flatMap(({ type, value }) => (type === wanted ? [value] : []))
  const uris = named('URI')
  return [
    ...ownUris.map((uri) => `By=${quoted(uri)}`),
    `Hash=${fingerprint(client.fingerprint256)}`,
    `Cert="${encodedPem(client)}"`,
    `Subject="${distinguishedName(client.subject)}"`,
    ...(uris.length === 0 ? ['URI='] : uris.map((uri) => `URI=${quoted(uri)}`)),
    ...named('DNS').map((name) => `DNS=${quoted(name)}`),
  ].join(';')
}

/**
 * A name with `;` or `,` in it would read as several fields or elements, and so as somebody else's: such a value is
 * quoted, as Envoy's documentation of the header asks for. What a header cannot hold is percent-encoded.
 */
function quoted(name: string): string {
  const printable = name.replaceAll(/[^\x20-\x7e]+/g, (run) => encodeURIComponent(run.toWellFormed()))
  return /[,;"]/.test(printable) ? `"${printable.replaceAll('"', String.raw`\"`)}"` : printable
}
