/** When a certificate is renewed: in the window that the authority suggests (ARI, RFC 9773), else at two thirds. */
import type { X509Certificate } from 'node:crypto'
import type { Transport } from './transport.ts'
import { readRetryAfter } from './transport.ts'

export interface RenewalWindow {
  /** Milliseconds since 1970. */
  readonly start: number
  /** Milliseconds since 1970, after `start`. */
  readonly end: number
}

export interface RenewalInfo {
  readonly window: RenewalWindow
  /** The authority is asked again after so long, in ms. */
  readonly askAgainMs: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** RFC 9773 section 4.3.1 has clients that get no `Retry-After` ask after about six hours. */
const DEFAULT_ASK_MS = 6 * HOUR_MS
const LEAST_ASK_MS = MINUTE_MS
const MOST_ASK_MS = 24 * HOUR_MS
const DEFAULT_SHARE = 2 / 3
const JITTER_SHARE = 0.03

/**
 * RFC 9773 section 4.1: the authority key identifier and the serial number, each as base64url of its DER bytes.
 *
 * @returns Null: the certificate has no authority key identifier, so it cannot be asked about.
 */
export function renewalId(certificate: X509Certificate): string | null {
  const keyId = authorityKeyIdentifier(certificate.raw)
  if (keyId === null) return null
  // DER of a positive integer: a first byte with its highest bit set gets a zero before it.
  const hex = certificate.serialNumber.length % 2 === 0 ? certificate.serialNumber : `0${certificate.serialNumber}`
  const serial = Buffer.from(hex, 'hex')
  const positive = (serial[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), serial]) : serial
  return `${keyId.toString('base64url')}.${positive.toString('base64url')}`
}

/** `id-ce-authorityKeyIdentifier`, 2.5.29.35, as DER. */
const AUTHORITY_KEY_IDENTIFIER = Buffer.of(0x06, 0x03, 0x55, 0x1d, 0x23)

/** The `keyIdentifier` of the extension: OCTET STRING { SEQUENCE { [0] keyIdentifier … } } (RFC 5280 section 4.2.1.1). */
function authorityKeyIdentifier(der: Buffer): Buffer | null {
  const at = der.indexOf(AUTHORITY_KEY_IDENTIFIER)
  if (at === -1) return null
  const octets = at + AUTHORITY_KEY_IDENTIFIER.length
  // It is never critical, and shorter than 128 bytes where it has a key identifier alone.
  if (der[octets] !== 0x04 || der[octets + 2] !== 0x30 || der[octets + 4] !== 0x80) return null
  const length = der[octets + 5] ?? 0
  const found = der.subarray(octets + 6, octets + 6 + length)
  return found.length === length && length > 0 ? found : null
}

/**
 * Asks the authority when it would have a certificate renewed.
 *
 * @param renewalInfoUrl Of the directory.
 * @param now Milliseconds since 1970.
 * @throws AcmeProblem. @returns Null where the answer makes no sense.
 */
export async function askRenewalInfo(
  transport: Transport,
  renewalInfoUrl: string,
  id: string,
  now: number,
): Promise<RenewalInfo | null> {
  const { data, headers } = await transport.request(`${renewalInfoUrl.replace(/\/$/, '')}/${id}`, 'get')
  const suggested = (data as { suggestedWindow?: { start?: unknown; end?: unknown } } | null)?.suggestedWindow
  const start = Date.parse(String(suggested?.start))
  const end = Date.parse(String(suggested?.end))
  if (!(start < end)) return null
  const wish = readRetryAfter(headers['retry-after'], now) ?? DEFAULT_ASK_MS
  return { window: { start, end }, askAgainMs: Math.min(MOST_ASK_MS, Math.max(LEAST_ASK_MS, wish)) }
}

/**
 * @param random 0 to 1, 1 excluded: gateways that got their certificates together do not come back together.
 * @returns When to renew, in ms since 1970.
 */
export function renewalTime(certificate: X509Certificate, window: RenewalWindow | null, random: number): number {
  if (window !== null) return window.start + (window.end - window.start) * random
  const from = certificate.validFromDate.getTime()
  const life = certificate.validToDate.getTime() - from
  return from + life * (DEFAULT_SHARE - JITTER_SHARE * random)
}
