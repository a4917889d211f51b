/**
 * Connections that come through a load balancer which says in a PROXY header whose they are. The header is read before
 * anything else, TLS too; what it says is found again by the TCP connection that it came on.
 */
import ipaddr from 'ipaddr.js'
import type { Socket } from 'node:net'
import { type ProxiedAddresses, takeProxyHeader } from '../lib/proxy-protocol.ts'

/** Which connections have to begin with a PROXY header. */
export interface ProxyProtocolSettings {
  /** Ports of Gateway servers; null: all. */
  readonly ports: readonly number[] | null
  /**
   * Addresses, or `ADDRESS/BITS`: connections from elsewhere have none, and what looks like one is not believed.
   * Empty: from everywhere.
   */
  readonly trustedSources: readonly string[]
}

/** From the connection to the last byte of its header. */
const HEADER_MS = 5000

export class ProxiedClients {
  readonly #trusted: readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[]
  /** By both ends of the TCP connection; as long as that is open. */
  readonly #addresses = new Map<string, ProxiedAddresses>()

  constructor({ trustedSources }: ProxyProtocolSettings) {
    this.#trusted = trustedSources.map((source) => {
      const block = source.includes('/') ? source : `${source}/${source.includes(':') ? 128 : 32}`
      return ipaddr.parseCIDR(block)
    })
  }

  /**
   * Takes the header off a connection that has to have one; one without is closed.
   *
   * @param take Called with the connection, its next byte unread.
   */
  admit(socket: Socket, take: (socket: Socket) => void): void {
    if (!this.#isTrusted(socket.remoteAddress)) {
      take(socket)
      return
    }
    socket.on('error', ignore)
    takeProxyHeader(socket, HEADER_MS, (result) => {
      if ('reason' in result) {
        socket.destroy()
        return
      }
      socket.off('error', ignore)
      if (result.addresses !== null) this.#remember(socket, result.addresses)
      // What came behind the header is for whoever listens when this is done; who needs time pauses it again.
      socket.resume()
      take(socket)
    })
  }

  /** Null: nothing was said, or nothing was to be believed. @param socket The connection, or the TLS on it. */
  of(socket: Socket): ProxiedAddresses | null {
    return this.#addresses.size === 0 ? null : (this.#addresses.get(keyOf(socket)) ?? null)
  }

  #remember(socket: Socket, addresses: ProxiedAddresses): void {
    const key = keyOf(socket)
    this.#addresses.set(key, addresses)
    socket.once('close', () => this.#addresses.delete(key))
  }

  #isTrusted(address: string | undefined): boolean {
    if (this.#trusted.length === 0) return true
    if (address === undefined) return false
    const plain = ipaddr.process(address)
    return this.#trusted.some(([net, bits]) => plain.kind() === net.kind() && plain.match(net, bits))
  }
}

function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function ignore(): void {}
