/**
 * Connections whose bytes are passed on as they are, from a plain port, from TLS that ended before, or with their TLS as
 * it came. Each is an exchange with nothing of HTTP in it: policies, the log and metrics take it for what it is.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Epoch, Exchange, type ListenerFacts } from '../exchange/exchange.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import type { ConnectionFacts } from './connection-facts.ts'
import type { ListenerState } from './listener-state.ts'

/** What becomes of connections, by the rest of a worker. */
export interface TcpDeps {
  /** Asked once per connection: the plan that it begins with. */
  readonly epoch: () => Epoch
  /**
   * Takes a connection to where its route says.
   *
   * @param socket Paused, with nothing of it read.
   * @param route Null: there is none.
   * @param guarded Whether policies have a say in it.
   * @param onEnd To be called once, when it is over.
   */
  readonly passOn: (
    exchange: Exchange,
    socket: Socket,
    route: TcpRoutePlan | null,
    guarded: boolean,
    onEnd: () => void,
  ) => void
  /** Once per connection, when it is over. */
  readonly onConnectionOver: (exchange: Exchange) => void
}

export interface TcpConnection {
  readonly socket: Socket
  readonly connection: ConnectionFacts
  readonly facts: ListenerFacts
  readonly route: TcpRoutePlan | null
  /** What the client asked for in TLS that does not end here; or empty. */
  readonly serverName?: string
  /** False: the mesh's TLS that goes on to a workload, which guards itself. */
  readonly guarded?: boolean
}

export class TcpServer {
  readonly #state: ListenerState
  readonly #deps: TcpDeps

  constructor(state: ListenerState, deps: TcpDeps) {
    this.#state = state
    this.#deps = deps
  }

  take({ socket, connection, facts, route, serverName = '', guarded = true }: TcpConnection): void {
    socket.pause()
    // A client that has sent its last byte may still read, before there is an upstream to tell too.
    socket.allowHalfOpen = true
    const exchange = this.#exchange(socket, connection, facts, serverName)
    this.#state.active++
    this.#deps.passOn(exchange, socket, route, guarded, () => {
      this.#finish(exchange)
    })
  }

  /** For a client that no server is for: it gets a line in the log (semantics §1.6). */
  refuse(socket: Socket, connection: ConnectionFacts, facts: ListenerFacts, serverName: string): void {
    const exchange = this.#exchange(socket, connection, facts, serverName)
    this.#state.active++
    exchange.addFlag('NR')
    exchange.details = 'filter_chain_not_found'
    this.#finish(exchange)
  }

  #exchange(socket: Socket, connection: ConnectionFacts, facts: ListenerFacts, serverName: string): Exchange {
    const req = new IncomingMessage(socket)
    const res = new ServerResponse(req)
    const exchange = new Exchange(req, res, facts, this.#deps.epoch(), Date.now(), performance.now())
    exchange.peerAddress = connection.direct
    exchange.clientAddress = connection.peer
    exchange.localAddress = connection.local
    exchange.clientCertificate = connection.clientCertificate
    exchange.serverName = serverName
    return exchange
  }

  #finish(exchange: Exchange): void {
    this.#state.active--
    exchange.finished = true
    this.#deps.onConnectionOver(exchange)
  }
}
