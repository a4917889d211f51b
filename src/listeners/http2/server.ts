/**
 * HTTP/2 on connections that somebody else accepted, in plain text or in TLS that ended before: sockets in, exchanges
 * out. What a request is answered is not decided here.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Exchange, ListenerFacts } from '../../exchange/exchange.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import { admit } from '../admission.ts'
import type { ConnectionFacts } from '../connection-facts.ts'
import type { HttpDeps } from '../http1-server.ts'
import type { ListenerState } from '../listener-state.ts'
import { FloodGuard, type Http2Abuse, type Http2Counters } from './flood-guard.ts'
import { Http2Request, Http2Response } from './messages.ts'

/** Limits on clients that speak HTTP/2. */
export interface Http2Limits {
  /** Streams of a connection at a time; more are refused. */
  readonly maxConcurrentStreams: number
  /** Bytes of one request's body that may be under way unread. */
  readonly streamWindowBytes: number
  /** Streams of a connection that may end unanswered in a second, on average; ten times as many at once. */
  readonly resetsPerSecond: number
}

export interface Http2Deps extends HttpDeps {
  readonly limits: HttpDeps['limits'] & { readonly http2: Http2Limits }
  /** The worker's. */
  readonly http2Counters: Http2Counters
}

const REMOTE_RESET = 'http2.remote_reset'
const GONE = 'downstream_remote_disconnect'
const REQUEST_TIMEOUT: LocalReply = { status: 408, body: 'request timeout', details: 'request_overall_timeout' }
const CONNECT_NOT_ROUTED: LocalReply = { status: 404, flag: 'NR', details: 'route_not_found' }

/** How often it is looked for connections without a stream. */
const CHECK_INTERVAL_MS = 1000
/** How often it is looked whether the end of an answer has left. */
const STOP_CHECK_MS = 20
/** The last id of a stream: a GOAWAY with it says that one is to follow (RFC 9113 §6.8). */
const MAX_STREAM_ID = 2 ** 31 - 1
/** A client that does not answer a PING in this time is not waited for before the second GOAWAY. */
const GOAWAY_GRACE_MS = 1000
/** All bodies of a connection together: what is read from the wire is given back at once, and streams bound what waits. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024
/** MB that Node may keep for one connection. */
const MAX_MEMORY_MB = 64

/** nghttp2's `NGHTTP2_ERR_FLOODED` and `NGHTTP2_ERR_TOO_MANY_CONTINUATIONS`. */
const NGHTTP2_ABUSES: Readonly<Record<number, Http2Abuse>> = {
  [-904]: 'outbound_control_flood',
  [-905]: 'too_many_continuations',
}

interface Connection {
  readonly session: ServerHttp2Session
  readonly socket: Socket
  readonly facts: ConnectionFacts
  readonly listener: ListenerFacts
  readonly guard: FloodGuard
  active: number
  /** Since when there has been no stream, on the monotonic clock. */
  idleSince: number
  draining: boolean
  /** When it was told to close, on the monotonic clock; 0: it was not. */
  closingSince: number
}

export class Http2Server {
  readonly #deps: Http2Deps
  readonly #state: ListenerState
  readonly #options: ServerOptions
  readonly #connections = new Set<Connection>()
  readonly #checker: NodeJS.Timeout

