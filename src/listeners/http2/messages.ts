/**
 * A stream of HTTP/2 as the rest of the gateway knows requests and answers. Node's compatibility layer would do the
 * same for nearly twice the CPU time of a request (docs/decisions/0007).
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { ClientRequest, ClientResponse } from '../../exchange/client-message.ts'
import { toHttp2Text } from '../../exchange/header-bytes.ts'
import type { HeaderList } from '../../exchange/headers.ts'

/** Of one connection alone (RFC 9113 §8.2.2): an HTTP/1.1 upstream may send them, a route's operations may set them. */
const NOT_SENT = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
/** Fastify looks at them; what it would find there is the gateway's business. */
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})
const END_STREAM = 1

export class Http2Request implements ClientRequest {
  readonly httpVersion = '2.0'
  readonly httpVersionMajor = 2
  readonly headers = NO_HEADERS
  method: string | undefined = undefined
  url: string | undefined = undefined
  /** With `host` for `:authority`, and cookies in one line (RFC 9113 §8.2.3). */
  readonly rawHeaders: string[] = []
  rawTrailers: string[] = []
  complete: boolean
  readonly socket: Socket
  readonly #stream: ServerHttp2Stream

  /** @param flags Of the HEADERS frame. @param raw `[name, value, …]` with the pseudo-headers. */
  constructor(stream: ServerHttp2Stream, socket: Socket, flags: number, raw: readonly string[]) {
    this.#stream = stream
    this.socket = socket
    this.complete = (flags & END_STREAM) !== 0
    this.#read(raw)
    if (this.complete) return
    stream.once('trailers', (_headers: IncomingHttpHeaders, _flags: number, trailers: string[]) => {
      this.rawTrailers = trailers
    })
    stream.once('end', () => {
      // A stream that was reset ends as well.
      if (!stream.aborted) this.complete = true
    })
  }

  get readableLength(): number {
    return this.#stream.readableLength
  }

  get readableEnded(): boolean {
    return this.#stream.readableEnded
  }

  on(event: string, listener: (chunk: Buffer) => void): void {
    // Half a request must not look whole.
    if (event === 'end') this.#stream.on('end', () => this.complete && (listener as () => void)())
    else this.#stream.on(event, listener)
  }

  once(event: string, listener: () => void): void {
    this.#stream.once(event, listener)
  }

  removeListener(event: string, listener: () => void): void {
    this.#stream.removeListener(event, listener)
  }

  read(): unknown {
    return this.#stream.read()
  }

  unshift(chunk: Buffer): void {
    this.#stream.unshift(chunk)
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  #read(raw: readonly string[]): void {
    const list = this.rawHeaders
    let authority: string | undefined
    let cookie = ''
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!
      const value = raw[i + 1]!
      switch (name) {
        case ':method':
          this.method = value
          break
        case ':path':
          this.url = value
          break
        case ':authority':
          authority = value
          list.push('host', value)
          break
        case ':scheme':
        case ':protocol':
          break
        case 'host':
          // `:authority` is the one that counts (RFC 9113 §8.3.1).
          if (authority === undefined) list.push(name, value)
          break
        case 'cookie':
          cookie = cookie === '' ? value : `${cookie}; ${value}`
          break
        default:
          list.push(name, value)
      }
    }
    if (cookie !== '') list.push('cookie', cookie)
  }
}

export class Http2Response implements ClientResponse {
  headersSent = false
  shouldKeepAlive = true
  trailers: HeaderList | null = null
  readonly #stream: ServerHttp2Stream
  readonly #isHead: boolean
  /** Written with the first piece of the body, or with the end. */
  #head: (string | number)[] | null = null
  #status = 0
  #ended = false

  constructor(stream: ServerHttp2Stream, method: string | undefined) {
    this.#stream = stream
    this.#isHead = method === 'HEAD'
  }

  get destroyed(): boolean {
    return this.#stream.destroyed
  }

  get writableFinished(): boolean {
    return this.#ended && this.#stream.writableFinished
  }

  on(event: string, listener: () => void): void {
    this.#stream.on(event, listener)
  }

  once(event: string, listener: () => void): void {
    this.#stream.once(event, listener)
  }

  removeListener(event: string, listener: () => void): void {
    this.#stream.removeListener(event, listener)
  }

  removeHeader(): void {}

  writeHead(status: number, headers: readonly string[]): void {
    const head: (string | number)[] = [':status', status]
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      if (!NOT_SENT.has(name)) head.push(name, toHttp2Text(headers[i + 1]!))
    }
    this.#status = status
    this.#head = head
    this.headersSent = true
  }

  flushHeaders(): void {
    this.#respond(false)
  }

  write(chunk: Buffer): boolean {
    this.#respond(false)
    if (this.#hasNoBody) return true
    return this.#stream.write(chunk)
  }

  end(body?: Buffer | string, encoding: 'latin1' = 'latin1'): void {
    if (this.#ended) return
    this.#ended = true
    const isEmpty = body === undefined || body.length === 0 || this.#hasNoBody
    if (this.#head !== null && isEmpty && this.trailers === null) {
      this.#respond(true)
      return
    }
    this.#respond(false)
    if (this.#stream.destroyed) return
    if (isEmpty) this.#stream.end()
    else this.#stream.end(body, encoding)
  }

  /** Whatever was sent is not all. */
  destroy(): void {
    this.#ended = false
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  writeContinue(): void {
    this.#inform(100)
  }

  writeProcessing(): void {
    this.#inform(102)
  }

  writeEarlyHints(hints: Record<string, string>): void {
    this.#inform(103, hints)
  }

  /** The answer ends with its head, whatever is written. */
  get #hasNoBody(): boolean {
    return this.#isHead || this.#status === 204 || this.#status === 205 || this.#status === 304
  }

  #respond(endStream: boolean): void {
    const head = this.#head
    if (head === null) return
    this.#head = null
    const stream = this.#stream
    if (stream.destroyed || stream.closed) return
    // Node ends the body of a stream that is reset, and sends that first: half an answer would look whole. What waits
    // for trailers is ended by them alone.
    const waitForTrailers = !endStream && (!this.#ended || this.trailers !== null)
    if (waitForTrailers) {
      stream.once('wantTrailers', () => {
        if (this.#ended) stream.sendTrailers(trailerRecord(this.trailers))
      })
    }
    stream.respond(head as unknown as string[], { endStream, waitForTrailers })
  }

  #inform(status: number, headers: Record<string, string> = {}): void {
    if (!this.#stream.destroyed && !this.#stream.closed)
      this.#stream.additionalHeaders({ ':status': status, ...headers })
  }
}

/** As Node takes trailers. */
function trailerRecord(trailers: HeaderList | null): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {}
  if (trailers === null) return record
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!
    const value = toHttp2Text(trailers[i + 1]!)
    const before = record[name]
    record[name] = before === undefined ? value : [before, value].flat()
  }
  return record
}
