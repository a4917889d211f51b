/**
 * Cross-origin requests: preflights are answered here, the answers of others get their headers.
 *
 * Source: semantics §2.13; envoy: source/extensions/filters/http/cors/cors_filter.cc.
 */
import type { Exchange, HeaderEdit } from '../exchange/exchange.ts'
import { setHeader, type HeaderList } from '../exchange/headers.ts'
import type { CorsPlan } from '../plan/route.ts'
import type { Filter } from './filter.ts'
import { compileStringMatch, type TextTest } from './string-match.ts'

export function compileCors(plan: CorsPlan): Filter {
  const isAllowed = compileOrigins(plan)
  const preflightHeaders = compilePreflightHeaders(plan)
  return (exchange) => {
    const origin = exchange.header('origin')
    if (origin === undefined || origin === '') return undefined
    const allowed = isAllowed(origin)
    if (exchange.method === 'OPTIONS' && isFilled(exchange.header('access-control-request-method'))) {
      if (!allowed && plan.forwardUnmatchedPreflights) return undefined
      const headers = preflightHeaders(exchange)
      if (allowed) {
        headers.unshift('access-control-allow-origin', origin)
        // A preflight's answer passes Envoy's own encoding filter too, which adds what actual answers get.
        if (isFilled(plan.exposeHeaders)) headers.push('access-control-expose-headers', plan.exposeHeaders)
      }
      return { status: 200, headers, details: 'cors_response' }
    }
    if (allowed) (exchange.responseEdits ??= []).push(editResponse(plan, origin))
    return undefined
  }
}

function compileOrigins(plan: CorsPlan): TextTest {
  if (plan.allowOrigins.some((match) => match.kind === 'exact' && match.value === '*')) return () => true
  const tests = plan.allowOrigins.map(compileStringMatch).filter((test) => test !== null)
  return (origin) => tests.some((test) => test(origin))
}

/** The upstream's own idea of the origin is overwritten; its other headers stay where the policy has none. */
function editResponse(plan: CorsPlan, origin: string): HeaderEdit {
  return (headers) => {
    setHeader(headers, 'access-control-allow-origin', origin)
    if (plan.allowCredentials) setHeader(headers, 'access-control-allow-credentials', 'true')
    if (isFilled(plan.exposeHeaders)) setHeader(headers, 'access-control-expose-headers', plan.exposeHeaders)
  }
}

/** What a preflight is told, whether its origin is allowed or not: without the origin's header it means nothing. */
function compilePreflightHeaders(plan: CorsPlan): (exchange: Exchange) => HeaderList {
  const methods = compileList('access-control-allow-methods', plan.allowMethods, 'access-control-request-method')
  const names = compileList('access-control-allow-headers', plan.allowHeaders, 'access-control-request-headers')
  return (exchange) => {
    const headers: HeaderList = []
    if (plan.allowCredentials) headers.push('access-control-allow-credentials', 'true')
    methods(exchange, headers)
    names(exchange, headers)
    if (isFilled(plan.maxAge)) headers.push('access-control-max-age', plan.maxAge)
    return headers
  }
}

/** With `*` in the list the client is told that it may do what it asked for. */
function compileList(
  name: string,
  list: string | undefined,
  requestName: string,
): (exchange: Exchange, headers: HeaderList) => void {
  if (!isFilled(list)) return () => {}
  if (!list.split(',').some((item) => item.trim() === '*')) return (_, headers) => void headers.push(name, list)
  return (exchange, headers) => {
    const asked = exchange.header(requestName)
    if (isFilled(asked)) headers.push(name, asked)
  }
}

function isFilled(text: string | undefined): text is string {
  return text !== undefined && text !== ''
}
