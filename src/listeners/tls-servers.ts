/**
 * The TLS servers of one listener, by the name that a client asks for: exact names first, then the longest wildcard,
 * then `*`, which alone takes clients that name none. Replaced one by one when their plan changes; connections that
 * stand, and the sessions of servers that stay, are not touched.
 */
import type { TlsServerPlan } from '../plan/listener.ts'
import { type HandshakeOptions, type SecureConnection, TlsServer } from './tls-server.ts'

interface Known {
  readonly text: string
  readonly server: TlsServer
}

export class TlsServers {
  readonly #options: HandshakeOptions
  readonly #onSecure: (connection: SecureConnection) => void
  /** By name of the server. */
  #known = new Map<string, Known>()
  #exact = new Map<string, TlsServer>()
  /** By `.suffix`. */
  #wildcards = new Map<string, TlsServer>()
  #any: TlsServer | null = null

  constructor(options: HandshakeOptions, onSecure: (connection: SecureConnection) => void) {
    this.#options = options
    this.#onSecure = onSecure
  }

  update(plans: readonly TlsServerPlan[]): void {
    const before = this.#known
    this.#known = new Map()
    this.#exact = new Map()
    this.#wildcards = new Map()
    this.#any = null
    for (const plan of plans) {
      const text = JSON.stringify(plan)
      const last = before.get(plan.name)
      const server = last?.text === text ? last.server : new TlsServer(plan, this.#options, this.#onSecure)
      this.#known.set(plan.name, { text, server })
      for (const name of plan.serverNames) {
        // Of two that want the same name the older one has it.
        if (name === '*') this.#any ??= server
        else if (!name.startsWith('*.')) this.#exact.set(name, this.#exact.get(name) ?? server)
        else this.#wildcards.set(name.slice(1), this.#wildcards.get(name.slice(1)) ?? server)
      }
    }
    for (const [name, { server }] of before) if (this.#known.get(name)?.server !== server) server.close()
  }

  /** @param serverName Lower case; empty: the client names none. */
  find(serverName: string): TlsServer | null {
    const exact = this.#exact.get(serverName)
    if (exact !== undefined) return exact
    // A wildcard stands for one label at least.
    for (let dot = serverName.indexOf('.', 1); dot !== -1; dot = serverName.indexOf('.', dot + 1)) {
      const wildcard = this.#wildcards.get(serverName.slice(dot))
      if (wildcard !== undefined) return wildcard
    }
    return this.#any
  }

  /**
   * Whether a request for a host that `server` has no routes for was meant for another server of the port, to which its
   * client could have connected just as well: with a certificate that covers hosts of several servers, HTTP/2 clients
   * use one connection for all of them (RFC 9113 §9.1.1). Without such a certificate the client should not have asked.
   *
   * @param host Lower case, without a port.
   */
  misdirects(host: string, server: TlsServer): boolean {
    const meant = this.find(host)
    return meant !== null && meant.plan.name !== server.plan.name && server.presentsFor(host)
  }

  close(): void {
    for (const { server } of this.#known.values()) server.close()
  }
}
