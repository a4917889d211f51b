/** Which bucket of a rule a request is counted in: the attributes that the rule names, as one text. */
import { hash } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { claimAt } from '../../exchange/claims.ts'
import { peerIdentity, withoutPort } from '../../exchange/connection.ts'
import type { Exchange } from '../../exchange/exchange.ts'
import type { RateLimitKeyPlan, RateLimitRulePlan } from '../../plan/rate-limit.ts'

/** The attribute's value; null: the request lacks it. */
type ReadAttribute = (exchange: Exchange) => string | null

/** A longer key is replaced by its hash: clients choose how long their headers are. */
const LONGEST_KEY = 64

/**
 * A header, or parameter, that is sent several times: all such requests share one bucket. Whichever of its values
 * counted, a client could choose another bucket with each request, and keep the value that its upstream looks at.
 */
const REPEATED = '\0repeated'
/** No value looks like it: the values are written with their lengths. */
const MISSING = '-'

/** @returns The bucket's key, at most 64 characters; null: the rule does not count this request. */
export function compileKey({ key, missing }: Pick<RateLimitRulePlan, 'key' | 'missing'>): ReadAttribute {
  const [only] = key
  if (only === undefined) return () => ''
  const attributes = key.map(compileAttribute)
  const replacement = missing === 'limit' ? MISSING : null
  if (attributes.length === 1) {
    const read = attributes[0]!
    return (exchange) => {
      const value = read(exchange)
      return value === null ? replacement : shorten(`=${value}`)
    }
  }
  return (exchange) => {
    let text = ''
    for (const read of attributes) {
      const value = read(exchange)
      if (value === null && replacement === null) return null
      text += value === null ? MISSING : `${value.length}=${value}`
    }
    return shorten(text)
  }
}

function shorten(key: string): string {
  return key.length <= LONGEST_KEY ? key : hash('sha256', key, 'base64url')
}

function compileAttribute(plan: RateLimitKeyPlan): ReadAttribute {
  switch (plan.kind) {
    case 'clientIP':
      return compileClientAddress(plan)
    case 'header': {
      const { name } = plan
      return ({ headers, authority }) => (name === 'host' ? authority : onlyHeader(headers, name))
    }
    case 'cookie': {
      const { name } = plan
      return ({ headers }) => firstCookie(headers, name)
    }
    case 'query': {
      const { name } = plan
      return ({ query }) => onlyParameter(query, name)
    }
    case 'claim': {
      const { path } = plan
      return ({ tokens }) => {
        for (const { claims } of tokens) {
          const value = claimAt(claims, path)
          if (value !== undefined && value !== null) return typeof value === 'string' ? value : JSON.stringify(value)
        }
        return null
      }
    }
    case 'peer':
      return (exchange) => peerIdentity(exchange) || null
    case 'host':
      return ({ host }) => host
    case 'method':
      return ({ method }) => method
    case 'path':
      return ({ pathname }) => pathname
    default:
      return plan satisfies never
  }
}

function compileClientAddress({ ipv4Bits, ipv6Bits }: { ipv4Bits: number; ipv6Bits: number }): ReadAttribute {
  if (ipv4Bits === 32 && ipv6Bits === 128) return ({ clientAddress }) => withoutPort(clientAddress)
  return ({ clientAddress }) => {
    const text = withoutPort(clientAddress)
    if (!text.includes(':') && ipv4Bits === 32) return text
    // Text that is no address cannot come from a socket; whatever it is, it has a bucket.
    if (!ipaddr.isValid(text)) return text
    const address = ipaddr.process(text)
    return network(address.toByteArray(), address.kind() === 'ipv4' ? ipv4Bits : ipv6Bits)
  }
}

/** The first `bits` bits of an address, as text. */
function network(bytes: readonly number[], bits: number): string {
  const kept = bytes.map((byte, index) => byte & (0xff << Math.min(8, Math.max(0, 8 * (index + 1) - bits))) & 0xff)
  return `${kept.join('.')}/${bits}`
}

function onlyHeader(headers: readonly string[], name: string): string | null {
  let found: string | null = null
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue
    if (found !== null) return REPEATED
    found = headers[i + 1]!
  }
  return found
}

function firstCookie(headers: readonly string[], name: string): string | null {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue
    for (const pair of headers[i + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
    }
  }
  return null
}

/** Names and values are decoded, so that no spelling of a parameter is a bucket of its own. */
function onlyParameter(query: string, name: string): string | null {
  if (query === '') return null
  const values = new URLSearchParams(query).getAll(name)
  return values.length > 1 ? REPEATED : (values[0] ?? null)
}
