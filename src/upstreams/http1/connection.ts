/**
 * One connection to an endpoint that speaks HTTP/1.1: one request at a time, its answer handed on as it arrives.
 *
 * States: `connecting or idle` → send() → `busy` → the answer's last byte → idle again (the owner is told) or closed.
 * A request may be sent before the connection stands; Node keeps the bytes until then.
 */
import type { Socket } from 'node:net'
import type { HeaderList } from '../../exchange/headers.ts'
import type { FailureReason } from '../failure-reason.ts'
import { ChunkedDecoder } from './chunked-decoder.ts'
import { type BodyFraming, MalformedResponse, parseResponseHead, type ResponseHead } from './response-head.ts'

/** What becomes of a request. After `onEnd`, `onFailure`, or a call of `abort()`, nothing more is called. */
export interface ResponseHandler {
  /** 100, 103 and other answers before the answer. */
  onInformational(status: number, headers: HeaderList): void
  /** @param more Whether body bytes follow in the same turn, so that head and body can leave together. */
  onHead(head: ResponseHead, more: boolean): void
  /**
   * @param last The body ends here; no `onEnd` follows.
   * @returns False to stop reading until {@link Http1Connection.resume}.
   */
  onData(chunk: Buffer, last: boolean): boolean
  onEnd(): void
  /** @param detail Envoy's "transport failure reason", or empty. */
  onFailure(reason: FailureReason, detail: string): void
  /** What was written has left: the request's body may go on. */
  onDrain(): void
}

/** The pool that a connection belongs to. */
export interface ConnectionOwner {
  onIdle(connection: Http1Connection): void
  onClosed(connection: Http1Connection): void
}

/** As Envoy's limit for response heads. */
const MAX_HEAD_BYTES = 60 * 1024

export class Http1Connection {
  /** Requests sent so far. */
  requests = 0
  /** Since when it has been idle, in ms of the monotonic clock; set by its pool. */
  idleSince = 0
  /** Seconds after which the upstream said that it closes an idle connection; 0: it did not say. */
  keepAliveSeconds = 0
  /** `ADDRESS:PORT` of this side, once connected. */
  localAddress = ''

  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #connected = false
  #closed = false
  #error: Error | null = null
  #connectTimer: NodeJS.Timeout | null

  #handler: ResponseHandler | null = null
  #method = ''
  #requestEnded = true
  #chunkedRequest = false
  /** Bytes of a head that has not arrived whole. */
  #pending: Buffer | null = null
  /** Null while the head is awaited. */
  #framing: BodyFraming | null = null
  #remaining = 0
  #decoder: ChunkedDecoder | null = null
  #reusable = false

  /** @param socket Connecting or connected. It belongs to the connection from now on. */
  constructor(socket: Socket, owner: ConnectionOwner, connectTimeoutMs: number) {
    this.#socket = socket
    this.#owner = owner
    this.#connectTimer = setTimeout(() => {
      this.#fail('connection-timeout', '')
    }, connectTimeoutMs)
    socket.setNoDelay(true)
    socket.once('connect', () => {
      this.#connected = true
      this.#clearConnectTimer()
      this.localAddress = `${socket.localAddress}:${socket.localPort}`
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

  /** Whether the connection has ever been established: what fails before that is a connection failure. */
  get connected(): boolean {
    return this.#connected
  }

  /**
   * Sends a request head.
   *
   * @param head All of it, its empty line included, as latin1 text.
   * @param body `none`: the request ends with its head. Otherwise write() and endRequest() follow.
   */
  send(method: string, head: string, body: 'none' | 'length' | 'chunked', handler: ResponseHandler): void {
    this.requests++
    this.#handler = handler
    this.#method = method
    this.#requestEnded = body === 'none'
    this.#chunkedRequest = body === 'chunked'
    this.#framing = null
    this.#socket.write(head, 'latin1')
  }

  /** Sends body bytes; false: wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    if (!this.#chunkedRequest) return this.#socket.write(chunk)
    if (chunk.length === 0) return true
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    const more = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return more
  }

  endRequest(): void {
    this.#requestEnded = true
    if (this.#chunkedRequest) this.#socket.write('0\r\n\r\n', 'latin1')
  }

  /** Reads on after `onData` returned false. */
  resume(): void {
    this.#socket.resume()
  }

  /** Gives up the request, and the connection with it: there is no other way to end a request in HTTP/1.1. */
  abort(): void {
    this.#handler = null
    this.close()
  }

  close(): void {
    this.#clearConnectTimer()
    this.#socket.destroy()
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
          if (head.status === 101) throw new MalformedResponse('101 without a request to upgrade')
          handler.onInformational(head.status, head.headers)
          continue
        }
        this.#startBody(head)
        handler.onHead(head, at < buffer.length)
        if (head.framing.kind === 'none' && this.#handler === handler) {
          this.#finish(at === buffer.length)
          handler.onEnd()
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
          handler.onEnd()
        }
      } else {
        const part = at === 0 ? buffer : buffer.subarray(at)
        at = buffer.length
        if (!handler.onData(part, false)) this.#pause(handler)
      }
    }
  }

  #startBody(head: ResponseHead): void {
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
    if (this.#framing?.kind === 'until-close') {
      const handler = this.#handler
      this.#reusable = false
      this.#finish(false)
      handler?.onEnd()
    } else {
      this.#fail('connection-termination', '')
    }
  }

  #onClose(): void {
    if (this.#closed) return
    const [reason, detail] = this.#connected ? (['connection-termination', ''] as const) : connectFailure(this.#error)
    this.#fail(reason, detail)
  }

  #fail(reason: FailureReason, detail: string): void {
    const handler = this.#handler
    this.#handler = null
    this.#clearConnectTimer()
    if (!this.#closed) {
      this.#closed = true
      this.#owner.onClosed(this)
    }
    this.#socket.destroy()
    handler?.onFailure(reason, detail)
  }
}

function couldBeHead(bytes: Buffer): boolean {
  return 'HTTP/1.'.startsWith(bytes.toString('latin1', 0, 7))
}

/** @returns Envoy's reason, and its text for the log and the body ("delayed connect error: …"). */
function connectFailure(error: Error | null): readonly [FailureReason, string] {
  const code = (error as NodeJS.ErrnoException | null)?.code
  switch (code) {
    case 'ECONNREFUSED':
      return ['remote-connection-failure', 'delayed connect error: Connection refused']
    case 'ECONNRESET':
      return ['remote-connection-failure', 'delayed connect error: Connection reset by peer']
    case 'EHOSTUNREACH':
      return ['remote-connection-failure', 'delayed connect error: No route to host']
    case 'ENETUNREACH':
      return ['remote-connection-failure', 'delayed connect error: Network is unreachable']
    case 'ETIMEDOUT':
      return ['connection-timeout', '']
    case 'EADDRNOTAVAIL':
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'EACCES':
    case 'EINVAL':
      return ['local-connection-failure', code]
    default:
      return ['remote-connection-failure', code ?? '']
  }
}
