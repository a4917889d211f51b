/**
 * HTTP/1.1 on connections that somebody else accepted, in plain text or in TLS that ended before: sockets in, exchanges
 * out. What a request is answered is not decided here.
 */
import { createServer, IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectRequest } from '../exchange/connect-request.ts'
import { type Epoch, Exchange, type ListenerFacts, type Upgrade } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { admit, type AdmissionOptions } from './admission.ts'
import { replyToClientError } from './client-error.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import { readHeaders } from './edge-headers.ts'
import { lingerIfUnfinished } from './linger.ts'
import type { ListenerState } from './listener-state.ts'
import { SwitchedConnection } from './switched-connection.ts'

/** Limits on clients; all times in ms. */
export interface Http1Limits extends AdmissionOptions {
  /** Bytes of a request head; more is 431 (414 where the request line alone is longer). */
  readonly maxHeadBytes: number
  /** From the first byte of a head to its last; later is 408. 0: no limit. */
  readonly headersTimeoutMs: number
  /** From the first byte of a request to its last; later is 408. 0: no limit (streams live long). */
  readonly requestTimeoutMs: number
  /** A connection without a request is closed after this long. */
  readonly idleTimeoutMs: number
}

/** What becomes of requests, by the rest of a worker. */
export interface HttpDeps {
  readonly limits: Http1Limits
  /** Asked once per request: the plan that the request begins with. */
  readonly epoch: () => Epoch
  /** Takes an admitted exchange to its answer. */
  readonly serve: (exchange: Exchange) => void
  readonly reply: (exchange: Exchange, reply: LocalReply) => void
  /** Takes CONNECT; absent: it is answered 404. */
  readonly connect?: (request: ConnectRequest) => void
  /** Once per exchange, when its answer is out or its client gone. */
  readonly onFinished: (exchange: Exchange) => void
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
const SWITCHING_PROTOCOLS = 101
/** Time for the client to read the answer before the connection is cut, as Envoy's `delayed_close_timeout`. */
const DELAYED_CLOSE_MS = 1000

const CONNECTED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n')

const kFacts: unique symbol = Symbol('sluice.connection')

/** How often Node looks for heads and requests that take too long; the limits are that much coarser. */
const CHECK_INTERVAL_MS = 1000

export class Http1Server {
  readonly #server: Server
  readonly #deps: HttpDeps
  readonly #state: ListenerState

