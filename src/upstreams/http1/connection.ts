/**
 * One connection to an endpoint that speaks HTTP/1.1: one request at a time, its answer handed on as it arrives.
 *
 * States: `connecting or idle` → send() → `busy` → the answer's last byte → idle again (the owner is told) or closed.
 * A request may be sent before the connection stands. In plain text Node keeps the bytes until then; with TLS they are
 * kept here until the peer has been verified, since Node would hand them to OpenSSL before.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { HeaderList } from '../../exchange/headers.ts'
import { connectFailure, tlsFailure } from '../connect-failure.ts'
import type { ConnectFailure } from '../connection-gate.ts'
import type { FailureReason } from '../failure-reason.ts'
import type { ResponseHandler, UpstreamRequest, UpstreamStream } from '../stream.ts'
import { ChunkedDecoder } from './chunked-decoder.ts'
import { requestHead } from './request-head.ts'
import { type BodyFraming, type Http1ResponseHead, MalformedResponse, parseResponseHead } from './response-head.ts'

/** The pool that a connection belongs to. */
export interface ConnectionOwner {
  /** It stands, its peer verified. */
  onConnected(connection: Http1Connection): void
  onIdle(connection: Http1Connection): void
  /**
   * Once for each connection.
   *
   * @param failure Why it could not be made; null where it could, or was given up by this side.
   */
  onClosed(connection: Http1Connection, failure: ConnectFailure | null): void
}

/** As Envoy's limit for response heads. */
const MAX_HEAD_BYTES = 60 * 1024

const LAST_CHUNK = '0\r\n\r\n'

export class Http1Connection implements UpstreamStream {
  readonly protocol = 'HTTP/1.1'
  /** Requests sent so far. */
  requests = 0
  /** When it was begun, in ms of the monotonic clock. */
  readonly openedAt = performance.now()
  /** Since when it has been idle, in ms of the monotonic clock; set by its pool. */
  idleSince = 0
  /** Seconds after which the upstream said that it closes an idle connection; 0: it did not say. */
  keepAliveSeconds = 0
  localAddress = ''

  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #connected = false
  #closed = false
  #error: Error | null = null
  #connectTimer: NodeJS.Timeout | null
  /**
   * What must not be written before the peer is verified; null: write. Bound: a head, and a body up to the first
   * write() that says wait, or as much as was kept for another try.
   */
  #held: (string | Buffer)[] | null

  #handler: ResponseHandler | null = null
  #method = ''
  #requestEnded = true
  #chunkedRequest = false
  #upgrading = false
  #switched = false
  /** Bytes of a head that has not arrived whole. */
  #pending: Buffer | null = null
  /** Null while the head is awaited. */
  #framing: BodyFraming | null = null
  #remaining = 0
  #decoder: ChunkedDecoder | null = null
  #reusable = false

