/** Matches and actions of routes as one line of text each, for tables. `/config_dump` has them whole. */
import type { NamedMatch, PathMatch, RouteAction, RouteMatch, StringMatch } from '../plan/route.ts'

/** For example `path prefix "/api", method exact "GET", header x-user regex "a.*"`. */
export function matchText(match: RouteMatch): string {
  const parts = [
    pathText(match.path),
    ...named('method', match.method),
    ...named('scheme', match.scheme),
    ...named('authority', match.authority),
    ...(match.headers ?? []).map((header) => namedMatchText(header.claim ? 'claim' : 'header', header)),
    ...(match.queryParams ?? []).map((parameter) => namedMatchText('query', parameter)),
  ]
  return parts.join(', ')
}

/** For example `to outbound|80||a (90%), outbound|80||b (10%), timeout 15000 ms`. */
export function actionText(action: RouteAction): string {
  switch (action.kind) {
    case 'forward': {
      const total = action.destinations.reduce((sum, { weight }) => sum + weight, 0)
      const targets = action.destinations.map(({ cluster, weight }) =>
        action.destinations.length === 1 ? cluster : `${cluster} (${Math.round((1000 * weight) / total) / 10}%)`,
      )
      return [
        `to ${targets.join(', ')}`,
        ...(action.timeoutMs === null ? [] : [`timeout ${action.timeoutMs} ms`]),
        ...(action.retry === null ? [] : [`${action.retry.attempts} retries`]),
        ...(action.mirrors ?? []).map(({ cluster, fraction }) => `mirror ${fraction * 100}% to ${cluster}`),
      ].join(', ')
    }
    case 'redirect':
      return `redirect ${action.status}`
    case 'direct-response':
      return `respond ${action.status}`
    default:
      return action satisfies never
  }
}

function pathText(path: PathMatch): string {
  switch (path.kind) {
    case 'any':
      return 'any path'
    case 'exact':
      return `path exact ${JSON.stringify(path.path)}${path.ignoreCase ? ' (any case)' : ''}`
    case 'prefix':
      return `path prefix ${JSON.stringify(path.prefix)}${path.ignoreCase ? ' (any case)' : ''}`
    case 'regex':
      return `path regex ${JSON.stringify(path.regex)}`
    default:
      return path satisfies never
  }
}

function named(name: string, match: StringMatch | undefined): string[] {
  return match === undefined ? [] : [`${name} ${stringText(match)}`]
}

function namedMatchText(kind: string, { name, match, invert }: NamedMatch): string {
  return `${invert ? 'not ' : ''}${kind} ${name} ${stringText(match)}`
}

function stringText(match: StringMatch): string {
  return match.kind === 'present' ? 'present' : `${match.kind} ${JSON.stringify(match.value)}`
}
