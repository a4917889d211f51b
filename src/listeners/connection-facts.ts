/** What is known of a client's connection, worked out once when it opens. */
import type { Socket } from 'node:net'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import type { ProxiedAddresses } from '../lib/proxy-protocol.ts'

export interface ConnectionFacts {
  /** `ADDRESS:PORT` of the client; where a PROXY header was read, as that says. */
  readonly peer: string
  readonly peerIp: string
  readonly loopback: boolean
  /** `ADDRESS:PORT` of the TCP peer, whatever a PROXY header says. */
  readonly direct: string
  /** `ADDRESS:PORT` that the client connected to; where a PROXY header was read, as that says. */
  readonly local: string
  /** Null: plain text, or the client has shown none. */
  readonly clientCertificate: ClientCertificate | null
}

/** @param proxied What a PROXY header said; null: there was none, or it spoke for nobody. */
export function connectionFacts(
  socket: Socket,
  clientCertificate: ClientCertificate | null = null,
  proxied: ProxiedAddresses | null = null,
): ConnectionFacts {
  const directIp = plainAddress(socket.remoteAddress ?? '')
  const direct = joinAddress(directIp, socket.remotePort ?? 0)
  const peerIp = proxied === null ? directIp : plainAddress(proxied.source.address)
  return {
    peer: proxied === null ? direct : joinAddress(peerIp, proxied.source.port),
    peerIp,
    loopback: peerIp === '::1' || peerIp.startsWith('127.'),
    direct,
    local:
      proxied === null
        ? joinAddress(plainAddress(socket.localAddress ?? ''), socket.localPort ?? 0)
        : joinAddress(plainAddress(proxied.destination.address), proxied.destination.port),
    clientCertificate,
  }
}

/** An IPv4 client of an IPv6 socket is an IPv4 client. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address
}

function joinAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
