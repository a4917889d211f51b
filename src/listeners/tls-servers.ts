/**
 * The TLS servers of one listener, by the name that a client asks for: exact names first, then the longest wildcard,
 * then `*`, which alone takes clients that name none. Replaced one by one when their plan changes; connections that
 * stand, and the sessions of servers that stay, are not touched.
 */
import ipaddr from 'ipaddr.js'
import type { ClientHello } from '../lib/client-hello.ts'
import type { TlsServerPlan } from '../plan/listener.ts'
import type { PassthroughPlan } from '../plan/tcp.ts'
import { type HandshakeOptions, type SecureConnection, TlsServer } from './tls-server.ts'

interface Known {
  readonly text: string
  readonly server: TlsServer
}

/** What a name stands for: a server, or ways on for TLS that does not end here. */
type Target = TlsServer | readonly PassthroughPlan[]

export class TlsServers {
  readonly #options: HandshakeOptions
  readonly #onSecure: (connection: SecureConnection) => void
  /** By name of the server. */
  #known = new Map<string, Known>()
  #exact = new Map<string, Target>()
  /** By `.suffix`. */
  #wildcards = new Map<string, Target>()
  #any: Target | null = null

  constructor(options: HandshakeOptions, onSecure: (connection: SecureConnection) => void) {
    this.#options = options
    this.#onSecure = onSecure
  }

  update(plans: readonly TlsServerPlan[], passthrough: readonly PassthroughPlan[]): void {
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
      for (const name of plan.serverNames) this.#add(name, server)
    }
    for (const plan of passthrough) for (const name of plan.serverNames) this.#add(name, [plan])
    for (const [name, { server }] of before) if (this.#known.get(name)?.server !== server) server.close()
  }

  /**
   * The most specific name that is served decides alone: where its terms do not hold, no wider one is asked.
   *
   * @param localAddress That the client connected to.
   */
  find({ serverName, alpn }: ClientHello, localAddress: string): TlsServer | PassthroughPlan | null {
    const target = this.#lookUp(serverName)
    if (target === null || target instanceof TlsServer) return target
    const fitting = target.filter((plan) => plan.alpn === undefined || alpn.some((name) => plan.alpn!.includes(name)))
    return (
      fitting.find(({ destinationSubnets }) => destinationSubnets?.some((block) => contains(block, localAddress))) ??
      fitting.find(({ destinationSubnets }) => destinationSubnets === undefined) ??
      null
    )
  }

  #lookUp(serverName: string): Target | null {
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
    const meant = this.#lookUp(host)
    if (meant === null) return false
    const isOther = !(meant instanceof TlsServer) || meant.plan.name !== server.plan.name
    return isOther && server.presentsFor(host)
  }

  /** Of two that want the same name the older one has it; ways on that differ in more than the name stay together. */
  #add(name: string, target: Target): void {
    const join = (known: Target | null | undefined): Target => {
      if (known == null) return target
      return known instanceof TlsServer || target instanceof TlsServer ? known : [...known, ...target]
    }
    if (name === '*') this.#any = join(this.#any)
    else if (name.startsWith('*.')) this.#wildcards.set(name.slice(1), join(this.#wildcards.get(name.slice(1))))
    else this.#exact.set(name, join(this.#exact.get(name)))
  }

  close(): void {
    for (const { server } of this.#known.values()) server.close()
  }
}

/** @param block `ADDRESS/BITS` */
function contains(block: string, address: string): boolean {
  const plain = ipaddr.process(address)
  const [net, bits] = ipaddr.parseCIDR(block)
  return plain.kind() === net.kind() && plain.match(net, bits)
}
