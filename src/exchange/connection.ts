/** What the log and the headers can tell about the connection that a request came on. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Exchange } from './exchange.ts'

/** Server name that the client asked for in TLS (SNI), or empty. */
export function requestedServerName(exchange: Exchange): string {
  if (!exchange.listener.tls) return exchange.serverName
  const name = (socketOf(exchange) as TLSSocket & { servername?: string | false | null })?.servername
  return typeof name === 'string' ? name : ''
}

/** Protocol version as Envoy writes it, for example `TLSv1.3`; empty in plain text or once the connection is gone. */
export function tlsVersion(exchange: Exchange): string {
  return exchange.listener.tls ? ((socketOf(exchange) as TLSSocket | null)?.getProtocol?.() ?? '') : ''
}

/** Cipher suite by OpenSSL's name, which is Envoy's too. */
export function tlsCipher(exchange: Exchange): string {
  return exchange.listener.tls ? ((socketOf(exchange) as TLSSocket | null)?.getCipher?.()?.name ?? '') : ''
}

/** SPIFFE ID of the client's certificate; empty: it has none, or one that was not verified. */
export function peerIdentity(exchange: Exchange): string {
  if (!exchange.listener.tls) return ''
  const socket = socketOf(exchange) as TLSSocket | null
  if (socket?.authorized !== true) return ''
  const names = socket.getPeerCertificate()?.subjectaltname ?? ''
  return /(?:^|, )URI:(spiffe:[^,\s"]+)/.exec(names)?.[1] ?? ''
}

/** `ADDRESS:PORT` with brackets around IPv6; an IPv4 peer of an IPv6 socket is written as IPv4. */
export function joinAddress(address: string, port: number): string {
  if (!address.includes(':')) return `${address}:${port}`
  if (address.startsWith('::ffff:') && address.includes('.')) return `${address.slice(7)}:${port}`
  return `[${address}]:${port}`
}

/** The address of `ADDRESS:PORT`, without brackets. */
export function withoutPort(addressAndPort: string): string {
  const colon = addressAndPort.lastIndexOf(':')
  const address = colon === -1 ? addressAndPort : addressAndPort.slice(0, colon)
  return address.startsWith('[') ? address.slice(1, -1) : address
}

/** The port of `ADDRESS:PORT`, or -1. */
export function portOf(addressAndPort: string): number {
  const port = Number(addressAndPort.slice(addressAndPort.lastIndexOf(':') + 1))
  return addressAndPort !== '' && Number.isInteger(port) ? port : -1
}

/** HTTP/2 requests hold a stand-in that throws once the session is gone. */
function socketOf(exchange: Exchange): Socket | null {
  try {
    const socket = exchange.req.socket as Socket | null
    // Touched here so that a stand-in without its session throws inside this block.
    return socket?.destroyed === undefined ? null : socket
  } catch {
    return null
  }
}
