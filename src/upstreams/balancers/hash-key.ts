/**
 * What a request is hashed by, so that requests with the same value go to the same endpoint.
 *
 * Source: semantics §3.3; envoy: source/common/http/hash_policy.cc, utility.cc (`parseCookieValue`,
 * `makeSetCookieValue`).
 */
import type { Exchange } from '../../exchange/exchange.ts'
import { addHeader } from '../../exchange/headers.ts'
import type { HashKey } from '../../plan/cluster.ts'
import { murmur3 } from './murmur3.ts'

type CookieKey = Extract<HashKey, { readonly kind: 'cookie' }>

/**
 * To be called once a request, when it is as it goes upstream: the result is that of all its tries, and a cookie is
 * set at each call.
 *
 * @returns An unsigned 32-bit number; null: the request has nothing to be hashed by.
 */
export function compileHashKey(key: HashKey): (exchange: Exchange) => number | null {
  switch (key.kind) {
    case 'header':
      return compileHeader(key.name.toLowerCase())
    case 'cookie':
      return compileCookie(key)
    case 'source-ip':
      return (exchange) => {
        const address = withoutPort(exchange.clientAddress)
        return address === '' ? null : murmur3(address, 0)
      }
    case 'query': {
      const { name } = key
      return (exchange) => {
        const value = firstParameter(exchange.query, name)
        return value === null ? null : murmur3(value, 0)
      }
    }
    default:
      return key satisfies never
  }
}

function compileHeader(name: string): (exchange: Exchange) => number | null {
  if (name === 'host' || name.startsWith(':')) {
    return (exchange) => {
      const value = exchange.header(name)
      return value === undefined ? null : murmur3(value, 0)
    }
  }
  return ({ headers }) => {
    let first: string | null = null
    let all: string[] | null = null
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== name) continue
      const value = headers[i + 1]!
      if (first === null) first = value
      else (all ??= [first]).push(value)
    }
    if (first === null) return null
    if (all === null) return murmur3(first, 0)
    // The order of the lines says nothing; each value's hash is the seed of the next.
    return all.sort().reduce((seed, value) => murmur3(value, seed), 0)
  }
}

function compileCookie(key: CookieKey): (exchange: Exchange) => number | null {
  const { name, ttlMs } = key
  return (exchange) => {
    const sent = cookieValue(exchange.headers, name)
    if (sent !== null) return murmur3(sent, 0)
    if (ttlMs === null) return null
    const value = newCookieValue(exchange)
    const line = setCookieLine(key, value, ttlMs)
    ;(exchange.responseEdits ??= []).push((headers) => {
      addHeader(headers, 'set-cookie', line)
    })
    return murmur3(value, 0)
  }
}

/** The first cookie of the name; null: there is none, or it is empty. */
function cookieValue(headers: readonly string[], name: string): string | null {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue
    for (const pair of headers[i + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals === -1 || pair.slice(0, equals).trim() !== name) continue
      const value = pair.slice(equals + 1).trim()
      const quoted = value.length >= 2 && value.startsWith('"') && value.endsWith('"')
      return (quoted ? value.slice(1, -1) : value) || null
    }
  }
  return null
}

/**
 * The same for all requests of a client on a connection, so that those it sends at the same time get the same cookie
 * (it keeps one, and each of them would have named another endpoint). It identifies nobody and need not be secret.
 */
function newCookieValue({ clientAddress, peerAddress, localAddress }: Exchange): string {
  const connection = `${clientAddress} ${peerAddress} ${localAddress}`
  return hex(murmur3(connection, 0)) + hex(murmur3(connection, 1))
}

function hex(hash: number): string {
  return hash.toString(16).padStart(8, '0')
}

function setCookieLine({ name, path, attributes }: CookieKey, value: string, ttlMs: number): string {
  const maxAge = Math.floor(ttlMs / 1000)
  let line = `${name}="${value}"`
  if (maxAge > 0) line += `; Max-Age=${maxAge}`
  if (path !== '') line += `; Path=${path}`
  for (const [attribute, content] of attributes) line += content === '' ? `; ${attribute}` : `; ${attribute}=${content}`
  return `${line}; HttpOnly`
}

function withoutPort(address: string): string {
  const colon = address.lastIndexOf(':')
  return colon === -1 ? address : address.slice(0, colon)
}

/** As it stands, percent sequences included. @param query From `?` on, or empty. */
function firstParameter(query: string, name: string): string | null {
  let start = 1
  while (start < query.length) {
    const ampersand = query.indexOf('&', start)
    const end = ampersand === -1 ? query.length : ampersand
    if (query.startsWith(name, start)) {
      const after = start + name.length
      if (after === end) return ''
      if (query[after] === '=') return query.slice(after + 1, end)
    }
    start = end + 1
  }
  return null
}
