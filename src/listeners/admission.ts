/**
 * From a parsed request to an Exchange: the sanity checks of Envoy's connection manager in its order, the
 * normal form of the path, and the headers of an edge (semantics §1.9, §6.5 to §6.7).
 */
import { randomUUID } from 'node:crypto'
import { portOf } from '../exchange/connection.ts'
import type { ClientRequest, ClientResponse } from '../exchange/client-message.ts'
import { type Epoch, Exchange, type ListenerFacts, type Upgrade } from '../exchange/exchange.ts'
import { hasHeader, setHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import {
  forwardedClientCert,
  type IncomingHeaders,
  readHeaders,
  removeNominated,
  trustedClient,
} from './edge-headers.ts'
import { normalizePath } from './path-normalization.ts'

const LOW_VERSION: LocalReply = { status: 426, details: 'low_version', close: true }
const MISSING_HOST: LocalReply = { status: 400, details: 'missing_host_header', close: true }
const BAD_HOST: LocalReply = { status: 400, details: 'http1.invalid_host', flag: 'DPE', close: true }
const MISSING_PATH: LocalReply = { status: 404, details: 'missing_path_rejected' }
const ABSOLUTE_PATH: LocalReply = { status: 404, details: 'absolute_path_rejected' }
const BAD_PATH: LocalReply = { status: 400, details: 'path_normalization_failed', close: true }
const BAD_CONNECTION: LocalReply = {
  status: 400,
  details: 'http1.connection_header_rejected',
  flag: 'DPE',
  close: true,
}
/** Node takes `gzip, chunked`; a coding that is not undone here must not be taken for the body's end elsewhere. */
const BAD_TRANSFER_ENCODING: LocalReply = {
  status: 501,
  details: 'http1.invalid_transfer_encoding',
  flag: 'DPE',
  close: true,
}
const TOO_MANY_HEADERS: LocalReply = {
  status: 431,
  body: 'Request Header Fields Too Large',
  details: 'http1.too_many_headers',
  flag: 'DPE',
  close: true,
}
const UPGRADE_FAILED: LocalReply = { status: 403, details: 'upgrade_failed', close: true }

/** What a host may be made of (RFC 3986 §3.2, without user information). */
const HOST = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/
const ABSOLUTE_FORM = /^(https?):\/\/([^/?#]*)(.*)$/i

export interface AdmissionOptions {
  /** More headers than this are 431. */
  readonly maxHeaders: number
  /** Written to X-Forwarded-For in place of a loopback peer: the gateway's own address. */
  readonly ownAddress: string
}

/** An exchange that may go on (`reply` null), or one that ends with a reply. */
export interface Admission {
  readonly exchange: Exchange
  readonly reply: LocalReply | null
}

export function admit(
  req: ClientRequest,
  res: ClientResponse,
  listener: ListenerFacts,
  epoch: Epoch,
  connection: ConnectionFacts,
  options: AdmissionOptions,
  upgrade: Upgrade | null = null,
): Admission {
  const exchange = new Exchange(req, res, listener, epoch, Date.now(), performance.now())
  exchange.upgrade = upgrade
  return { exchange, reply: check(exchange, connection, options) }
}

function check(exchange: Exchange, connection: ConnectionFacts, options: AdmissionOptions): LocalReply | null {
  const { req, epoch, listener } = exchange
  const { mesh } = epoch
  exchange.method = req.method ?? 'GET'
  exchange.peerAddress = connection.direct
  exchange.clientAddress = connection.peer
  exchange.localAddress = connection.local
  exchange.clientCertificate = connection.clientCertificate
  if (mesh.requestIdHeader) exchange.requestId = randomUUID()
  const raw = req.rawHeaders
  if (raw.length > options.maxHeaders * 2) return TOO_MANY_HEADERS

  const read = readHeaders(raw)
  exchange.headers = read.list
  exchange.requestHeadBytes = headBytes(req.url ?? '', raw)
  exchange.body = framing(req, read)
  if (exchange.body === 'none') exchange.requestEndMono = exchange.startedMono
  exchange.grpc = isGrpc(read.contentType)
  if (!mesh.requestIdHeader) exchange.requestId = read.requestId

  if (read.transferEncoding !== '' && read.transferEncoding.toLowerCase() !== 'chunked') return BAD_TRANSFER_ENCODING

  let target = req.url ?? ''
  let host = read.host
  const absolute = target.startsWith('/') ? null : ABSOLUTE_FORM.exec(target)
  if (absolute !== null) {
    host = absolute[2]!
    target = absolute[3]!
    if (!target.startsWith('/')) target = `/${target}`
  }
  const fragment = target.indexOf('#')
  if (fragment !== -1) target = target.slice(0, fragment)
  exchange.authority = host ?? ''
  exchange.path = target

  if (req.httpVersionMajor !== 2 && req.httpVersion !== '1.1' && !(mesh.http10 && req.httpVersion === '1.0'))
    return LOW_VERSION
  if (host === undefined || host === '') return MISSING_HOST
  if (read.hosts > 1 || !HOST.test(host)) return BAD_HOST
  exchange.host = hostWithoutPort(host)
  if (target === '') return MISSING_PATH
  if (!target.startsWith('/')) return ABSOLUTE_PATH
  const mark = target.indexOf('?')
  const normal = normalizePath(mark === -1 ? target : target.slice(0, mark), mesh.pathNormalization)
  if (normal === null) return BAD_PATH
  exchange.query = mark === -1 ? '' : target.slice(mark)
  exchange.pathname = normal
  exchange.path = exchange.query === '' ? normal : normal + exchange.query

  if (read.connection !== '' && !removeNominated(read.list, read.connection)) return BAD_CONNECTION
  forwardedHeaders(exchange, read.forwardedFor, read.forwardedProto, connection, options)
  if (connection.clientCertificate !== null || read.forwardedClientCert !== '') {
    const { forwardClientCertDetails: details } = mesh
    const certificate = forwardedClientCert(details, connection.clientCertificate, read.forwardedClientCert)
    if (certificate !== '') read.list.push('x-forwarded-client-cert', certificate)
  }
  exchange.scheme = listener.tls ? 'https' : 'http'
  if (mesh.trustedProxies > 0 && (read.forwardedProto === 'http' || read.forwardedProto === 'https')) {
    exchange.scheme = read.forwardedProto
  }
  // An offer of h2c may be ignored (RFC 9110 §7.8); anything else that is asked for in this way cannot be given.
  if (exchange.upgrade === null && isUpgrade(read) && !/^h2c$/i.test(read.upgrade)) return UPGRADE_FAILED
  return null
}

function forwardedHeaders(
  exchange: Exchange,
  forwardedFor: string,
  forwardedProto: string,
  connection: ConnectionFacts,
  options: AdmissionOptions,
): void {
  const { headers, epoch, listener } = exchange
  const hops = epoch.mesh.trustedProxies
  const client = trustedClient(forwardedFor, hops)
  // Envoy gives an address that it was told the port 0.
  if (client !== null) exchange.clientAddress = client.includes(':') ? `[${client}]:0` : `${client}:0`
  const peer = connection.loopback ? options.ownAddress : connection.peerIp
  headers.push('x-forwarded-for', forwardedFor === '' ? peer : `${forwardedFor},${peer}`)
  const proto = listener.tls ? 'https' : 'http'
  headers.push('x-forwarded-proto', hops > 0 && forwardedProto !== '' ? forwardedProto : proto)
  headers.push('x-envoy-external-address', client ?? connection.peerIp)
  if (exchange.requestId !== '') headers.push('x-request-id', exchange.requestId)
  if (epoch.mesh.forwardedPortHeader && (hops === 0 || !hasHeader(headers, 'x-forwarded-port'))) {
    setHeader(headers, 'x-forwarded-port', String(portOf(exchange.localAddress)))
  }
}

/** HTTP/2 says where a body ends by itself, and nghttp2 has compared that with its length. */
function framing(req: ClientRequest, { transferEncoding, contentLength }: IncomingHeaders): Exchange['body'] {
  if (req.httpVersionMajor === 2) return req.complete ? 'none' : contentLength === undefined ? 'chunked' : 'length'
  if (transferEncoding !== '') return 'chunked'
  return contentLength === undefined || contentLength === '0' ? 'none' : 'length'
}

function isUpgrade({ upgrade, connection }: IncomingHeaders): boolean {
  return upgrade !== '' && /\bupgrade\b/i.test(connection)
}

/** Lower case, without the port; an IPv6 address without its brackets, as resources write it. */
export function hostWithoutPort(authority: string): string {
  const bracket = authority.lastIndexOf(']')
  if (bracket !== -1) return authority.slice(1, bracket).toLowerCase()
  const colon = authority.lastIndexOf(':')
  return (colon === -1 ? authority : authority.slice(0, colon)).toLowerCase()
}

function isGrpc(contentType: string): boolean {
  return contentType.startsWith('application/grpc') && (contentType.length === 16 || '+;'.includes(contentType[16]!))
}

/** About the bytes that the head took on the wire, for Istio's size histograms. */
function headBytes(target: string, raw: readonly string[]): number {
  let bytes = target.length + 16
  for (let i = 0; i < raw.length; i += 2) bytes += raw[i]!.length + raw[i + 1]!.length + 4
  return bytes
}
