/**
 * A listening port that speaks HTTP/1.1, in plain text or in TLS: sockets in, exchanges out. What a request is
 * answered is not decided here.
 */
import { createServer, IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { type Epoch, Exchange, type ListenerFacts } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { admit, type AdmissionOptions } from './admission.ts'
import { replyToClientError } from './client-error.ts'
import { type ConnectionFacts, connectionFacts } from './connection-facts.ts'
import { lingerIfUnfinished } from './linger.ts'

/** Limits on clients; all times in ms. */
export interface DownstreamLimits extends AdmissionOptions {
  /** Bytes of a request head; more is 431 (414 where the request line alone is longer). */
  readonly maxHeadBytes: number
  /** From the first byte of a head to its last; later is 408. 0: no limit. */
  readonly headersTimeoutMs: number
  /** From the first byte of a request to its last; later is 408. 0: no limit (streams live long). */
  readonly requestTimeoutMs: number
  /** A connection without a request is closed after this long. */
  readonly idleTimeoutMs: number
  /** Connections at a time; more are closed at once. 0: no limit. */
  readonly maxConnections: number
}

/** What a listener needs from the rest of a worker. */
export interface ListenerDeps {
  readonly limits: DownstreamLimits
  /** Asked once per request: the plan that the request begins with. */
  readonly epoch: () => Epoch
  /** Takes an admitted exchange to its answer. */
  readonly serve: (exchange: Exchange) => void
  readonly reply: (exchange: Exchange, reply: LocalReply) => void
  /** Once per exchange, when its answer is out or its client gone. */
  readonly onFinished: (exchange: Exchange) => void
}

/** TLS as the listener needs it; see tls-contexts.ts. */
export interface TlsOptions {
  readonly server: ServerOptions
  /** Which route table a connection belongs to, by the server that its SNI chose. */
  readonly routeTableOf: (socket: TLSSocket) => string
}

interface SocketFacts {
  readonly connection: ConnectionFacts
  readonly listener: ListenerFacts
  /** The latest request, until its answer is out. */
  current: Exchange | null
  /** The answer to the latest request that was parsed, until it is out. */
  latest: ServerResponse | null
  /** It is being closed: whatever else comes is not looked at. */
  failed: boolean
  /** What comes now could not be parsed. */
  unparsable: boolean
}

interface KnownSocket extends Socket {
  [kFacts]?: SocketFacts
}

/** Why a request ended whose client left. */
const GONE = 'downstream_remote_disconnect'
const CONNECT_NOT_ROUTED: LocalReply = { status: 404, flag: 'NR', details: 'route_not_found', close: true }
/** Time for the client to read the answer before the connection is cut, as Envoy's `delayed_close_timeout`. */
const DELAYED_CLOSE_MS = 1000

const kFacts: unique symbol = Symbol('sluice.connection')

/** How often Node looks for heads and requests that take too long; the limits are that much coarser. */
const CHECK_INTERVAL_MS = 1000

/** `draining` turns true once and is read with every answer. */
class Facts implements ListenerFacts {
  readonly port: number
  readonly tls: boolean
  readonly routeTable: string
  readonly #listener: HttpListener

  constructor(listener: HttpListener, port: number, tls: boolean, routeTable: string) {
    this.#listener = listener
    this.port = port
    this.tls = tls
    this.routeTable = routeTable
  }

  get draining(): boolean {
    return this.#listener.draining
  }
}

export class HttpListener {
  draining = false
  readonly #server: Server
  readonly #deps: ListenerDeps
  readonly #sockets = new Set<Socket>()
  /** Requests whose answers are not out. */
  active = 0

  /** @param port The Gateway server's port. @param routeTable For plain text; TLS asks `tls` for each connection. */
  constructor(port: number, routeTable: string, tls: TlsOptions | null, deps: ListenerDeps) {
    this.#deps = deps
    const { limits } = deps
    const options = {
      maxHeaderSize: limits.maxHeadBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      // Checked in admission.ts, where the answer is logged and counted.
      requireHostHeader: false,
      noDelay: true,
      highWaterMark: 64 * 1024,
    }
    const onRequest: RequestListener = (req, res) => {
      this.#onRequest(req, res)
    }
    this.#server =
      tls === null ? createServer(options, onRequest) : createTlsServer({ ...options, ...tls.server }, onRequest)
    const server = this.#server
    // Node drops lines above this count silently; there must be enough of them left to see that there were too many.
    server.maxHeadersCount = limits.maxHeaders + 100
    if (limits.maxConnections > 0) server.maxConnections = limits.maxConnections
    server.on('checkContinue', onRequest)
    server.on('checkExpectation', onRequest)
    server.on('connect', (req: IncomingMessage, socket: Socket) => {
      this.#onConnect(req, socket)
    })
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on(tls === null ? 'connection' : 'secureConnection', (socket: KnownSocket) => {
      const table = tls === null ? routeTable : tls.routeTableOf(socket as unknown as TLSSocket)
      socket[kFacts] = {
        connection: connectionFacts(socket),
        listener: new Facts(this, port, tls !== null, table),
        current: null,
        latest: null,
        failed: false,
        unparsable: false,
      }
    })
    server.on('clientError', (error: Error, socket: Socket) => {
      this.#onClientError(error, socket)
    })
  }

  /** What clients without SNI are shown; null: their handshakes fail. */
  setDefaultCertificate(options: SecureContextOptions | null): void {
    ;(this.#server as TlsServer).setSecureContext(options ?? {})
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** @param address Where to bind; several processes may bind the same address. */
  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: address.host, port: address.port, reusePort: true, backlog: 4096 }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        resolve()
      })
    })
  }

  /** Accepts nothing more; resolves when the requests in flight are answered or `graceMs` have passed. */
  async drain(graceMs: number): Promise<void> {
    this.draining = true
    this.#server.close()
    this.#server.closeIdleConnections()
    const end = performance.now() + graceMs
    while (this.active > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      this.#server.closeIdleConnections()
    }
    for (const socket of this.#sockets) socket.destroy()
  }

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const facts = (req.socket as KnownSocket)[kFacts]!
    const { latest } = facts
    facts.latest = res
    res.on('close', () => {
      const { current } = facts
      if (facts.latest === res) facts.latest = null
      // The answer ends the connection: what was sent behind its request could never be answered.
      if (!res.shouldKeepAlive) facts.failed = true
      if (current?.res !== res) return
      facts.current = null
      this.#onClose(current)
    })
    if (latest === null) {
      this.#serve(req, res, facts)
      return
    }
    // Sent without waiting for the answer to the request before: it waits here, as in Envoy.
    latest.once('close', () => {
      if (latest.writableFinished) this.#serve(req, res, facts)
    })
  }

  #serve(req: IncomingMessage, res: ServerResponse, facts: SocketFacts): void {
    // Parsed behind a head that was refused (it may be the body of that one), or behind the last answer.
    if (facts.failed) return
    this.active++
    const { exchange, reply } = admit(req, res, facts.listener, this.#deps.epoch(), facts.connection, this.#deps.limits)
    facts.current = exchange
    if (exchange.body !== 'none') lingerIfUnfinished(req, res)
    if (reply === null) this.#deps.serve(exchange)
    else {
      facts.failed = reply.close === true
      this.#deps.reply(exchange, reply)
    }
  }

  /** The answer is out, or the connection is gone. */
  #onClose(exchange: Exchange): void {
    if (exchange.finished) return
    this.active--
    exchange.onClientGone?.('DC', GONE)
    if (!exchange.res.writableFinished && exchange.details === '') {
      exchange.addFlag('DC')
      exchange.details = GONE
    }
    exchange.finished = true
    this.#deps.onFinished(exchange)
  }

  /** What Node cannot parse is answered, logged and counted like any request, as far as anything is known of it. */
  #onClientError(error: Error, socket: KnownSocket): void {
    const facts = socket[kFacts]
    const latest = facts?.latest ?? null
    const reply = replyToClientError(error, latest !== null && !latest.req.complete)
    // Without facts it is a TLS handshake that failed.
    if (facts === undefined || reply === null || !socket.writable) {
      socket.destroy()
      return
    }
    if (facts.failed || facts.unparsable) return
    facts.unparsable = true
    const refuse = () => {
      if (!socket.writable) return
      const req = new IncomingMessage(socket)
      req.httpVersion = '1.1'
      req.complete = true
      this.#answerDetached(req, socket, facts, reply)
    }
    const { current } = facts
    if (latest === null) refuse()
    // What came before it is answered first.
    else if (latest.req.complete) latest.once('close', refuse)
    else if (current?.res === latest) this.#giveUp(current, reply)
    else {
      // It waits for its turn, and will never be whole.
      facts.failed = true
      current?.res.once('close', () => socket.destroy())
    }
  }

  /** The body of a request turns out to be none. */
  #giveUp(exchange: Exchange, reply: LocalReply): void {
    const { flag, ...unflagged } = reply
    const { onClientGone } = exchange
    onClientGone?.(flag ?? '', reply.details)
    if (exchange.res.headersSent) exchange.res.destroy()
    else this.#deps.reply(exchange, onClientGone === null ? reply : unflagged)
  }

  /** CONNECT is no request for a route here: Envoy has no route without a CONNECT matcher for it. */
  #onConnect(req: IncomingMessage, socket: KnownSocket): void {
    // Node takes its own listeners away before it hands the socket over.
    socket.on('error', () => {})
    this.#answerDetached(req, socket, socket[kFacts]!, CONNECT_NOT_ROUTED)
  }

  /** Answers on a socket that Node no longer serves requests of, and closes it. */
  #answerDetached(req: IncomingMessage, socket: Socket, facts: SocketFacts, reply: LocalReply): void {
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(socket)
    const exchange = new Exchange(req, res, facts.listener, this.#deps.epoch(), Date.now(), performance.now())
    exchange.method = req.method ?? ''
    exchange.authority = req.url ?? ''
    exchange.peerAddress = exchange.clientAddress = facts.connection.peer
    exchange.localAddress = facts.connection.local
    this.active++
    res.once('close', () => {
      this.#onClose(exchange)
    })
    res.once('finish', () => {
      res.detachSocket(socket)
      this.#onClose(exchange)
      socket.end()
      // Reading on keeps the kernel from resetting the connection under the answer.
      socket.resume()
      setTimeout(() => socket.destroy(), DELAYED_CLOSE_MS).unref()
    })
    this.#deps.reply(exchange, reply)
  }
}
