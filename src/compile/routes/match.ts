/**
 * Matches of HTTP rules: what is decided while compiling, and what is left to compare with each request.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`TranslateRouteMatch`, `isCatchAllRoute`,
 * `sourceMatchHTTP`).
 */
import type { NamedMatch, PathMatch, RouteMatch, StringMatch } from '../../plan/route.ts'
import type { HTTPMatchRequest, StringMatch as StringMatchSpec } from '../../resources/virtual-service.ts'
import type { Workload } from '../workload.ts'

/** What a route is built for: the same rule may give other routes on another port or gateway. */
export interface RouteTarget {
  /** `NAMESPACE/NAME` of the Gateway. */
  readonly gateway: string
  /** The server's port. */
  readonly port: number
  /** The server ends TLS. */
  readonly tls: boolean
  /** Name of the server's port, where a policy asks for it; or empty. */
  readonly section: string
}

/** Whether a match can hold at all on this gateway and port. */
export function appliesTo(match: HTTPMatchRequest, { gateway, port }: RouteTarget, workload: Workload): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== port) return false
  // A list of gateways stands in for all that is said about the source.
  if (match.gateways !== undefined && match.gateways.length > 0) return match.gateways.includes(gateway)
  if (match.sourceNamespace && match.sourceNamespace !== workload.namespace) return false
  return hasNoKeys(match.sourceLabels) || workload.isSelectedBy(match.sourceLabels)
}

const CLAIM_PREFIX = '@request.auth.claims'

/** `.a.b`, or `[a][b]`, which also takes names with dots in them. */
const CLAIM_PATH = /^(?:(?:\.[^.[\]]+)+|(?:\[[^[\]]+\])+)$/

/**
 * The claim of a JWT that a key of `headers` or `withoutHeaders` stands for.
 *
 * Source: istio: pkg/jwt (`ToRoutingClaim`).
 *
 * @returns Names from the outside in; null: it is no header, and no claim either; undefined: it is a header.
 */
function claimPath(key: string): readonly string[] | null | undefined {
  if (!key.toLowerCase().startsWith(CLAIM_PREFIX)) return undefined
  const path = key.slice(CLAIM_PREFIX.length)
  if (!CLAIM_PATH.test(path)) return null
  return path.startsWith('.') ? path.slice(1).split('.') : path.slice(1, -1).split('][')
}

/** Keys that begin like claims of a JWT and name none. */
export function misspeltClaims({ headers, withoutHeaders }: HTTPMatchRequest): readonly string[] {
  const keys = [...Object.keys(headers ?? {}), ...Object.keys(withoutHeaders ?? {})]
  return keys.filter((key) => claimPath(key) === null)
}

/** Whether the match looks at claims of a JWT. */
export function needsClaims({ headers, withoutHeaders }: HTTPMatchRequest): boolean {
  const keys = [...Object.keys(headers ?? {}), ...Object.keys(withoutHeaders ?? {})]
  return keys.some((key) => claimPath(key) !== undefined)
}

export const EVERY_REQUEST: RouteMatch = { path: { kind: 'any' } }

/** @param match After {@link appliesTo}: its static fields are not looked at again. */
export function compileMatch(match: HTTPMatchRequest): RouteMatch {
  const { method, scheme, authority } = match
  const headers = [...namedMatches(match.headers, false, header), ...namedMatches(match.withoutHeaders, true, header)]
  const queryParams = namedMatches(match.queryParams, false, (name) => ({ name }))
  return {
    path: compilePath(match),
    ...(method === undefined ? {} : { method: compileText(method) }),
    ...(scheme === undefined ? {} : { scheme: compileText(scheme) }),
    ...(authority === undefined ? {} : { authority: compileText(authority) }),
    ...(headers.length === 0 ? {} : { headers }),
    ...(queryParams.length === 0 ? {} : { queryParams }),
  }
}

/**
 * Whether every request matches, as Istio judges it: by the form of the match, so that an empty prefix, say, does not
 * count although it takes every path.
 */
export function isCatchAll({ path, method, scheme, authority, headers, queryParams }: RouteMatch): boolean {
  if (method ?? scheme ?? authority ?? headers ?? queryParams) return false
  switch (path.kind) {
    case 'any':
      return true
    case 'prefix':
      return path.prefix === '/'
    case 'regex':
      return path.regex === '.*'
    case 'exact':
      return false
    default:
      return path satisfies never
  }
}

function compilePath({ uri, ignoreUriCase }: HTTPMatchRequest): PathMatch {
  const ignoreCase = ignoreUriCase ?? false
  if (uri?.exact !== undefined) return { kind: 'exact', path: uri.exact, ignoreCase }
  if (uri?.prefix !== undefined) return { kind: 'prefix', prefix: uri.prefix, ignoreCase }
  if (uri?.regex !== undefined) return { kind: 'regex', regex: uri.regex }
  return { kind: 'any' }
}

/** A test of text; nothing set, and `regex: "*"`, ask only that the value is there. */
export function compileText({ exact, prefix, regex }: StringMatchSpec): StringMatch {
  if (exact !== undefined) return { kind: 'exact', value: exact }
  if (prefix !== undefined) return { kind: 'prefix', value: prefix }
  return regex === undefined || regex === '*' ? { kind: 'present' } : { kind: 'regex', value: regex }
}

function namedMatches(
  matches: Readonly<Record<string, StringMatchSpec>> | undefined,
  invert: boolean,
  read: (key: string) => Pick<NamedMatch, 'name' | 'claim'>,
): NamedMatch[] {
  if (matches === undefined) return []
  return Object.entries(matches)
    .map(([name, match]) => ({ ...read(name), match: compileText(match), invert }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function header(key: string): Pick<NamedMatch, 'name' | 'claim'> {
  const claim = claimPath(key)
  return claim ? { name: key, claim } : { name: key.toLowerCase() }
}

function hasNoKeys(labels: object | undefined): boolean {
  return labels === undefined || Object.keys(labels).length === 0
}
