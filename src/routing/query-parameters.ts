/**
 * Query parameters as route matching sees them: the first value of a name, exactly as it was sent. Percent sequences
 * are not decoded and `+` is no blank, so `exact: "a b"` does not match `?q=a%20b`.
 *
 * Source: envoy: source/common/router/config_impl.cc, `RouteEntryImplBase::matchRoute`, which calls the plain
 * `parseQueryString` and not `parseAndDecodeQueryString` (source/common/http/utility.cc).
 */
import type { Exchange } from '../exchange/exchange.ts'

export type QueryReader = (exchange: Exchange) => ReadonlyMap<string, string>

/**
 * @param query From `?` on, or empty.
 * @returns First value by name; a name without `=` has the empty value.
 */
export function parseQueryParameters(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  let start = 1
  while (start < query.length) {
    let end = query.indexOf('&', start)
    if (end === -1) end = query.length
    const equals = query.indexOf('=', start)
    const hasValue = equals !== -1 && equals < end
    const name = query.slice(start, hasValue ? equals : end)
    if (!parameters.has(name)) parameters.set(name, hasValue ? query.slice(equals + 1, end) : '')
    start = end + 1
  }
  return parameters
}

/**
 * A reader that parses a request's query when it is first asked and remembers it while the exchange lives: many routes
 * may ask, and a query may be as long as the request's head.
 */
export function createQueryReader(): QueryReader {
  const parsed = new WeakMap<Exchange, ReadonlyMap<string, string>>()
  return (exchange) => {
    let parameters = parsed.get(exchange)
    if (parameters === undefined) {
      parameters = parseQueryParameters(exchange.query)
      parsed.set(exchange, parameters)
    }
    return parameters
  }
}
