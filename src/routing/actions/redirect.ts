/**
 * Redirects of rules, and the redirect to https of a whole host.
 *
 * Source: semantics §2.6 and §1.8; envoy: source/common/http/utility.cc (`Utility::newUri`, `processRequestHost`).
 */
import type { Exchange } from '../../exchange/exchange.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import type { RedirectAction } from '../../plan/route.ts'
import { fromConfiguration, fromRequest, portOf, withoutPort } from './location.ts'

type Scheme = 'http' | 'https'

const DEFAULT_PORT: Readonly<Record<Scheme, number>> = { http: 80, https: 443 }

export function compileRedirect(action: RedirectAction): (exchange: Exchange) => LocalReply {
  const { status, scheme: newScheme, port } = action
  const authority = action.authority === undefined ? undefined : fromConfiguration(action.authority)
  const path = compileRedirectPath(action.path)
  return (exchange) => {
    const scheme = newScheme ?? exchange.scheme
    const base = authority ?? fromRequest(authorityFor(exchange, scheme))
    const host = port === undefined ? base : withoutPort(base) + explicitPort(scheme, port)
    return redirectTo(status, `${scheme}://${host}${path(exchange)}`)
  }
}

/** The answer of a host with `httpsRedirect` to what did not come over TLS: always 301, whatever the method. */
export function redirectToHttps(exchange: Exchange): LocalReply {
  const host = fromRequest(authorityFor(exchange, 'https'))
  return redirectTo(301, `https://${host}${fromRequest(exchange.path)}`)
}

function redirectTo(status: number, location: string): LocalReply {
  return { status, headers: ['location', location], details: 'direct_response' }
}

/** The request's authority, without the port that stood for the scheme it no longer has. */
function authorityFor(exchange: Exchange, scheme: Scheme): string {
  const { authority } = exchange
  if (scheme === exchange.scheme || portOf(authority) !== `:${DEFAULT_PORT[exchange.scheme]}`) return authority
  return withoutPort(authority)
}

function explicitPort(scheme: Scheme, port: number): string {
  return port === DEFAULT_PORT[scheme] ? '' : `:${port}`
}

/** @returns The path with its query; it begins with `/` whatever the rule says. */
function compileRedirectPath(path: RedirectAction['path']): (exchange: Exchange) => string {
  if (path === undefined) return (exchange) => rooted(fromRequest(exchange.path))
  if (path.kind === 'full') {
    const value = rooted(fromConfiguration(path.value))
    return value.includes('?') ? () => value : (exchange) => value + fromRequest(exchange.query)
  }
  const { length } = path
  const replacement = fromConfiguration(path.replacement)
  return (exchange) => rooted(replacement + fromRequest(exchange.path.slice(length)))
}

function rooted(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}
