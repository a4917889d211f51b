/** What is known of a client's connection, worked out once when it opens. */
import type { Socket } from 'node:net'
import type { ClientCertificate } from '../exchange/client-certificate.ts'

export interface ConnectionFacts {
  /** `ADDRESS:PORT` of the client. */
  readonly peer: string
  readonly peerIp: string
  readonly loopback: boolean
  /** `ADDRESS:PORT` that the client connected to. */
  readonly local: string
  /** Null: plain text, or the client has shown none. */
  readonly clientCertificate: ClientCertificate | null
}

export function connectionFacts(socket: Socket, clientCertificate: ClientCertificate | null = null): ConnectionFacts {
  const peerIp = plainAddress(socket.remoteAddress ?? '')
  return {
    peer: joinAddress(peerIp, socket.remotePort ?? 0),
    peerIp,
    loopback: peerIp === '::1' || peerIp.startsWith('127.'),
    local: joinAddress(plainAddress(socket.localAddress ?? ''), socket.localPort ?? 0),
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
