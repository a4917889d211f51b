/**
 * One connection to an endpoint that speaks HTTP/2: many requests at a time, each a stream of it.
 *
 * States: connecting → open → draining (no new stream: a GOAWAY came, or it has served its time) → closed. Node's
 * session begins once the socket stands, its peer verified, so that nothing is sent to one that is not.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  constants,
} from 'node:http2'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Http2KeepalivePlan } from '../../plan/cluster.ts'
import { connectFailure, tlsFailure } from '../connect-failure.ts'
import type { ConnectFailure } from '../connection-gate.ts'
import type { FailureReason } from '../failure-reason.ts'
import { Http2Stream } from './stream.ts'

/** The pool that a connection belongs to. */
export interface Http2Owner {
  /** It stands, and takes streams. */
  onConnected(connection: Http2Connection): void
  /** A request is over, whatever became of it. */
  onStreamEnd(connection: Http2Connection): void
  /**
   * Once for each connection, before its streams are told.
   *
   * @param failure Why it could not be made; null where it could, or was given up by this side.
   */
  onClosed(connection: Http2Connection, failure: ConnectFailure | null): void
}

export interface Http2Settings {
  /** For the TLS handshake too. */
  readonly connectTimeoutMs: number
  /** Streams at a time, if the upstream allows as many; absent: it alone decides. */
  readonly maxConcurrentStreams?: number
  /** Absent: it is not looked whether an idle peer is still there. */
  readonly http2Keepalive?: Http2KeepalivePlan
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number
  readonly maxConnectionDurationMs?: number
}

/** Bytes of one answer that may be on their way unread, which bounds what a slow client makes the gateway keep. */
const STREAM_WINDOW_BYTES = 256 * 1024
/** The same for all answers of a connection together: what is read from the wire is given back at once. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024
/** As Envoy's limits for response heads; Node counts pairs with the pseudo-header. */
const MAX_HEAD_BYTES = 60 * 1024
const MAX_HEADERS = 200
/** What a peer is taken to allow before its SETTINGS say so (RFC 9113 §6.5.2 recommends no less). */
const ASSUMED_STREAMS = 100
/** MB that Node may keep for one connection: of this it is the bodies that wait for slow peers. */
const MAX_MEMORY_MB = 64

const SESSION_OPTIONS: ClientSessionOptions & { readonly strictSingleValueFields: boolean } = {
  settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: MAX_HEAD_BYTES },
  maxHeaderListPairs: MAX_HEADERS,
  maxSessionMemory: MAX_MEMORY_MB,
  // What clients repeat is passed on: it is for the upstream to judge.
  strictSingleValueFields: false,
}

/** Node's errors for streams of a session that was closing: the peer has seen nothing of them. */
const NEVER_SENT: readonly string[] = ['ERR_HTTP2_GOAWAY_SESSION', 'ERR_HTTP2_INVALID_SESSION']

export class Http2Connection {
  /** When it was begun, in ms of the monotonic clock. */
  readonly openedAt = performance.now()
  /** Since when it has had no stream, in ms of the monotonic clock. */
  idleSince = performance.now()
  localAddress = ''
  /** Streams sent so far. */
  requests = 0
  readonly #socket: Socket
  readonly #owner: Http2Owner
  readonly #settings: Http2Settings
  readonly #streams = new Set<Http2Stream>()
  #session: ClientHttp2Session | null = null
  #state: 'connecting' | 'open' | 'draining' | 'closed' = 'connecting'
  #established = false
  #peerStreams = ASSUMED_STREAMS
  /** Set by a GOAWAY: streams above it were not looked at. */
  #lastStreamId = Number.POSITIVE_INFINITY
  #error: Error | null = null
  /** This side closed it. */
  #givenUp = false
  #connectTimer: NodeJS.Timeout | null
  #keepaliveTimer: NodeJS.Timeout | null = null
  #pingTimer: NodeJS.Timeout | null = null