  constructor(state: ListenerState, deps: HttpDeps) {
    this.#deps = deps
    this.#state = state
    const { limits } = deps
    const onRequest: RequestListener = (req, res) => {
      this.#onRequest(req, res)
    }
    // It listens nowhere: connections are put in.
    this.#server = createServer(
      {
        maxHeaderSize: limits.maxHeadBytes,
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.idleTimeoutMs,
        connectionsCheckingInterval: CHECK_INTERVAL_MS,
        // Checked in admission.ts, where the answer is logged and counted.
        requireHostHeader: false,
        shouldUpgradeCallback: isWebSocket,
      },
      onRequest,
    )
    const server = this.#server
    // Node drops lines above this count silently; there must be enough of them left to see that there were too many.
    server.maxHeadersCount = limits.maxHeaders + 100
    server.on('checkContinue', onRequest)
    server.on('checkExpectation', onRequest)
    server.on('connect', (req: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#onConnect(req, socket, head)
    })
    server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#onUpgrade(req, socket, head)
    })
    server.on('clientError', (error: Error, socket: Socket) => {
      this.#onClientError(error, socket)
    })
    // Node begins to look for slow and idle connections when it listens.
    server.emit('listening')
  }

  /** Serves what comes on a connection until it ends. */
  take(socket: Socket, connection: ConnectionFacts, listener: ListenerFacts): void {
    ;(socket as KnownSocket)[kFacts] = {
      connection,
      listener,
      current: null,
      latest: null,
      failed: false,
      unparsable: false,
    }
    this.#server.emit('connection', socket)
  }

  /** Answers 408 on a connection whose client has said nothing in time. */
  refuseSilent(socket: Socket, connection: ConnectionFacts, listener: ListenerFacts): void {
    this.take(socket, connection, listener)
    this.#onClientError(Object.assign(new Error('nothing came'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket)
  }

  /** Closes connections without a request. */
  closeIdle(): void {
    this.#server.closeIdleConnections()
  }

  /** Stops looking for slow connections. */
  close(): void {
    this.#server.close()
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
    this.#state.active++
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
    this.#state.active--
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

  /** CONNECT is no request for a route: Envoy has none without a CONNECT matcher for it. */
  #onConnect(req: IncomingMessage, socket: KnownSocket, head: Buffer): void {
    const facts = socket[kFacts]!
    // Node takes its own listeners away before it hands the socket over.
    socket.on('error', () => {})
    const { connect } = this.#deps
    if (connect === undefined) {
      this.#reply(this.#detach(req, facts), socket, CONNECT_NOT_ROUTED)
      return
    }
    // What was sent ahead of this request is not answered any more, so nobody knows whose bytes these are.
    if (facts.latest !== null || facts.failed) {
      socket.destroy()
      return
    }
    socket.pause()
    if (head.length > 0) socket.unshift(head)
    const exchange = this.#detach(req, facts)
    exchange.headers = readHeaders(req.rawHeaders).list
    socket.once('close', () => {
      this.#onClose(exchange)
    })
    const accept = () => {
      exchange.status = 200
      exchange.responseStartMono = performance.now()
      socket.write(CONNECTED)
    }
    connect({
      exchange,
      socket,
      refuse: (reply) => {
        this.#reply(exchange, socket, reply)
      },
      accept,
      serveHttp: (listener) => {
        accept()
        exchange.details = 'connect_http'
        this.#onClose(exchange)
        this.take(socket, facts.connection, listener)
        socket.resume()
      },
    })
  }

  /** The same way as any request; what comes of it is an answer that ends the connection, or a switch of it. */
  #onUpgrade(req: IncomingMessage, socket: KnownSocket, head: Buffer): void {
    const facts = socket[kFacts]!
    const { latest } = facts
    const res = new ServerResponse(req)
    // Whatever is answered, no other request can be read from the connection.
    res.shouldKeepAlive = false
    const connection = new SwitchedConnection(socket, head, () => {
      if (facts.current?.res === res) this.#onClose(facts.current)
      socket.destroy()
    })
    const serve = () => {
      if (facts.failed || !socket.writable) {
        socket.destroy()
        return
      }
      res.assignSocket(socket)
      const upgrade: Upgrade = {
        protocol: req.headers.upgrade!,
        connection: () => {
          facts.current = null
          return connection.release(res)
        },
        onEnd: () => {
          this.#onClose(exchange)
        },
      }
      this.#state.active++
      const { limits, epoch } = this.#deps
      const admission = admit(req, res, facts.listener, epoch(), facts.connection, limits, upgrade)
      const { exchange, reply } = admission
      facts.current = exchange
      this.#closeAfter(exchange, socket)
      if (reply === null) this.#deps.serve(exchange)
      else this.#deps.reply(exchange, reply)
    }
    if (latest === null) serve()
    // Sent without waiting for the answer to the request before.
    else latest.once('close', serve)
  }

  /** Answers on a socket that Node no longer serves requests of, and closes it. */
  #answerDetached(req: IncomingMessage, socket: Socket, facts: SocketFacts, reply: LocalReply): void {
    this.#reply(this.#detach(req, facts), socket, reply)
  }

  /** An exchange of a socket that Node no longer serves requests of. */
  #detach(req: IncomingMessage, facts: SocketFacts): Exchange {
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    const exchange = new Exchange(req, res, facts.listener, this.#deps.epoch(), Date.now(), performance.now())
    exchange.method = req.method ?? ''
    exchange.authority = req.url ?? ''
    exchange.peerAddress = facts.connection.direct
    exchange.clientAddress = facts.connection.peer
    exchange.localAddress = facts.connection.local
    exchange.clientCertificate = facts.connection.clientCertificate
    this.#state.active++
    return exchange
  }

  /** Answers on such a socket, and closes it. */
  #reply(exchange: Exchange, socket: Socket, reply: LocalReply): void {
    ;(exchange.res as ServerResponse).assignSocket(socket)
    this.#closeAfter(exchange, socket)
    this.#deps.reply(exchange, reply)
  }

  /** Closes the connection once the answer is out, unless it was switched to something else with it. */
  #closeAfter(exchange: Exchange, socket: Socket): void {
    const res = exchange.res as ServerResponse
    res.once('close', () => {
      if (res.statusCode !== SWITCHING_PROTOCOLS) this.#onClose(exchange)
    })
    res.once('finish', () => {
      if (res.statusCode === SWITCHING_PROTOCOLS) return
      res.detachSocket(socket)
      this.#onClose(exchange)
      socket.end()
      // Reading on keeps the kernel from resetting the connection under the answer.
      socket.resume()
      setTimeout(() => socket.destroy(), DELAYED_CLOSE_MS).unref()
    })
  }
}

/**
 * The only protocol that connections are switched to, as in Istio. One with a body is left to be refused: what is not
 * read of it would be taken for the other protocol's bytes.
 */
function isWebSocket({ headers }: IncomingMessage): boolean {
  const isEmpty = headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'
  return isEmpty && headers.upgrade?.toLowerCase() === 'websocket'
}
