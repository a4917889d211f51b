/**
 * Whether a certificate is for a name. The names are read from what `node:crypto` prints, by its quoting rules: taking
 * that text apart at its commas let a crafted certificate pass for another (CVE-2021-44532). The common name counts
 * for nothing (RFC 9525 §2).
 *
 * Source: envoy `source/common/tls/utility.cc` (`dnsNameMatch`, `getSubjectAltNames`), `cert_validator/san_matcher.cc`.
 */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

export interface SubjectAltName {
  /** As OpenSSL prints it: `DNS`, `URI`, `IP Address`, `email`, and rarer ones. */
  readonly type: string
  readonly value: string
}

/**
 * Reads the text of `X509Certificate.subjectAltName`: `TYPE:VALUE, TYPE:VALUE`, where a value that holds anything
 * ambiguous is a JSON string.
 *
 * @returns Null for what is not of that form; a certificate like that matches no name.
 */
export function parseSubjectAltNames(text: string): readonly SubjectAltName[] | null {
  const names: SubjectAltName[] = []
  let at = 0
  while (at < text.length) {
    const colon = text.indexOf(':', at)
    if (colon === -1) return null
    const type = text.slice(at, colon)
    at = colon + 1
    let value: string
    if (text[at] === '"') {
      const end = endOfString(text, at)
      if (end === -1) return null
      try {
        value = JSON.parse(text.slice(at, end)) as string
      } catch {
        return null
      }
      at = end
    } else {
      const comma = text.indexOf(', ', at)
      const end = comma === -1 ? text.length : comma
      value = text.slice(at, end)
      at = end
    }
    names.push({ type, value })
    if (at === text.length) break
    if (!text.startsWith(', ', at)) return null
    at += 2
  }
  return names
}

/** The subject alternative names of a certificate; none where they cannot be told for certain. */
export function subjectAltNames(certificate: X509Certificate): readonly SubjectAltName[] {
  return parseSubjectAltNames(certificate.subjectAltName ?? '') ?? []
}

/** Whether one of `wanted` is a DNS, URI, IP or e-mail name of the certificate: exactly, or by its DNS wildcard. */
export function hasAnyName(certificate: X509Certificate, wanted: readonly string[]): boolean {
  const names = subjectAltNames(certificate)
  return wanted.some(
    (name) =>
      (isIP(name) !== 0 && certificate.checkIP(name) !== undefined) ||
      names.some(({ type, value }) => {
        if (type === 'DNS') return isDnsNameOf(name, value)
        return (type === 'URI' || type === 'email') && value === name
      }),
  )
}

/** Whether a certificate is for the host of a request: an IP address or a DNS name, never another kind of name. */
export function isForHost(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined
  return subjectAltNames(certificate).some(({ type, value }) => type === 'DNS' && isDnsNameOf(host, value))
}

/**
 * Whether a DNS name is the one of a certificate. `*` stands for a whole first label and for nothing else, as RFC 9525
 * §6.3 wants it (Envoy also takes `w*.example.com`, which no authority issues).
 */
export function isDnsNameOf(name: string, presented: string): boolean {
  const wanted = name.toLowerCase()
  const pattern = presented.toLowerCase()
  if (wanted === pattern) return wanted !== ''
  if (!pattern.startsWith('*.') || pattern.includes('*', 1) || isIP(wanted) !== 0) return false
  const dot = wanted.indexOf('.')
  return dot > 0 && wanted.slice(dot) === pattern.slice(1)
}

/** The index behind the closing quote of the JSON string at `start`, or -1. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i + 1
  }
  return -1
}
