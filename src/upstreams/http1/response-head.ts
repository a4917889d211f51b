/**
 * Reads the head of an HTTP/1.x response, strictly: a gateway that guesses at framing lets one response be read as two
 * (response smuggling, RFC 9112 §11.1 and §11.2). What RFC 9112 leaves to taste is refused.
 */
import type { HeaderList } from '../../exchange/headers.ts'
import type { ResponseHead } from '../stream.ts'

/** How the end of a body is known. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** The connection's end is the body's end. */
  | { readonly kind: 'until-close' }

export interface Http1ResponseHead extends ResponseHead {
  readonly framing: BodyFraming
  /** The connection can be used again once the body has been read. */
  readonly keepAlive: boolean
  /** Seconds of `Keep-Alive: timeout=N`, after which the upstream closes an idle connection; 0 if it did not say. */
  readonly keepAliveSeconds: number
}

/** Thrown for a head that cannot be trusted; the connection is then closed. */
export class MalformedResponse extends Error {}

/** No control characters but tab, and CR and LF only together. */
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const DIGITS = /^\d{1,15}$/

/** Envoy's `max_response_headers` for a route without its own setting. */
const MAX_HEADERS = 200

const NONE: BodyFraming = { kind: 'none' }
const CHUNKED: BodyFraming = { kind: 'chunked' }
const UNTIL_CLOSE: BodyFraming = { kind: 'until-close' }

/**
 * Header names as upstreams write them → lower case, so that a known name is neither checked nor converted again.
 * Bound: 512 names of at most 64 characters; later ones are converted each time.
 */
const knownNames = new Map<string, string>()

/**
 * @param text The head as latin1 text, without the empty line that ends it.
 * @param method The request's method: an answer to HEAD has no body whatever its headers say.
 */
export function parseResponseHead(text: string, method: string): Http1ResponseHead {
  if (FORBIDDEN.test(text)) throw new MalformedResponse('control character in the response head')
  const statusLine = STATUS_LINE.exec(text)
  if (statusLine === null) throw new MalformedResponse('no HTTP/1.x status line')
  const http11 = statusLine[1] === '1'
  const status = Number(statusLine[2])

  const headers: HeaderList = []
  let contentLength: string | undefined
  let chunked = false
  let close = !http11
  let keepAliveSeconds = 0

  let at = text.indexOf('\r\n')
  while (at !== -1) {
    const start = at + 2
    at = text.indexOf('\r\n', start)
    const end = at === -1 ? text.length : at
    const colon = text.indexOf(':', start)
    if (colon === -1 || colon >= end) throw new MalformedResponse('header line without a colon')
    const name = lowerCaseName(text.slice(start, colon))
    const value = trimmed(text, colon + 1, end)
    if (headers.length === MAX_HEADERS * 2) throw new MalformedResponse(`more than ${MAX_HEADERS} headers`)
    headers.push(name, value)
    switch (name) {
      case 'content-length':
        if (contentLength !== undefined || !DIGITS.test(value)) throw new MalformedResponse('bad content-length')
        contentLength = value
        break
      case 'transfer-encoding':
        if (chunked || !http11 || value.toLowerCase() !== 'chunked') {
          throw new MalformedResponse('unsupported transfer-encoding')
        }
        chunked = true
        break
      case 'connection': {
        const tokens = value.toLowerCase()
        if (tokens.includes('close')) close = true
        else if (!http11 && tokens.includes('keep-alive')) close = false
        break
      }
      case 'keep-alive':
        keepAliveSeconds = Number(/(?:^|[\s,])timeout=(\d{1,6})/i.exec(value)?.[1] ?? 0)
        break
    }
  }
  if (chunked && contentLength !== undefined) {
    throw new MalformedResponse('content-length together with transfer-encoding')
  }

  let framing: BodyFraming
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) framing = NONE
  else if (chunked) framing = CHUNKED
  else if (contentLength !== undefined) {
    framing = contentLength === '0' ? NONE : { kind: 'length', length: Number(contentLength) }
  } else {
    framing = UNTIL_CLOSE
    close = true
  }
  return { status, headers, empty: framing.kind === 'none', framing, keepAlive: !close, keepAliveSeconds, text }
}

function lowerCaseName(name: string): string {
  const known = knownNames.get(name)
  if (known !== undefined) return known
  // A blank before the colon or a folded line ends up here as well: neither is a token.
  if (!TOKEN.test(name)) throw new MalformedResponse('bad header name')
  const lower = name.toLowerCase()
  if (knownNames.size < 512 && name.length <= 64) knownNames.set(name, lower)
  return lower
}

/** `text` from `start` to `end` without optional white space at both ends. */
function trimmed(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
