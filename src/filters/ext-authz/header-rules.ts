/** Which headers pass between a request, the authorizer and the client. */
import type { HeaderList } from '../../exchange/headers.ts'
import type { HeaderNameMatch } from '../../plan/ext-authz.ts'

/**
 * Headers that say how bytes are framed or concern one connection (RFC 9110 §7.6.1): each side of the gateway has its
 * own, and one that an authorizer could set would let it make two requests of one.
 */
const CONNECTION_HEADERS = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export function isConnectionHeader(name: string): boolean {
  return CONNECTION_HEADERS.has(name)
}

/** Host and the pseudo-headers: without them, or with others, it would be another request than was asked about. */
export function isRequestIdentity(name: string): boolean {
  return name === 'host' || name.startsWith(':')
}

/** @returns Whether a name, in lower case, is among `matches`. */
export function compileNames(matches: readonly HeaderNameMatch[]): (name: string) => boolean {
  const exact = new Set(matches.filter(({ kind }) => kind === 'exact').map(({ value }) => value))
  const prefixes = matches.filter(({ kind }) => kind === 'prefix').map(({ value }) => value)
  const suffixes = matches.filter(({ kind }) => kind === 'suffix').map(({ value }) => value)
  return (name) =>
    exact.has(name) ||
    prefixes.some((prefix) => name.startsWith(prefix)) ||
    suffixes.some((suffix) => name.endsWith(suffix))
}

/** The headers that may go on and whose names are `wanted`, as a new list. */
export function pickHeaders(headers: readonly string[], wanted: (name: string) => boolean): HeaderList {
  const picked: HeaderList = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (!isConnectionHeader(name) && wanted(name)) picked.push(name, headers[i + 1]!)
  }
  return picked
}

const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Text of an authorizer as a header value: the bytes of its UTF-8 form, one a character, as headers are held.
 *
 * @returns Null for what would end the header's line, or cannot be in one.
 */
export function toHeaderValue(text: string): string | null {
  const value = isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
  return VALUE.test(value) ? value.trim() : null
}

/** A header value as text: UTF-8 where that is what its bytes are. */
export function fromHeaderValue(value: string): string {
  return isAscii(value) ? value : Buffer.from(value, 'latin1').toString('utf8')
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text)
}
