/**
 * Where tokens are in requests, and how they are taken out.
 *
 * Source: envoy: source/extensions/filters/http/jwt_authn/extractor.cc.
 */
import type { Exchange } from '../exchange/exchange.ts'
import { removeHeader } from '../exchange/headers.ts'
import type { JwtLocationPlan } from '../plan/jwt.ts'

export interface TokenLocation {
  /** The token, which may be anything that a client can send; undefined: there is none here. */
  find(exchange: Exchange): string | undefined
  /** Takes the token out; cookies stay, as in Envoy. Nothing happens where there is none. */
  remove(exchange: Exchange): void
}

export function compileLocation(plan: JwtLocationPlan): TokenLocation {
  switch (plan.kind) {
    case 'header': {
      const find = ({ headers }: Exchange) => findInHeader(headers, plan.name, plan.prefix)
      return {
        find,
        remove: (exchange) => {
          // `Basic` credentials are no token and stay; beside a token nothing of the header does.
          if (find(exchange) !== undefined) removeHeader(exchange.headers, plan.name)
        },
      }
    }
    case 'param':
      return {
        find: ({ query }) => findParameter(query, plan.name),
        remove: (exchange) => {
          const query = withoutParameter(exchange.query, plan.name)
          if (query === exchange.query) return
          exchange.query = query
          exchange.path = exchange.pathname + query
        },
      }
    case 'cookie':
      return { find: ({ headers }) => findCookie(headers, plan.name), remove: () => {} }
    default:
      return plan satisfies never
  }
}

const TOKEN_START = /[A-Za-z0-9_.-]/

function findInHeader(headers: readonly string[], name: string, prefix: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue
    const value = headers[i + 1]!
    if (prefix === '') return value
    const at = value.indexOf(prefix)
    if (at === -1) continue
    const rest = value.slice(at + prefix.length)
    const start = rest.search(TOKEN_START)
    return start === -1 ? value : rest.slice(start)
  }
  return undefined
}

/** The first value of a query parameter; names and values are decoded. */
function findParameter(query: string, name: string): string | undefined {
  if (query.length < 2) return undefined
  for (const part of query.slice(1).split('&')) {
    const equals = part.indexOf('=')
    if (decode(equals === -1 ? part : part.slice(0, equals)) !== name) continue
    return equals === -1 ? '' : decode(part.slice(equals + 1))
  }
  return undefined
}

/** The other parameters stay as they were sent. */
function withoutParameter(query: string, name: string): string {
  if (query.length < 2) return query
  const parts = query.slice(1).split('&')
  const kept = parts.filter((part) => decode(part.split('=', 1)[0]!) !== name)
  if (kept.length === parts.length) return query
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

/** What is no percent sequence after all stands for itself. */
function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The first cookie of that name, without the quotes that may be around it (RFC 6265 §4.1.1). */
function findCookie(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue
    for (const pair of headers[i + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals === -1 || pair.slice(0, equals).trim() !== name) continue
      const value = pair.slice(equals + 1).trim()
      return /^".*"$/.test(value) ? value.slice(1, -1) : value
    }
  }
  return undefined
}