  /**
   * @param socket Connecting; it belongs to the connection from now on. A TLSSocket has to verify its peer before it
   *   emits `secureConnect`.
   * @param connectTimeoutMs For the TLS handshake too.
   */
  constructor(socket: Socket, owner: ConnectionOwner, connectTimeoutMs: number) {
    this.#socket = socket
    this.#owner = owner
    this.#connectTimer = setTimeout(() => {
      this.#fail('connection-timeout', '')
    }, connectTimeoutMs)
    socket.setNoDelay(true)
    const secure = socket instanceof TLSSocket
    this.#held = secure ? [] : null
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      this.#onConnected()
    })
    socket.on('data', (chunk: Buffer) => {
      this.#onData(chunk)
    })
    socket.on('drain', () => this.#handler?.onDrain())
    socket.on('end', () => {
      this.#onFin()
    })
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      this.#onClose()
    })
  }

  get connected(): boolean {
    return this.#connected
  }

  get reused(): boolean {
    return this.requests > 1
  }

  send(request: UpstreamRequest, handler: ResponseHandler): void {
    const { method, body } = request
    const head = requestHead(request)
    this.requests++
    this.#handler = handler
    this.#method = method
    this.#upgrading = request.upgrade !== null
    this.#requestEnded = body === 'none'
    this.#chunkedRequest = body === 'chunked'
    this.#framing = null
    if (this.#held === null) this.#socket.write(head, 'latin1')
    else this.#held.push(head)
  }

  write(chunk: Buffer): boolean {
    if (this.#held !== null) return this.#hold(chunk)
    if (!this.#chunkedRequest) return this.#socket.write(chunk)
    if (chunk.length === 0) return true
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    const more = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return more
  }

  endRequest(_trailers: HeaderList | null): void {
    this.#requestEnded = true
    if (!this.#chunkedRequest) return
    if (this.#held === null) this.#socket.write(LAST_CHUNK, 'latin1')
    else this.#held.push(LAST_CHUNK)
  }

  resume(): void {
    this.#socket.resume()
  }

  /** And gives up the connection with it: there is no other way to end a request in HTTP/1.1. */
  abort(): void {
    this.#handler = null
    this.close()
  }

  close(): void {
    this.#clearConnectTimer()
    this.#socket.destroy()
  }

  #onConnected(): void {
    // A connection that was given up must not send what was held for it.
    if (this.#closed || this.#socket.destroyed) return
    this.#connected = true
    this.#clearConnectTimer()
    const { localAddress, localPort, localFamily } = this.#socket
    // A Unix socket has none.
    if (localAddress !== undefined) {
      this.localAddress = localFamily === 'IPv6' ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`
    }
    this.#owner.onConnected(this)
    const held = this.#held
    this.#held = null
    if (held === null || held.length === 0) return
    this.#socket.cork()
    let more = true
    for (const part of held) {
      more = typeof part === 'string' ? this.#socket.write(part, 'latin1') : this.#socket.write(part)
    }
    this.#socket.uncork()
    // Otherwise the socket says so itself.
    if (more) this.#handler?.onDrain()
  }

  #hold(chunk: Buffer): boolean {
    if (!this.#chunkedRequest) this.#held!.push(chunk)
    else if (chunk.length > 0) this.#held!.push(`${chunk.length.toString(16)}\r\n`, chunk, '\r\n')
    return false
  }

  #clearConnectTimer(): void {
    if (this.#connectTimer === null) return
    clearTimeout(this.#connectTimer)
    this.#connectTimer = null
  }

  #onData(chunk: Buffer): void {
    if (this.#handler === null) {
      // An answer that nobody asked for: whatever it is, the next request must not be given it.
      this.close()
      return
    }
    try {
      this.#read(chunk)
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error
      this.#fail('protocol-error', '')
    }
  }

  #read(chunk: Buffer): void {
    const handler = this.#handler
    let buffer = chunk
    let at = 0
    // The handler may abort in any callback; what is left of the buffer is then nobody's.
    while (this.#handler === handler && handler !== null) {
      const framing = this.#framing
      if (framing === null) {
        if (this.#pending !== null) {
          buffer = Buffer.concat([this.#pending, buffer])
          this.#pending = null
        }
        const end = buffer.indexOf('\r\n\r\n', at, 'latin1')
        if (end === -1) {
          if (buffer.length - at > MAX_HEAD_BYTES) throw new MalformedResponse('response head too long')
          if (at < buffer.length) this.#pending = at === 0 ? buffer : buffer.subarray(at)
          // Something that cannot become a status line will not get better with more bytes.
          if (this.#pending !== null && !couldBeHead(this.#pending)) throw new MalformedResponse('no HTTP/1.x answer')
          return
        }
        if (end - at > MAX_HEAD_BYTES) throw new MalformedResponse('response head too long')
        const head = parseResponseHead(buffer.toString('latin1', at, end), this.#method)
        at = end + 4
        if (head.status < 200) {
          if (head.status === 101) {
            this.#switch(head, buffer.subarray(at))
            return
          }
          handler.onInformational(head.status, head.headers)
          continue
        }
        this.#startBody(head)
        handler.onHead(head, at < buffer.length)
        if (head.framing.kind === 'none' && this.#handler === handler) {
          this.#finish(at === buffer.length)
          handler.onEnd(null)
        }
        continue
      }
      if (at === buffer.length) return
      if (framing.kind === 'length') {
        const end = Math.min(buffer.length, at + this.#remaining)
        const part = at === 0 && end === buffer.length ? buffer : buffer.subarray(at, end)
        this.#remaining -= end - at
        at = end
        const last = this.#remaining === 0
        if (last) this.#finish(at === buffer.length)
        if (!handler.onData(part, last) && !last) this.#pause(handler)
      } else if (framing.kind === 'chunked') {
        at = this.#decoder!.push(buffer, at, (part) => {
          if (this.#handler === handler && !handler.onData(part, false)) this.#pause(handler)
        })
        if (this.#decoder!.done && this.#handler === handler) {
          this.#finish(at === buffer.length)
          handler.onEnd(null)
        }
      } else {
        const part = at === 0 ? buffer : buffer.subarray(at)
        at = buffer.length
        if (!handler.onData(part, false)) this.#pause(handler)
      }
    }
  }

  /** Hands the connection to who asked for the upgrade. Its owner still counts it until it closes. */
  #switch(head: Http1ResponseHead, rest: Buffer): void {
    if (!this.#upgrading) throw new MalformedResponse('101 without a request to upgrade')
    const handler = this.#handler!
    const socket = this.#socket
    this.#handler = null
    this.#switched = true
    // Nobody but this connection listens to these.
    socket.removeAllListeners('data')
    socket.removeAllListeners('drain')
    socket.pause()
    if (rest.length > 0) socket.unshift(rest)
    handler.onUpgrade?.(head, socket)
  }

  #startBody(head: Http1ResponseHead): void {
    this.#framing = head.framing
    this.#reusable = head.keepAlive
    this.keepAliveSeconds = head.keepAliveSeconds
    if (head.framing.kind === 'length') this.#remaining = head.framing.length
    else if (head.framing.kind === 'chunked') this.#decoder = new ChunkedDecoder()
  }

  #pause(handler: ResponseHandler): void {
    if (this.#handler === handler) this.#socket.pause()
  }

  /** The answer is complete. @param clean Nothing followed it. */
  #finish(clean: boolean): void {
    this.#handler = null
    this.#framing = null
    this.#decoder = null
    if (clean && this.#reusable && this.#requestEnded && !this.#closed) {
      if (this.#socket.isPaused()) this.#socket.resume()
      this.#owner.onIdle(this)
    } else {
      this.close()
    }
  }

  #onFin(): void {
    // In the middle of a handshake: what that means is known when the socket closes. After a switch it is not ours.
    if (!this.#connected || this.#switched) return
    if (this.#framing?.kind === 'until-close') {
      const handler = this.#handler
      this.#reusable = false
      this.#finish(false)
      handler?.onEnd(null)
    } else {
      this.#fail('connection-termination', tlsFailure(this.#socket, this.#error))
    }
  }

  #onClose(): void {
    if (this.#closed) return
    const [reason, detail] = this.#connected
      ? (['connection-termination', tlsFailure(this.#socket, this.#error)] as const)
      : connectFailure(this.#socket, this.#error)
    this.#fail(reason, detail)
  }

  #fail(reason: FailureReason, detail: string): void {
    const handler = this.#handler
    this.#handler = null
    this.#clearConnectTimer()
    if (!this.#closed) {
      this.#closed = true
      this.#owner.onClosed(this, this.#connected || handler === null ? null : { reason, detail })
    }
    this.#socket.destroy()
    handler?.onFailure(reason, detail)
  }
}

function couldBeHead(bytes: Buffer): boolean {
  return 'HTTP/1.'.startsWith(bytes.toString('latin1', 0, 7))
}
