/** One request on an HTTP/2 connection, and its answer as it arrives. */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import { type HeaderList, headerValue } from '../../exchange/headers.ts'
import type { FailureReason } from '../failure-reason.ts'
import type { ResponseHandler, ResponseHead, UpstreamRequest, UpstreamStream } from '../stream.ts'
import type { Http2Connection } from './connection.ts'
import { toHttp2Text } from '../../exchange/header-bytes.ts'

/** Of one connection alone (RFC 9113 §8.2.2), or said by pseudo-headers; a route's header operations may set them. */
const NOT_SENT = new Set(['connection', 'host', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

export class Http2Stream implements UpstreamStream {
  readonly protocol = 'HTTP/2'
  reused = false
  readonly #connection: Http2Connection
  /** Null once it was sent. */
  #request: UpstreamRequest | null = null
  #method = ''
  /** Null: the request is over, or was given up. */
  #handler: ResponseHandler | null = null
  #stream: ClientHttp2Stream | null = null
  /** What came before there was a stream: what is there at most is what was kept for another try. */
  #held: Buffer[] | null = null
  #ended = false
  #requestTrailers: HeaderList | null = null
  /** A head that waits to see whether its body comes in the same turn. */
  #head: ResponseHead | null = null
  #immediate: NodeJS.Immediate | null = null
  #trailers: HeaderList | null = null
  /** Bytes of a body with a length that have not come; nghttp2 looks whether there are too many. */
  #missing = 0
  #error: Error | null = null
  /** The answer has ended, or there will be none. */
  #answered = false

  /** Use {@link Http2Connection.open}. */
  constructor(connection: Http2Connection) {
    this.#connection = connection
  }

  get connected(): boolean {
    return this.#connection.connected
  }

  get localAddress(): string {
    return this.#connection.localAddress
  }

  send(request: UpstreamRequest, handler: ResponseHandler): void {
    const connection = this.#connection
    this.#request = request
    this.#method = request.method
    this.#handler = handler
    this.#ended = request.body === 'none'
    this.reused = connection.requests > 0
    const session = connection.enter(this)
    if (session !== null && connection.connected) this.begin(session)
  }

  /** For the connection: it stands. */
  begin(session: ClientHttp2Session): void {
    const request = this.#request
    if (request === null || this.#stream !== null) return
    this.#request = null
    // HTTP/2 has no upgrades (RFC 9113 §8.6); without its header the handshake would be another request.
    if (request.upgrade !== null) {
      this.#fail('local-reset', '')
      return
    }
    let stream: ClientHttp2Stream
    try {
      const hasBody = request.body !== 'none'
      stream = session.request(headerBlock(request), { endStream: !hasBody, waitForTrailers: hasBody })
    } catch {
      // A header that HTTP/2 cannot carry.
      this.#fail('local-reset', '')
      return
    }
    this.#stream = stream
    this.#listen(stream)
    const held = this.#held
    if (held !== null) {
      this.#held = null
      let more = true
      for (const chunk of held) more = stream.write(chunk)
      if (this.#ended) stream.end()
      // Otherwise the stream says so itself.
      else if (more) this.#handler?.onDrain()
    } else if (this.#ended && request.body !== 'none') stream.end()
  }

  write(chunk: Buffer): boolean {
    if (this.#stream !== null) return this.#stream.write(chunk)
    this.#held ??= []
    this.#held.push(chunk)
    return false
  }

  endRequest(trailers: HeaderList | null): void {
    this.#ended = true
    this.#requestTrailers = trailers
    this.#stream?.end()
  }

  resume(): void {
    this.#stream?.resume()
  }

  abort(): void {
    this.#handler = null
    this.#request = null
    this.#answered = true
    this.#clearImmediate()
    if (this.#stream !== null) cancel(this.#stream)
    this.#connection.leave(this)
  }

  /** For the connection: it is gone, or could not be made. */
  onConnectionClosed(reason: FailureReason, detail: string): void {
    if (this.#stream === null) this.#fail(reason, detail)
    // What the peer said of this one stream before counts for more.
    else this.#fail(...this.#connection.failureOf(this.#stream, this.#error))
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (headers, _flags, raw) => {
      const status = headers[':status']
      // A second block with a final status is none.
      if (status !== undefined && status < 200) this.#handler?.onInformational(status, withoutPseudo(raw))
    })
    stream.once('response', (headers, flags, raw) => {
      this.#onHead(stream, { status: headers[':status']!, headers: withoutPseudo(raw), empty: (flags & 1) !== 0 })
    })
    stream.once('trailers', (_headers, _flags, raw) => {
      this.#trailers = withoutPseudo(raw)
    })
    stream.on('wantTrailers', () => {
      // Node ends the body of a stream that is reset, and sends that first: half a request would look whole.
      if (this.#ended) stream.sendTrailers(toRecord(this.#requestTrailers))
    })
    stream.on('drain', () => this.#handler?.onDrain())
    // What it means is looked at when the stream closes.
    stream.on('error', (error) => {
      this.#error = error
    })
    stream.once('close', () => {
      this.#onClose(stream)
    })
  }

  #onHead(stream: ClientHttp2Stream, head: ResponseHead): void {
    stream.on('data', (chunk: Buffer) => {
      this.#flushHead(true)
      this.#missing -= chunk.length
      if (this.#handler !== null && !this.#handler.onData(chunk, false)) stream.pause()
    })
    stream.once('end', () => {
      this.#onEnd(stream)
    })
    if (head.empty) this.#handler?.onHead(head, false)
    else {
      if (this.#method !== 'HEAD') this.#missing = Number(headerValue(head.headers, 'content-length') ?? 0)
      // Head and first bytes mostly come together, and can leave together: Node gives them in the same turn.
      this.#head = head
      this.#immediate = setImmediate(() => {
        this.#flushHead(false)
      })
    }
  }

  #flushHead(more: boolean): void {
    const head = this.#head
    if (head === null) return
    this.#head = null
    this.#clearImmediate()
    this.#handler?.onHead(head, more)
  }

  #onEnd(stream: ClientHttp2Stream): void {
    // Node ends the readable side of a stream that was reset as well; what is short of its length was cut off.
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || this.#missing > 0) return
    this.#flushHead(false)
    this.#answered = true
    const handler = this.#handler
    this.#handler = null
    // Whatever the request has left is of no use to anybody.
    if (!this.#ended) cancel(stream)
    this.#connection.leave(this)
    handler?.onEnd(this.#trailers)
  }

  #onClose(stream: ClientHttp2Stream): void {
    if (this.#answered) return
    this.#fail(...this.#connection.failureOf(stream, this.#error))
  }

  #fail(reason: FailureReason, detail: string): void {
    const handler = this.#handler
    this.#handler = null
    this.#answered = true
    this.#clearImmediate()
    this.#connection.leave(this)
    handler?.onFailure(reason, detail)
  }

  #clearImmediate(): void {
    if (this.#immediate === null) return
    clearImmediate(this.#immediate)
    this.#immediate = null
  }
}

/**
 * Resets a stream. Not in the same turn: from within nghttp2's callbacks Node puts a reset with this code off, and a
 * stream that waits for trailers then ends the process with a failed assertion (Node 26.10, `Http2Stream::OnTrailers`).
 */
function cancel(stream: ClientHttp2Stream): void {
  setImmediate(() => {
    stream.close(constants.NGHTTP2_CANCEL)
  })
}

function headerBlock({ method, path, authority, scheme, headers }: UpstreamRequest): string[] {
  const block = [':method', method, ':scheme', scheme, ':authority', authority, ':path', path]
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (!NOT_SENT.has(name)) block.push(name, toHttp2Text(headers[i + 1]!))
  }
  return block
}

function withoutPseudo(raw: readonly string[]): HeaderList {
  const list: HeaderList = []
  for (let i = 0; i < raw.length; i += 2) if (!raw[i]!.startsWith(':')) list.push(raw[i]!, raw[i + 1]!)
  return list
}

/** As Node takes trailers. */
function toRecord(trailers: HeaderList | null): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {}
  if (trailers === null) return record
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!
    const before = record[name]
    record[name] = before === undefined ? trailers[i + 1]! : [before, trailers[i + 1]!].flat()
  }
  return record
}
