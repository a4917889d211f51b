/**
 * A listening port that speaks HTTP/1.1, in plain text or in TLS: sockets in, exchanges out. What a request is
 * answered is not decided here.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { type Epoch, type Exchange, type ListenerFacts } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { admit, type AdmissionOptions } from './admission.ts'
import { answerUnparsable } from './client-error.ts'
import { type ConnectionFacts, connectionFacts } from './connection-facts.ts'

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

interface KnownSocket extends Socket {
  [kFacts]?: { readonly connection: ConnectionFacts; readonly listener: ListenerFacts }
}

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
      refuseConnect(req, socket)
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
      }
    })
    server.on('clientError', (error: Error, socket: Socket) => {
      answerUnparsable(error, socket)
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
    const { connection, listener } = (req.socket as KnownSocket)[kFacts]!
    this.active++
    const { exchange, reply } = admit(req, res, listener, this.#deps.epoch(), connection, this.#deps.limits)
    res.on('close', () => {
      this.#onClose(exchange)
    })
    if (reply === null) this.#deps.serve(exchange)
    else this.#deps.reply(exchange, reply)
  }

  /** The answer is out, or the connection is gone. */
  #onClose(exchange: Exchange): void {
    if (exchange.finished) return
    this.active--
    exchange.onClientGone?.()
    if (!exchange.res.writableFinished && exchange.details === '') {
      exchange.addFlag('DC')
      exchange.details = 'downstream_remote_disconnect'
    }
    exchange.finished = true
    this.#deps.onFinished(exchange)
  }
}

/** CONNECT is no request for a route here; Envoy answers 404 since no route has a CONNECT matcher. */
function refuseConnect(_req: IncomingMessage, socket: Socket): void {
  socket.on('error', () => {})
  socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nserver: istio-envoy\r\nconnection: close\r\n\r\n')
}