  constructor(state: ListenerState, deps: Http2Deps) {
    this.#deps = deps
    this.#state = state
    const { limits } = deps
    this.#options = sessionOptions(limits.maxHeadBytes, limits.maxHeaders, limits.http2)
    this.#checker = setInterval(() => {
      this.#closeIdleFor(limits.idleTimeoutMs)
    }, CHECK_INTERVAL_MS)
    this.#checker.unref()
  }

  /** Serves what comes on a connection until it ends. */
  take(socket: Socket, facts: ConnectionFacts, listener: ListenerFacts): void {
    socket.on('error', () => {})
    // In HTTP/2 a client that ends its side has no use for answers.
    socket.allowHalfOpen = false
    const session = performServerHandshake(socket, this.#options)
    const guard = new FloodGuard(this.#deps.limits.http2.resetsPerSecond, (abuse) => {
      this.#cutOff(connection, abuse)
    })
    const connection: Connection = {
      session,
      socket,
      facts,
      listener,
      guard,
      active: 0,
      idleSince: performance.now(),
      draining: false,
      closingSince: 0,
    }
    this.#connections.add(connection)
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    session.on('stream', (stream, _headers: IncomingHttpHeaders, flags: number, raw: string[]) => {
      this.#onStream(connection, stream, flags, raw)
    })
    session.on('ping', () => {
      guard.onControlFrame()
    })
    session.on('remoteSettings', () => {
      guard.onControlFrame()
    })
    session.on('error', (error: NodeJS.ErrnoException) => {
      // What the system says of the socket, or the client of its own troubles, is nobody's abuse.
      const abuse = abuseOf(error)
      if (abuse !== null) this.#deps.http2Counters[abuse]++
    })
    session.once('close', () => {
      this.#connections.delete(connection)
      socket.destroy()
    })
    if (this.#state.draining) this.#drain(connection)
  }

  /** Tells clients to connect elsewhere; their connections end with the requests that are under way. */
  drain(): void {
    for (const connection of this.#connections) this.#drain(connection)
  }

  close(): void {
    clearInterval(this.#checker)
  }

  #onStream(connection: Connection, stream: ServerHttp2Stream, flags: number, raw: string[]): void {
    const { listener, facts } = connection
    const req = new Http2Request(stream, connection.socket, flags, raw)
    const res = new Http2Response(stream, req.method)
    connection.active++
    this.#state.active++
    // What it means is looked at when the stream closes.
    stream.on('error', () => {})
    const { exchange, reply } = admit(req, res, listener, this.#deps.epoch(), facts, this.#deps.limits)
    stream.once('close', () => {
      connection.active--
      if (connection.active === 0) connection.idleSince = performance.now()
      this.#onClose(exchange, connection)
    })
    stream.once('aborted', () => {
      // After a reset without an error Node waits until somebody has read what is left of the body.
      setImmediate(destroyReset, stream)
    })
    if (!req.complete) this.#watchRequest(exchange, stream)
    if (req.method === 'CONNECT') this.#deps.reply(exchange, CONNECT_NOT_ROUTED)
    else if (reply === null) this.#deps.serve(exchange)
    else this.#deps.reply(exchange, reply)
  }

  /** A request with a body: how long it may take, and what becomes of it once it is answered. */
  #watchRequest(exchange: Exchange, stream: ServerHttp2Stream): void {
    const { requestTimeoutMs } = this.#deps.limits
    stream.once('finish', () => {
      if (!exchange.req.complete) setImmediate(stopUpload, exchange, stream)
    })
    if (requestTimeoutMs === 0) return
    const timer = setTimeout(() => {
      if (exchange.req.complete || exchange.finished) return
      exchange.onClientGone?.('', REQUEST_TIMEOUT.details)
      if (exchange.res.headersSent) exchange.res.destroy()
      else this.#deps.reply(exchange, REQUEST_TIMEOUT)
    }, requestTimeoutMs)
    stream.once('close', () => {
      clearTimeout(timer)
    })
  }

  /** The answer is out, or the client has left. */
  #onClose(exchange: Exchange, { session, guard }: Connection): void {
    if (exchange.finished) return
    this.#state.active--
    const [flag, details] = !session.destroyed ? (['DR', REMOTE_RESET] as const) : (['DC', GONE] as const)
    exchange.onClientGone?.(flag, details)
    if (!exchange.res.writableFinished && exchange.details === '') {
      exchange.addFlag(flag)
      exchange.details = details
    }
    exchange.finished = true
    this.#deps.onFinished(exchange)
    if (exchange.details === REMOTE_RESET) guard.onReset()
  }

  #cutOff({ session }: Connection, abuse: Http2Abuse): void {
    if (session.destroyed) return
    this.#deps.http2Counters[abuse]++
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #closeIdleFor(idleTimeoutMs: number): void {
    const now = performance.now()
    for (const connection of this.#connections) {
      if (connection.active > 0) continue
      if (connection.session.closed) {
        // Node leaves it to the client to close the connection.
        if (connection.closingSince === 0) connection.closingSince = now
        else connection.socket.destroy()
      } else if (now - connection.idleSince >= idleTimeoutMs) connection.session.close()
    }
  }

  /**
   * In two steps: streams that a client began before it heard of the first GOAWAY are served. Its answer to the PING
   * behind that says that it has heard.
   */
  #drain(connection: Connection): void {
    const { session } = connection
    if (connection.draining || session.destroyed) return
    connection.draining = true
    session.goaway(constants.NGHTTP2_NO_ERROR, MAX_STREAM_ID)
    const close = () => {
      clearTimeout(timer)
      session.close()
    }
    const timer = setTimeout(close, GOAWAY_GRACE_MS)
    timer.unref()
    if (!session.ping(close)) close()
  }
}

function destroyReset(stream: ServerHttp2Stream): void {
  if (stream.rstCode === constants.NGHTTP2_NO_ERROR && !stream.destroyed) stream.destroy()
}

/**
 * The answer is out: its client is told to stop, as whatever it still sends is of no use (RFC 9113 §8.1). nghttp2 sends a
 * reset before what else it has, so the end of the answer must have left.
 */
function stopUpload(exchange: Exchange, stream: ServerHttp2Stream): void {
  if (exchange.req.complete || stream.destroyed) return
  if (stream.state.localClose === 1) stream.close(constants.NGHTTP2_NO_ERROR)
  else setTimeout(stopUpload, STOP_CHECK_MS, exchange, stream)
}

/** What nghttp2 or Node ended the session for; null: nothing that the client did. */
function abuseOf({ code, errno }: NodeJS.ErrnoException): Http2Abuse | null {
  if (code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES') return 'protocol_error'
  if (code !== 'ERR_HTTP2_ERROR') return null
  return NGHTTP2_ABUSES[errno ?? 0] ?? 'protocol_error'
}

function sessionOptions(maxHeadBytes: number, maxHeaders: number, http2: Http2Limits): ServerOptions {
  const { maxConcurrentStreams, streamWindowBytes, resetsPerSecond } = http2
  const options: ServerOptions & Record<'strictSingleValueFields', boolean> = {
    settings: {
      maxConcurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: maxHeadBytes,
      enableConnectProtocol: false,
    },
    // There must be room for the pseudo-headers, and to see that there were too many (admission.ts).
    maxHeaderListPairs: maxHeaders + 100,
    maxSessionMemory: MAX_MEMORY_MB,
    // The flood guard is to be met first: it counts.
    streamResetRate: resetsPerSecond * 2,
    streamResetBurst: resetsPerSecond * 60,
    strictSingleValueFields: false,
  }
  return options
}
