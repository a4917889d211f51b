/**
 * A listener of the plan: an address, and the way of its connections from the socket to the protocol that is spoken on
 * them: accepted, TLS ended where the plan says so, then HTTP.
 */
import type { Socket } from 'node:net'
import type { ChallengeTable } from '../certificates/acme/challenge-table.ts'
import type { TcpListenerPlan, TlsListenerPlan } from '../plan/listener.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import { Acceptor } from './acceptor.ts'
import { connectionFacts } from './connection-facts.ts'
import { type Http1Limits, Http1Server } from './http1-server.ts'
import { detectHttp2 } from './http2/preface.ts'
import { type Http2Deps, type Http2Limits, Http2Server } from './http2/server.ts'
import { ListenerState } from './listener-state.ts'
import { ProxiedClients, type ProxyProtocolSettings } from './proxied-clients.ts'
import { type TcpDeps, TcpServer } from './tcp-server.ts'
import type { HandshakeOptions } from './tls-server.ts'
import { type TlsHandlers, TlsTerminator } from './tls-terminator.ts'

/** Limits on clients. */
export interface DownstreamLimits extends Http1Limits {
  /** Connections at a time; more are closed at once. 0: no limit. */
  readonly maxConnections: number
  readonly http2: Http2Limits
}

/** What a listener needs from the rest of a worker. */
export interface ListenerDeps extends Http2Deps, TcpDeps {
  readonly limits: DownstreamLimits
  /** Absent: no connection begins with a PROXY header. */
  readonly proxyProtocol?: ProxyProtocolSettings | null
  /** Answered in TLS handshakes; null: this gateway orders no certificates. */
  readonly challenges: ChallengeTable | null
}

export interface ListenerOptions {
  /** The Gateway server's port. */
  readonly port: number
  /**
   * Whose routes are asked: a table's name in plain text; with TLS the server that SNI chose says it; for connections
   * of which nothing is read there is one for all.
   */
  readonly route: { readonly table: string } | { readonly tls: Omit<HandshakeOptions, 'alpn'> } | 'tcp'
}

/** How often it is looked whether the last answer is out. */
const DRAIN_CHECK_MS = 20

export class Listener {
  readonly #state: ListenerState
  readonly #acceptor: Acceptor
  readonly #http1: Http1Server
  readonly #http2: Http2Server
  /** Null: plain text. */
  readonly #tls: TlsTerminator | null
  /** Where connections go of which nothing is read. */
  #tcpRoute: TcpRoutePlan | null = null

  constructor({ port, route }: ListenerOptions, deps: ListenerDeps) {
    const state = new ListenerState(port)
    const http1 = new Http1Server(state, deps)
    const http2 = new Http2Server(state, deps)
    const tcp = new TcpServer(state, deps)
    const { maxConnections, headersTimeoutMs } = deps.limits
    const proxied = proxiedClients(port, deps.proxyProtocol ?? null)
    const factsOf = (socket: Socket, certificate: ClientCertificate | null = null) =>
      connectionFacts(socket, certificate, proxied?.of(socket) ?? null)
    const accept = (allowHalfOpen: boolean, take: (socket: Socket) => void) =>
      new Acceptor({ maxConnections, allowHalfOpen }, (socket) => {
        if (proxied === null) take(socket)
        else proxied.admit(socket, take)
      })
    this.#state = state
    this.#http1 = http1
    this.#http2 = http2
    if (route === 'tcp') {
      const facts = state.facts(false, '')
      this.#tls = null
      this.#acceptor = accept(true, (socket) => {
        tcp.take({ socket, connection: factsOf(socket), facts, route: this.#tcpRoute })
      })
    } else if ('tls' in route) {
      const options = { ...route.tls, alpn: ['h2', 'http/1.1'] }
      const undecrypted = state.facts(false, '')
      const handlers: TlsHandlers = {
        onSecure: ({ socket, server, clientCertificate }) => {
          const { plan } = server
          const connection = factsOf(socket, clientCertificate)
          const misdirects = (host: string) => terminator.misdirects(host, server)
          const facts = state.facts(true, plan.routeTable, misdirects)
          if (plan.tcp !== undefined) tcp.take({ socket, connection, facts, route: plan.tcp })
          else (socket.alpnProtocol === 'h2' ? http2 : http1).take(socket, connection, facts)
        },
        onPassed: (socket, { route: passed, alpn }, serverName) => {
          const connection = factsOf(socket)
          // What only the mesh's own clients may ask for is guarded by the workload that their TLS ends at.
          const guarded = alpn === undefined
          tcp.take({ socket, connection, facts: undecrypted, route: passed, serverName, guarded })
        },
        onUnknown: (socket, serverName) => {
          tcp.refuse(socket, factsOf(socket), undecrypted, serverName)
        },
      }
      const terminator = new TlsTerminator(options, handlers, deps.challenges)
      this.#tls = terminator
      this.#acceptor = accept(false, (socket) => {
        terminator.take(socket)
      })
    } else {
      const facts = state.facts(false, route.table)
      this.#tls = null
      this.#acceptor = accept(true, (socket) => {
        const connection = factsOf(socket)
        // A forward proxy's clients speak HTTP/1.1.
        if (deps.connect !== undefined) {
          http1.take(socket, connection, facts)
          return
        }
        // Whatever the protocol of the server's port is called: Istio's gateways look at what comes, too.
        detectHttp2(socket, headersTimeoutMs, (spoken) => {
          if (spoken === 'http2') http2.take(socket, connection, facts)
          else if (spoken === 'other') http1.take(socket, connection, facts)
          else http1.refuseSilent(socket, connection, facts)
        })
      })
    }
  }

  /** Connections from here on are taken by these terms. */
  update(plan: TlsListenerPlan | TcpListenerPlan): void {
    if (plan.kind === 'tcp') this.#tcpRoute = plan.route
    else this.#tls?.update(plan)
  }

  get connections(): number {
    return this.#acceptor.connections
  }

  /** Requests whose answers are not out. */
  get active(): number {
    return this.#state.active
  }

  /** @throws The system's error where the address cannot be bound. */
  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    await this.#acceptor.listen(address)
  }

  /** Accepts nothing more; resolves when the requests in flight are answered or `graceMs` have passed. */
  async drain(graceMs: number): Promise<void> {
    this.#state.draining = true
    this.#acceptor.close()
    this.#http1.closeIdle()
    this.#http2.drain()
    const end = performance.now() + graceMs
    while (this.#state.active > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS))
      this.#http1.closeIdle()
    }
    this.#http1.close()
    this.#http2.close()
    this.#tls?.close()
    this.#acceptor.destroyConnections()
  }
}

function proxiedClients(port: number, settings: ProxyProtocolSettings | null): ProxiedClients | null {
  if (settings === null || (settings.ports !== null && !settings.ports.includes(port))) return null
  return new ProxiedClients(settings)
}
