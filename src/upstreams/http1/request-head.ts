/** The head of a request as it goes upstream. */
import { spell } from '../../exchange/header-case.ts'
import type { UpstreamRequest } from '../stream.ts'

/** @returns Everything up to and with the empty line, as latin1 text. */
export function requestHead({
  method,
  path,
  authority,
  headers,
  body,
  requestSpelling,
  upgrade,
}: UpstreamRequest): string {
  const written = requestSpelling === null ? headers : spell(headers, requestSpelling)
  let head = `${method} ${path} HTTP/1.1\r\n${requestSpelling?.get('host') ?? 'host'}: ${authority}\r\n`
  for (let i = 0; i < written.length; i += 2) head += `${written[i]}: ${written[i + 1]}\r\n`
  // The client's own framing is not passed on as text: what is written here is what is then sent.
  if (body === 'chunked') head += 'transfer-encoding: chunked\r\n'
  if (upgrade !== null) head += `connection: upgrade\r\nupgrade: ${upgrade.protocol}\r\n`
  return `${head}\r\n`
}
