/** The last step of every response head, from an upstream or from the gateway itself (semantics §6.6). */
import type { Exchange } from '../exchange/exchange.ts'
import { type HeaderList, setHeader } from '../exchange/headers.ts'

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
  if (exchange.listener.draining) setHeader(headers, 'connection', 'close')
  // Without this Node would announce its own keep-alive; `connection: close` above still ends the connection.
  else res.removeHeader('connection')
  exchange.status = status
  exchange.responseHeaders = headers
  res.writeHead(status, headers)
}
