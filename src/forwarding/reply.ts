/** Sends answers that the gateway gives by itself (semantics §11). */
import type { Exchange } from '../exchange/exchange.ts'
import { hasHeader, type HeaderList, headerValue, removeHeader, setHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { sendHead } from './response-head.ts'

/** HTTP status → gRPC status for local replies; the others are 2 UNKNOWN. Source: Envoy `grpc/status.cc`. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
}

/**
 * Answers `exchange` with `reply`, the response header operations of its route applied. Does nothing where an answer
 * has begun or the client is gone.
 */
export function sendLocalReply(exchange: Exchange, reply: LocalReply): void {
  const { res } = exchange
  if (res.headersSent || res.destroyed) return
  if (reply.flag !== undefined) exchange.addFlag(reply.flag)
  exchange.details = reply.details
  exchange.status = exchange.grpc ? 200 : reply.status

  const { body: text = '' } = reply
  const headers: HeaderList = reply.headers === undefined ? [] : [...reply.headers]
  // First, so that a rule can set the type of a body but neither invent one nor contradict what is sent.
  exchange.responseOperations?.(headers, exchange)
  const { status } = exchange
  let body: Buffer | null = null
  removeHeader(headers, 'content-length')
  if (exchange.grpc) {
    setHeader(headers, 'content-type', 'application/grpc')
    exchange.grpcStatus =
      headerValue(headers, 'grpc-status') || String(reply.grpcStatus ?? GRPC_STATUS[reply.status] ?? 2)
    setHeader(headers, 'grpc-status', exchange.grpcStatus)
    if (text.length > 0) setHeader(headers, 'grpc-message', encodeGrpcMessage(text.toString()))
  } else if (text.length > 0) {
    body = typeof text === 'string' ? Buffer.from(text) : text
    if (!hasHeader(headers, 'content-type')) headers.push('content-type', 'text/plain')
  } else {
    removeHeader(headers, 'content-type')
  }
  // What ends with its head needs no length, and gRPC's own answers have none.
  const isTrailersOnly = exchange.grpc && exchange.req.httpVersionMajor === 2
  if (mayHaveLength(status) && !isTrailersOnly) setHeader(headers, 'content-length', String(body?.length ?? 0))
  if (reply.close === true) res.shouldKeepAlive = false
  sendHead(exchange, status, headers)
  if (body === null || exchange.method === 'HEAD') {
    res.end()
  } else {
    exchange.bytesSent += body.length
    res.end(body)
  }
}

/** RFC 9110 §8.6: no content-length with 1xx and 204. */
function mayHaveLength(status: number): boolean {
  return status >= 200 && status !== 204
}

/** Percent-encodes what gRPC does not allow in `grpc-message` (PROTOCOL-HTTP2, "Responses"). */
function encodeGrpcMessage(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text)) {
    out +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