  /** @param socket Connecting; see `Http1Connection`. */
  constructor(socket: Socket, owner: Http2Owner, settings: Http2Settings) {
    this.#socket = socket
    this.#owner = owner
    this.#settings = settings
    this.#connectTimer = setTimeout(() => {
      this.#fail('connection-timeout', '')
    }, settings.connectTimeoutMs)
    socket.setNoDelay(true)
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
      this.#onSocketReady()
    })
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.once('close', () => {
      this.#onClose()
    })
  }

  /** Whether the connection has ever been established, its peer verified. */
  get connected(): boolean {
    return this.#established
  }

  get connecting(): boolean {
    return this.#state === 'connecting'
  }

  /** Streams in flight. */
  get active(): number {
    return this.#streams.size
  }

  /** How many more streams it takes now, or will once it stands. */
  get room(): number {
    if (this.#state === 'draining' || this.#state === 'closed') return 0
    const { maxConcurrentStreams = Number.POSITIVE_INFINITY, maxRequestsPerConnection } = this.#settings
    const left = Math.min(maxConcurrentStreams, this.#peerStreams) - this.#streams.size
    return maxRequestsPerConnection === 0 ? left : Math.min(left, maxRequestsPerConnection - this.requests)
  }

  /** A way for one more request; it counts from `send()` on. */
  open(): Http2Stream {
    return new Http2Stream(this)
  }

  /** For streams: begins one. @returns Node's session, or null while there is none. */
  enter(stream: Http2Stream): ClientHttp2Session | null {
    this.#streams.add(stream)
    this.requests++
    return this.#session
  }

  /** For streams: one is over. */
  leave(stream: Http2Stream): void {
    if (!this.#streams.delete(stream)) return
    if (this.#streams.size === 0) this.idleSince = performance.now()
    this.#owner.onStreamEnd(this)
    this.#retireIfSpent()
  }

  /** Why a stream ended that was reset, or whose connection broke. @param error What Node told the stream, if anything. */
  failureOf(
    { id, rstCode }: ClientHttp2Stream,
    error: NodeJS.ErrnoException | null,
  ): readonly [reason: FailureReason, detail: string] {
    const isRefused = rstCode === constants.NGHTTP2_REFUSED_STREAM || (id ?? 0) > this.#lastStreamId
    if (isRefused || NEVER_SENT.includes(error?.code ?? '')) return ['remote-refused-stream-reset', '']
    if (rstCode === constants.NGHTTP2_PROTOCOL_ERROR || isProtocolError(error)) return ['protocol-error', '']
    if (!this.#socket.destroyed && this.#session?.destroyed !== true) return ['remote-reset', '']
    return ['connection-termination', tlsFailure(this.#socket, this.#error ?? error)]
  }

  /** No more streams; closes once those that are there are done. */
  drain(): void {
    if (this.#state !== 'connecting' && this.#state !== 'open') return
    if (this.#streams.size === 0) {
      this.close()
      return
    }
    this.#state = 'draining'
    this.#session?.close()
  }

  close(): void {
    this.#givenUp = true
    this.#clearTimers()
    if (this.#session === null || this.#session.destroyed) this.#socket.destroy()
    else this.#session.destroy()
  }

  #onSocketReady(): void {
    if (this.#state !== 'connecting' || this.#socket.destroyed) return
    const { localAddress, localPort, localFamily } = this.#socket
    // A Unix socket has none.
    if (localAddress !== undefined) {
      this.localAddress = localFamily === 'IPv6' ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`
    }
    const session = connect('http://upstream', { ...SESSION_OPTIONS, createConnection: () => this.#socket })
    this.#session = session
    session.on('error', (error) => {
      this.#error ??= error
    })
    session.on('goaway', (_code, lastStreamId) => {
      this.#onGoaway(lastStreamId)
    })
    session.on('remoteSettings', ({ maxConcurrentStreams }) => {
      this.#peerStreams = maxConcurrentStreams ?? Number.POSITIVE_INFINITY
      if (this.#state === 'open') this.#owner.onConnected(this)
    })
    session.once('connect', () => {
      this.#onConnected(session)
    })
    session.once('close', () => {
      this.#onClose()
    })
  }

  #onConnected(session: ClientHttp2Session): void {
    if (this.#state !== 'connecting') return
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    this.#state = 'open'
    this.#established = true
    clearTimeout(this.#connectTimer!)
    this.#connectTimer = null
    this.#startKeepalive(session)
    for (const stream of this.#streams) stream.begin(session)
    this.#owner.onConnected(this)
  }

  #onGoaway(lastStreamId: number): void {
    this.#lastStreamId = lastStreamId
    // Node closes the session by itself.
    if (this.#state === 'open') this.#state = 'draining'
  }

  /** It has carried as many requests, or stood as long, as it may. */
  #retireIfSpent(): void {
    if (this.#state !== 'open') {
      if (this.#state === 'draining' && this.#streams.size === 0) this.close()
      return
    }
    const { maxRequestsPerConnection, maxConnectionDurationMs } = this.#settings
    const spent = maxRequestsPerConnection > 0 && this.requests >= maxRequestsPerConnection
    const old = maxConnectionDurationMs !== undefined && performance.now() - this.openedAt >= maxConnectionDurationMs
    if (spent || old) this.drain()
  }

  #startKeepalive(session: ClientHttp2Session): void {
    const keepalive = this.#settings.http2Keepalive
    if (keepalive === undefined) return
    const { intervalMs, timeoutMs } = keepalive
    this.#keepaliveTimer = setInterval(() => {
      if (this.#pingTimer !== null || session.destroyed) return
      this.#pingTimer = setTimeout(() => {
        session.destroy()
      }, timeoutMs)
      session.ping(() => {
        clearTimeout(this.#pingTimer!)
        this.#pingTimer = null
      })
    }, intervalMs)
  }

  #onClose(): void {
    if (!this.#established) this.#fail(...connectFailure(this.#socket, this.#error))
    else if (isProtocolError(this.#error)) this.#fail('protocol-error', '')
    else this.#fail('connection-termination', tlsFailure(this.#socket, this.#error))
  }

  #fail(reason: FailureReason, detail: string): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#clearTimers()
    this.#owner.onClosed(this, this.#established || this.#givenUp ? null : { reason, detail })
    this.#socket.destroy()
    for (const stream of this.#streams) stream.onConnectionClosed(reason, detail)
  }

  #clearTimers(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer)
    if (this.#keepaliveTimer !== null) clearInterval(this.#keepaliveTimer)
    if (this.#pingTimer !== null) clearTimeout(this.#pingTimer)
    this.#connectTimer = this.#keepaliveTimer = this.#pingTimer = null
  }
}

/** nghttp2 found that what came is no HTTP/2, or Node that too much of it was none. */
function isProtocolError(error: NodeJS.ErrnoException | null): boolean {
  return error?.code === 'ERR_HTTP2_ERROR' || error?.code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES'
}
