/**
 * Who may ask the admin API. It is bound to loopback, but a browser on this machine carries requests of any web page:
 * - a page whose name was made to point at 127.0.0.1 (DNS rebinding) gives itself away by its Host header;
 * - a page that posts a form here gives itself away by Origin and Sec-Fetch-Site (Fetch standard).
 */
import { isIP } from 'node:net'

export interface Asker {
  readonly method: string
  /** Host header. */
  readonly host: string | undefined
  readonly origin: string | undefined
  /** Sec-Fetch-Site header. */
  readonly site: string | undefined
  /** Address of this machine that the connection came to. */
  readonly localAddress: string | undefined
}

/**
 * @param configuredHost Host of the admin address as configured; a name there may be used to ask.
 * @returns Why the request is refused, or null.
 */
export function refuse(asker: Asker, configuredHost: string): string | null {
  const host = hostName(asker.host ?? '')
  if (host === null || !isOwnName(host, configuredHost, asker.localAddress))
    return 'the Host header names neither this machine nor the admin address'
  if (asker.method === 'GET' || asker.method === 'HEAD') return null
  if (asker.site !== undefined && asker.site !== 'same-origin' && asker.site !== 'none')
    return 'requests of other sites are refused'
  if (asker.origin !== undefined && asker.origin.toLowerCase() !== `http://${asker.host!.toLowerCase()}`)
    return 'requests of other origins are refused'
  return null
}

function isOwnName(host: string, configuredHost: string, localAddress: string | undefined): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true
  if (host === withoutBrackets(configuredHost).toLowerCase()) return true
  if (isIP(host) === 0) return false
  // An address is no name: nobody can make it point elsewhere. It still has to be the one that was connected to.
  return isLoopback(host) || host === plainAddress(localAddress ?? '')
}

function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}

/** Name or address of a Host header in lower case, without port and brackets; null: it is malformed. */
function hostName(header: string): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i.exec(header)
  return match === null ? null : withoutBrackets(match[1]!).toLowerCase()
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

/** An IPv4 address of an IPv6 socket as IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
