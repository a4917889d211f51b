/** The last step of every response head, from an upstream or from the gateway itself (semantics §6.6). */
import type { ClientResponse } from '../exchange/client-message.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { spell } from '../exchange/header-case.ts'
import { type HeaderList, removeHeader, setHeader } from '../exchange/headers.ts'

/**
 * Headers of an upstream's answer that concern its connection to the gateway alone (RFC 9110 §7.6.1), or that the
 * gateway states itself. `content-length` stays: it is the body's.
 */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** An upstream's response headers without its hop-by-hop ones, as a new list. */
export function endToEndHeaders(headers: readonly string[]): HeaderList {
  const kept: HeaderList = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (!HOP_BY_HOP.has(name)) kept.push(name, headers[i + 1]!)
  }
  return kept
}

/**
 * Writes the head: filters' edits, the gateway's own headers, then the status line. Body bytes, or the end, follow.
 *
 * @param headers Changed in place; the exchange keeps them for the access log.
 */
export function sendHead(exchange: Exchange, status: number, headers: HeaderList): void {
  const { res, epoch } = exchange
  if (exchange.responseEdits !== null) for (const edit of exchange.responseEdits) edit(headers, exchange)
  if (epoch.mesh.serverHeader !== null) setHeader(headers, 'server', epoch.mesh.serverHeader)
  if (epoch.generationHeader !== null) setHeader(headers, epoch.generationHeader, epoch.generation)
  // HTTP/2 says nothing of its connection in headers.
  if (exchange.req.httpVersionMajor === 2) removeHeader(headers, 'connection')
  else if (status === 101) setHeader(headers, 'connection', 'upgrade')
  else if (mustClose(exchange)) {
    setHeader(headers, 'connection', 'close')
    // The listener asks for this before it takes another request from the connection.
    res.shouldKeepAlive = false
  } else if (exchange.req.httpVersion === '1.0') setHeader(headers, 'connection', 'keep-alive')
  // Without this Node would announce its own keep-alive.
  else res.removeHeader('connection')
  exchange.status = status
  exchange.responseHeaders = headers
  exchange.responseStartMono = exchange.upstreamHeadMono || performance.now()
  res.writeHead(status, exchange.responseSpelling === null ? headers : spell(headers, exchange.responseSpelling))
}

/**
 * The gateway is ending, the client asked for it (Node's parser sets `shouldKeepAlive`), or the answer comes before the
 * request has: what is left of that is not worth waiting for, and must not be read as the next request.
 */
function mustClose({ listener, req, res, body }: Exchange): boolean {
  return listener.draining || !res.shouldKeepAlive || (body !== 'none' && !req.complete)
}

/** Passes on an answer before the answer. One that Node cannot write is dropped: the client can do without. */
export function writeInformational(res: ClientResponse, status: number, headers: HeaderList): void {
  if (res.headersSent || res.destroyed) return
  if (status === 100) res.writeContinue()
  else if (status === 102) res.writeProcessing()
  else if (status === 103) {
    const hints: Record<string, string> = {}
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      if (!HOP_BY_HOP.has(name)) hints[name] = name in hints ? `${hints[name]}, ${headers[i + 1]}` : headers[i + 1]!
    }
    try {
      res.writeEarlyHints(hints)
    } catch {
      // Node is strict about what a Link header looks like.
    }
  }
}
