/**
 * Why a connection was not made, or broke, in Envoy's words: "transport failure reason" of the body, the log's
 * `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
 *
 * Source: envoy `source/common/tls/ssl_socket.cc` (`drainErrorQueue`), BoringSSL `include/openssl/ssl.h` (reasons).
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { FailureReason } from './failure-reason.ts'

/** There is no certificate to present, or nothing to verify the peer against: no connection was even tried. */
export class MaterialMissing extends Error {}

/** ERR_LIB_SSL, 16, in the upper byte of BoringSSL's error numbers. */
const SSL_LIBRARY = 0x10000000
const CERTIFICATE_VERIFY_FAILED = 125
/** Alerts of the peer: 1000 and the alert's number (RFC 8446 §6). */
const ALERT = 1000

/** BoringSSL's names of alerts that OpenSSL calls otherwise, or whose version differs. */
const ALERT_NAMES: Readonly<Record<number, string>> = {
  10: 'SSLV3_ALERT_UNEXPECTED_MESSAGE',
  20: 'SSLV3_ALERT_BAD_RECORD_MAC',
  40: 'SSLV3_ALERT_HANDSHAKE_FAILURE',
  42: 'SSLV3_ALERT_BAD_CERTIFICATE',
  43: 'SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  44: 'SSLV3_ALERT_CERTIFICATE_REVOKED',
  45: 'SSLV3_ALERT_CERTIFICATE_EXPIRED',
  46: 'SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  47: 'SSLV3_ALERT_ILLEGAL_PARAMETER',
  48: 'TLSV1_ALERT_UNKNOWN_CA',
  49: 'TLSV1_ALERT_ACCESS_DENIED',
  50: 'TLSV1_ALERT_DECODE_ERROR',
  51: 'TLSV1_ALERT_DECRYPT_ERROR',
  70: 'TLSV1_ALERT_PROTOCOL_VERSION',
  71: 'TLSV1_ALERT_INSUFFICIENT_SECURITY',
  80: 'TLSV1_ALERT_INTERNAL_ERROR',
  90: 'TLSV1_ALERT_USER_CANCELLED',
  112: 'TLSV1_ALERT_UNRECOGNIZED_NAME',
  116: 'TLSV1_ALERT_CERTIFICATE_REQUIRED',
  120: 'TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
}

/** What this side found wrong, by OpenSSL's words. A peer that speaks no TLS is any of the first few. */
const OWN_REASONS: Readonly<Record<string, readonly [number: number, name: string]>> = {
  'wrong version number': [247, 'WRONG_VERSION_NUMBER'],
  'packet length too long': [247, 'WRONG_VERSION_NUMBER'],
  'record layer failure': [247, 'WRONG_VERSION_NUMBER'],
  'unsupported protocol': [240, 'UNSUPPORTED_PROTOCOL'],
  'unexpected message': [223, 'UNEXPECTED_MESSAGE'],
}

/** A connection that was never established. @returns Envoy's reason, and its text. */
export function connectFailure(socket: Socket, error: Error | null): readonly [FailureReason, string] {
  if (error instanceof MaterialMissing) {
    // As Envoy says it while istiod has not delivered a certificate; the log has what exactly is missing.
    return ['remote-connection-failure', 'TLS error: Secret is not supplied by SDS']
  }
  const tls = tlsFailure(socket, error)
  if (tls !== '') return ['remote-connection-failure', tls]
  const code = (error as NodeJS.ErrnoException | null)?.code
  switch (code) {
    case 'ECONNREFUSED':
      return ['remote-connection-failure', 'delayed connect error: Connection refused']
    case 'ECONNRESET':
      return ['remote-connection-failure', 'delayed connect error: Connection reset by peer']
    case 'EHOSTUNREACH':
      return ['remote-connection-failure', 'delayed connect error: No route to host']
    case 'ENETUNREACH':
      return ['remote-connection-failure', 'delayed connect error: Network is unreachable']
    case 'ETIMEDOUT':
      return ['connection-timeout', '']
    case 'EADDRNOTAVAIL':
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'EACCES':
    case 'EINVAL':
      return ['local-connection-failure', code]
    default:
      return ['remote-connection-failure', code ?? '']
  }
}

/**
 * What went wrong in TLS, before or after the handshake: with TLS 1.3 a peer refuses a client's certificate when the
 * client is done already.
 *
 * @returns Empty: nothing did.
 */
export function tlsFailure(socket: Socket, error: Error | null): string {
  if (!(socket instanceof TLSSocket) || error === null) return ''
  const { code, library, reason } = error as NodeJS.ErrnoException & { library?: string; reason?: string }
  // Set by Node, in spite of its type, to the code or the text of what verification said.
  if ((socket.authorizationError as unknown) === (code ?? error.message)) {
    // Node may add advice for its own command line behind a semicolon.
    const why = error.message.replace(/; if the root CA.*$/s, '')
    return sslError(CERTIFICATE_VERIFY_FAILED, 'CERTIFICATE_VERIFY_FAILED', `:verify cert failed: ${why}`)
  }
  if (library === 'SSL routines' && reason !== undefined) {
    const alert = /SSL alert number (\d+)/.exec(error.message)
    if (alert !== null) return sslError(ALERT + Number(alert[1]), ALERT_NAMES[Number(alert[1])] ?? nameOf(reason))
    const [number, name] = OWN_REASONS[reason] ?? [0, nameOf(reason)]
    return sslError(number, name)
  }
  if (code === 'ECONNRESET' && !socket.connecting) {
    return 'TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end'
  }
  return ''
}

/**
 * The same without what was found in the peer's certificate, for whoever must not learn that: Envoy tells its clients
 * since 1.38 nothing of a transport failure (envoyproxy/envoy#44694).
 */
export function withoutCertificateDetails(reason: string): string {
  return reason.replace(/:verify cert failed: .*(?=:TLS_error_end)/s, '')
}

function sslError(number: number, name: string, details = ''): string {
  return `TLS_error:|${SSL_LIBRARY + number}:SSL routines:OPENSSL_internal:${name}${details}:TLS_error_end`
}

function nameOf(reason: string): string {
  return reason.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')
}
