/** The head of a request as it goes upstream. */
import type { Exchange } from '../exchange/exchange.ts'
import { spell, spellingOf } from '../exchange/header-case.ts'

/**
 * @param authority The Host to send.
 * @returns Everything up to and with the empty line, as latin1 text.
 */
export function requestHead(exchange: Exchange, authority: string): string {
  let { headers } = exchange
  let host = 'host'
  if (exchange.epoch.mesh.preserveHeaderCase) {
    const spelling = spellingOf(exchange.req.rawHeaders)
    headers = spell(headers, spelling)
    host = spelling.get(host) ?? host
  }
  let head = `${exchange.method} ${exchange.path} HTTP/1.1\r\n${host}: ${authority}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
  // The client's own framing is not passed on as text: what is written here is what is then sent.
  if (exchange.body === 'chunked') head += 'transfer-encoding: chunked\r\n'
  return `${head}\r\n`
}
