/**
 * Where a client of a forward proxy wants to go, `HOST:PORT`, read in one way only: whoever reads it differently (a
 * policy, a resolver, the server behind) would see another place.
 *
 * Source: RFC 3986 §3.2, RFC 9110 §7.2, RFC 9112 §3.2.2 and §3.2.3; WHATWG URL §3.5 ("ends in a number") for what
 * resolvers take for an address although it is not written as one.
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export type Target =
  /** Lower case, without a final dot. */
  | { readonly kind: 'name'; readonly host: string; readonly port: number }
  /** An IP address in its one canonical form, without brackets. */
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  /** Well formed, and nothing that a list could hold: an address in disguise, a zone, no host name. */
  | { readonly kind: 'odd'; readonly host: string; readonly port: number; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Labels of letters, digits, hyphens and underscores (which DNS has, if host names do not). */
const NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/
/** What inet_aton(3) and browsers take for a number: decimal, octal, hexadecimal. */
const NUMBER_AT_END = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/
const PORT = /^[1-9][0-9]{0,4}$/

/**
 * @param authority As the client wrote it; no user information is taken.
 * @param defaultPort For an authority without a port; null: there has to be one.
 */
export function readTarget(authority: string, defaultPort: number | null): Target {
  if (authority === '') return malformed('it names no host')
  if (authority.includes('@')) return malformed('user information is not taken')
  if (!/^[!-~]+$/.test(authority)) return malformed('it is not in ASCII')
  const bracketed = authority.startsWith('[')
  const end = bracketed ? authority.indexOf(']') + 1 : authority.indexOf(':')
  if (bracketed && end === 0) return malformed('its bracket is not closed')
  const written = end === -1 ? authority : authority.slice(0, end)
  const rest = end === -1 ? '' : authority.slice(end)
  const port = readPort(rest, defaultPort)
  if (port === null) return malformed('its port is no number from 1 to 65535')
  if (bracketed) return readIPv6(written.slice(1, -1), port)
  return readName(written.toLowerCase(), port)
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
export function formatTarget({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function readPort(rest: string, defaultPort: number | null): number | null {
  if (rest === '') return defaultPort
  const digits = rest.slice(1)
  const port = rest.startsWith(':') && PORT.test(digits) ? Number(digits) : 0
  return port >= 1 && port <= 65_535 ? port : null
}

function readIPv6(text: string, port: number): Target {
  const odd = (reason: string): Target => ({ kind: 'odd', host: text.toLowerCase(), port, reason })
  if (text.includes('%')) return odd('an address with a zone is only of this machine')
  if (isIP(text) !== 6) return malformed('there is no IPv6 address in its brackets')
  const address = ipaddr.IPv6.parse(text)
  if (address.isIPv4MappedAddress()) return odd('it is an IPv4 address written as IPv6')
  return { kind: 'address', host: address.toRFC5952String(), port }
}

function readName(text: string, port: number): Target {
  if (text === '') return malformed('it names no host')
  // One final dot says that the name is whole, which it is anyway.
  const host = text.endsWith('.') ? text.slice(0, -1) : text
  if (isIP(host) === 4) {
    return host === text
      ? { kind: 'address', host, port }
      : { kind: 'odd', host: text, port, reason: 'an address has no final dot' }
  }
  if (NUMBER_AT_END.test(host)) {
    return { kind: 'odd', host: text, port, reason: 'it is an address in another than the dotted decimal form' }
  }
  if (!NAME.test(host)) return { kind: 'odd', host: text, port, reason: 'it is no host name' }
  return { kind: 'name', host, port }
}

function malformed(reason: string): Target {
  return { kind: 'malformed', reason }
}
