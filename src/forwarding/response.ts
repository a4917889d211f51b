/** An upstream's answer on its way to the client, from the try that was chosen to its last byte. */
import type { Exchange } from '../exchange/exchange.ts'
import { spellingOfHead } from '../exchange/header-case.ts'
import { type HeaderList, headerValue, setHeader } from '../exchange/headers.ts'
import type { ResponseHead } from '../upstreams/stream.ts'
import { endToEndHeaders, sendHead, writeInformational } from './response-head.ts'

/** Bodies up to this size are joined with their head; beyond it the copy costs more than it saves. */
const JOINED_BYTES = 16 * 1024

/** An answer before the answer. HTTP/1.0 knows none. */
export function relayInformational({ req, res }: Exchange, status: number, headers: HeaderList): void {
  if (req.httpVersion !== '1.0') writeInformational(res, status, headers)
}

/**
 * @param more Whether body bytes follow in the same turn.
 * @param requestEndAt When the request was complete, on the monotonic clock; 0: it is not yet.
 */
export function relayHead(exchange: Exchange, head: ResponseHead, more: boolean, requestEndAt: number): void {
  const { upstream } = exchange
  const headers = endToEndHeaders(head.headers)
  if (head.status === 101) headers.push('upgrade', headerValue(head.headers, 'upgrade') ?? '')
  exchange.upstreamHeadMono = performance.now()
  // An answer that comes before the request has ended took no time that could be told.
  if (requestEndAt !== 0) {
    upstream.serviceTimeMs = Math.floor(exchange.upstreamHeadMono - requestEndAt)
    if (exchange.epoch.mesh.envoyDebugHeaders) {
      setHeader(headers, 'x-envoy-upstream-service-time', String(upstream.serviceTimeMs))
    }
  }
  if (exchange.epoch.mesh.preserveHeaderCase && head.text !== undefined) {
    exchange.responseSpelling = spellingOfHead(head.text)
  }
  exchange.details = 'via_upstream'
  // Operations may look at it.
  exchange.status = head.status
  if (exchange.grpc) exchange.grpcStatus = headerValue(headers, 'grpc-status') ?? ''
  exchange.responseOperations?.(headers, exchange)
  sendHead(exchange, head.status, headers)
  if (!more && !head.empty) exchange.res.flushHeaders()
}

/** @returns False: wait for `drain`. */
export function relayData(exchange: Exchange, chunk: Buffer, last: boolean): boolean {
  const { res } = exchange
  exchange.bytesSent += chunk.length
  if (!last) return res.write(chunk)
  // In HTTP/1.1 text joins the head in one write; bytes would go out beside it in a writev, which costs more.
  if (chunk.length <= JOINED_BYTES && exchange.req.httpVersionMajor === 1) res.end(chunk.toString('latin1'), 'latin1')
  else res.end(chunk)
  return true
}

/** @param trailers HTTP/1.1 clients get none, as from Envoy's codec by default. */
export function relayEnd(exchange: Exchange, trailers: HeaderList | null): void {
  const { res } = exchange
  if (trailers !== null) {
    if (exchange.grpc && exchange.grpcStatus === '') exchange.grpcStatus = headerValue(trailers, 'grpc-status') ?? ''
    res.trailers = trailers
  }
  res.end()
}

/** The answer ends in its middle: a clean end would make half of it look whole. */
export function cutAnswer(exchange: Exchange, flag: string, details: string): void {
  exchange.addFlag(flag)
  exchange.details = details
  exchange.res.destroy()
}
