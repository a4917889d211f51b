/**
 * Matches of routes compiled to closures: what depends on configuration alone is settled here, once.
 *
 * Source: envoy: source/common/router/config_impl.cc (`matches` of the route entries, `matchRoute`) and
 * source/common/http/header_utility.cc (`HeaderUtility::matchHeaders`).
 */
import { claimPasses } from '../exchange/claims.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { compileStringMatch, type TextTest } from '../filters/string-match.ts'
import { compileLinearRegex } from '../lib/linear-regex.ts'
import type { NamedMatch, PathMatch, RouteMatch } from '../plan/route.ts'
import { createQueryReader, type QueryReader } from './query-parameters.ts'

export type RequestTest = (exchange: Exchange) => boolean

const never = (): boolean => false

/**
 * ASCII letters only, as Envoy compares (`absl::StartsWithIgnoreCase`): the Unicode mapping would fold KELVIN SIGN to
 * `k` and make two characters of one.
 */
export function toLowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** @returns A test of the path without its query. An expression that is not RE2 matches no path. */
export function compilePath(path: PathMatch): TextTest {
  switch (path.kind) {
    case 'any':
      return () => true
    case 'exact': {
      if (!path.ignoreCase) return (pathname) => pathname === path.path
      const lower = toLowerAscii(path.path)
      return (pathname) => pathname.length === lower.length && toLowerAscii(pathname) === lower
    }
    case 'prefix': {
      if (!path.ignoreCase) return (pathname) => pathname.startsWith(path.prefix)
      const lower = toLowerAscii(path.prefix)
      return (pathname) => toLowerAscii(pathname.slice(0, lower.length)) === lower
    }
    case 'regex': {
      const regex = compileLinearRegex(path.regex)
      return regex.ok ? (pathname) => regex.matches(pathname) : never
    }
    default:
      return path satisfies never
  }
}

/**
 * @param query Shared by the matches of one virtual host, so that a request's query is parsed once for all of them.
 * @returns A test of everything but the path, or null where the match asks for nothing else.
 */
export function compileConditions(match: RouteMatch, query: QueryReader = createQueryReader()): RequestTest | null {
  const tests: RequestTest[] = []
  const { method, scheme, authority } = match
  if (method !== undefined) tests.push(onText(compileStringMatch(method), (exchange) => exchange.method))
  if (scheme !== undefined) tests.push(onText(compileStringMatch(scheme), (exchange) => exchange.scheme))
  if (authority !== undefined) tests.push(onText(compileStringMatch(authority), (exchange) => exchange.authority))
  for (const header of match.headers ?? []) {
    const { name, claim } = header
    tests.push(claim ? onClaim(header, claim) : onOptional(header, (exchange) => exchange.header(name)))
  }
  for (const parameter of match.queryParams ?? []) {
    const { name } = parameter
    tests.push(onOptional(parameter, (exchange) => query(exchange).get(name)))
  }
  return allOf(tests)
}

/** @returns A test of the whole match. */
export function compileMatch(match: RouteMatch, query?: QueryReader): RequestTest {
  const path = compilePath(match.path)
  const conditions = compileConditions(match, query)
  if (conditions === null) return (exchange) => path(exchange.pathname)
  return (exchange) => path(exchange.pathname) && conditions(exchange)
}

function onText(test: TextTest | null, read: (exchange: Exchange) => string): RequestTest {
  return test === null ? never : (exchange) => test(read(exchange))
}

/** A value that may be missing: that fails the condition, but counts as the empty text where it is inverted. */
function onOptional(named: NamedMatch, read: (exchange: Exchange) => string | undefined): RequestTest {
  const { match, invert } = named
  if (match.kind === 'present') return (exchange) => (read(exchange) !== undefined) !== invert
  const test = compileStringMatch(match)
  if (test === null) return never
  if (invert) return (exchange) => !test(read(exchange) ?? '')
  return (exchange) => {
    const value = read(exchange)
    return value !== undefined && test(value)
  }
}

/** Holds for no request without a verified token; inverted, for every one. */
function onClaim({ match, invert }: NamedMatch, path: readonly string[]): RequestTest {
  const test = compileStringMatch(match)
  return test === null ? never : (exchange) => claimPasses(exchange.tokens, path, test) !== invert
}

function allOf(tests: readonly RequestTest[]): RequestTest | null {
  const [first, second] = tests
  if (first === undefined) return null
  if (second === undefined) return first
  if (tests.length === 2) return (exchange) => first(exchange) && second(exchange)
  return (exchange) => {
    for (const test of tests) if (!test(exchange)) return false
    return true
  }
}
