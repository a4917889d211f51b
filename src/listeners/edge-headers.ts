/**
 * A request's headers at the edge: what is one connection's business or could be forged is taken away, what the gateway
 * knows about the client is put in (semantics §6.5, §6.7).
 */
import { isIP } from 'node:net'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import { type HeaderList, removeHeader } from '../exchange/headers.ts'
import type { ForwardClientCertDetails } from '../plan/plan.ts'

/**
 * Not passed on from a client. The first group concerns its connection alone (RFC 9110 §7.6.1) or is restated by the
 * forwarder; the second would steer an Envoy behind us, or claim what only the gateway may say.
 */
const REMOVED = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',

  'x-envoy-attempt-count',
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-external-address',
  'x-envoy-force-trace',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-internal',
  'x-envoy-ip-tags',
  'x-envoy-max-retries',
  'x-envoy-original-url',
  'x-envoy-retriable-header-names',
  'x-envoy-retriable-status-codes',
  'x-envoy-retry-grpc-on',
  'x-envoy-retry-on',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-rq-timeout-ms',
])

/** A `connection` header must not make the gateway drop these: Envoy `Utility::sanitizeConnectionHeader`. */
const NOT_NOMINABLE = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'host', 'cache-control'])

const REFERER = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#\s]+(?:[/?#]\S*)?$/

/** What the request line and the framing headers say, read in the same pass. */
export interface IncomingHeaders {
  /** Without what is removed; `x-forwarded-for` and `x-forwarded-proto` are taken out, see the fields below. */
  readonly list: HeaderList
  /** Values of Host, one per line. */
  host: string | undefined
  hosts: number
  contentLength: string | undefined
  transferEncoding: string
  contentType: string
  forwardedFor: string
  forwardedProto: string
  /** `x-forwarded-client-cert`, taken out: who may say it is settled later. */
  forwardedClientCert: string
  connection: string
  upgrade: string
  /** The client's own, which is not in the list. */
  requestId: string
}

/** @param raw As Node gives them: `[name, value, …]` with names as the client wrote them. */
export function readHeaders(raw: readonly string[]): IncomingHeaders {
  const list: HeaderList = []
  const read: IncomingHeaders = {
    list,
    host: undefined,
    hosts: 0,
    contentLength: undefined,
    transferEncoding: '',
    contentType: '',
    forwardedFor: '',
    forwardedProto: '',
    forwardedClientCert: '',
    connection: '',
    upgrade: '',
    requestId: '',
  }
  let referers = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    switch (name) {
      case 'host':
        read.host ??= value
        read.hosts++
        continue
      case 'x-forwarded-for':
        read.forwardedFor = read.forwardedFor === '' ? value : `${read.forwardedFor},${value}`
        continue
      case 'x-forwarded-proto':
        read.forwardedProto = value
        continue
      case 'x-forwarded-client-cert':
        read.forwardedClientCert = read.forwardedClientCert === '' ? value : `${read.forwardedClientCert},${value}`
        continue
      case 'connection':
        read.connection = read.connection === '' ? value : `${read.connection},${value}`
        continue
      case 'upgrade':
        read.upgrade = value
        continue
      case 'transfer-encoding':
        read.transferEncoding = read.transferEncoding === '' ? value : `${read.transferEncoding},${value}`
        continue
      case 'x-request-id':
        read.requestId = value
        continue
      case 'content-length':
        read.contentLength = value
        break
      case 'content-type':
        read.contentType = value
        break
      case 'referer':
        referers++
        // Envoy trusts one referer that is a whole URL, and no other.
        if (referers === 1 && REFERER.test(value)) break
        removeHeader(list, 'referer')
        continue
      case 'te':
        if (value.toLowerCase().includes('trailers')) list.push('te', 'trailers')
        continue
    }
    if (!REMOVED.has(name)) list.push(name, value)
  }
  return read
}

/**
 * Takes out the headers that `connection` names.
 *
 * @returns False where it names one that must reach the upstream: the request is then 400.
 */
export function removeNominated(list: HeaderList, connection: string): boolean {
  const nominated = connection
    .toLowerCase()
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== '' && token !== 'close' && token !== 'keep-alive' && token !== 'upgrade')
  if (nominated.length === 0) return true
  if (nominated.some((token) => NOT_NOMINABLE.has(token) || token.startsWith(':'))) return false
  let kept = 0
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!
    if (nominated.includes(name) && name !== 'te') continue
    list[kept] = name
    list[kept + 1] = list[i + 1]!
    kept += 2
  }
  list.length = kept
  return true
}

/**
 * `x-forwarded-client-cert` as it goes upstream; empty: not at all (envoy: source/common/http/conn_manager_utility.cc,
 * `mutateXfccRequestHeader`).
 *
 * @param received What the client has sent of it, or empty.
 */
export function forwardedClientCert(
  details: ForwardClientCertDetails,
  certificate: ClientCertificate | null,
  received: string,
): string {
  if (details === 'ALWAYS_FORWARD_ONLY') return received
  if (certificate === null) return ''
  switch (details) {
    case 'SANITIZE':
      return ''
    case 'SANITIZE_SET':
      return certificate.forwardedElement
    case 'APPEND_FORWARD':
      return received === '' ? certificate.forwardedElement : `${received},${certificate.forwardedElement}`
    case 'FORWARD_ONLY':
      return received
    default:
      return details satisfies never
  }
}

/**
 * The client that the last trusted proxy speaks for: the `hops`-th entry of X-Forwarded-For from the right, as it was
 * received. Too few entries, or one that is no address: the TCP peer.
 */
export function trustedClient(forwardedFor: string, hops: number): string | null {
  if (hops === 0 || forwardedFor === '') return null
  const entries = forwardedFor.split(',')
  const address = entries[entries.length - hops]?.trim()
  return address !== undefined && isIP(address) !== 0 ? address : null
}
