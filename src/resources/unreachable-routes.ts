/** http rules of one VirtualService that an earlier rule leaves nothing to. istio: `pkg/config/validation/virtualservice.go` */
import type { Findings } from './findings.ts'
import type { HTTPMatchRequest, HTTPRoute } from './virtual-service.ts'

/** Says which rules can never match (IST0130) and which single matches add nothing (IST0131). */
export function checkReachability(findings: Findings, routes: readonly HTTPRoute[]): void {
  if (routes.length < 2) return
  let catchAll: number | undefined
  const seen: Seen = { byPath: new Map(), prefixes: [] }
  for (const [index, route] of routes.entries()) {
    const at = `/spec/http/${index}`
    if (catchAll !== undefined) {
      unreachable(findings, at, `http rule ${catchAll} matches everything, so this rule is never used`)
      continue
    }
    const matches = route.match ?? []
    const covered = matches.map((match) => coveredBy(match, seen))
    if (covered.length > 0 && covered.every((rule) => rule !== undefined)) {
      unreachable(findings, at, `all that this rule matches is already matched by http rule ${covered[0]}`)
    } else {
      for (const [position, rule] of covered.entries()) {
        if (rule === undefined) continue
        findings.info(
          'virtual-service/match',
          `${at}/match/${position}`,
          `http rule ${rule} already matches all of this`,
          {
            istioCode: 'IST0131',
          },
        )
      }
    }
    for (const match of matches) remember(match, index, seen)
    if (matches.length === 0 || matches.some(matchesEverything)) catchAll = index
  }
}

function unreachable(findings: Findings, at: string, message: string): void {
  findings.warning('virtual-service/unreachable', at, message, {
    istioCode: 'IST0130',
    remedy: 'The first rule that matches is used: put the narrower one first.',
  })
}

interface Earlier {
  readonly match: HTTPMatchRequest
  readonly rule: number
}

/** Matches of the rules so far. */
interface Seen {
  /** By what they ask of the path, so that only those with the same path are compared as a whole. */
  readonly byPath: Map<string, Earlier[]>
  /** Those that ask for a prefix of the path and for nothing else. */
  readonly prefixes: { readonly prefix: string; readonly rule: number }[]
}

function coveredBy(match: HTTPMatchRequest, { byPath, prefixes }: Seen): number | undefined {
  const candidates = byPath.get(pathKey(match)) ?? []
  const same = candidates.length === 0 ? undefined : identity(match)
  const earlier = candidates.find((candidate) => identity(candidate.match) === same)
  if (earlier !== undefined) return earlier.rule
  const path = match.uri?.prefix ?? match.uri?.exact
  if (path === undefined || match.ignoreUriCase === true) return undefined
  return prefixes.find(({ prefix }) => path.startsWith(prefix))?.rule
}

function remember(match: HTTPMatchRequest, rule: number, { byPath, prefixes }: Seen): void {
  const key = pathKey(match)
  const candidates = byPath.get(key)
  if (candidates === undefined) byPath.set(key, [{ match, rule }])
  // A list of hundreds of matches for one path is compared with its beginning alone: the work stays in proportion.
  else if (candidates.length < MAX_COMPARED) candidates.push({ match, rule })
  const { prefix } = match.uri ?? {}
  if (prefix !== undefined && prefixes.length < MAX_COMPARED && conditions(match).length === 1) {
    prefixes.push({ prefix, rule })
  }
}

const MAX_COMPARED = 64

function pathKey({ uri }: HTTPMatchRequest): string {
  if (uri === undefined) return ''
  const { exact, prefix, regex } = uri
  return exact !== undefined ? `=${exact}` : prefix !== undefined ? `^${prefix}` : `~${regex}`
}

function matchesEverything(match: HTTPMatchRequest): boolean {
  const set = conditions(match)
  return set.length === 0 || (set.length === 1 && (match.uri?.prefix === '/' || match.uri?.regex === '.*'))
}

/** Fields of a match that ask something of the request; an `ignoreUriCase` of a prefix only widens it. */
function conditions(match: HTTPMatchRequest): string[] {
  return Object.keys(match).filter((key) => key !== 'name' && key !== 'statPrefix' && key !== 'ignoreUriCase')
}

function identity(match: HTTPMatchRequest): string {
  const { name: _name, statPrefix: _statPrefix, ...rest } = match
  return JSON.stringify(rest)
}
