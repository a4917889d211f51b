/**
 * First match wins, at the speed of a radix tree. The tree prefers the longest entry, Istio the earliest rule; so each
 * entry of the tree carries, in the rules' order, all rules that could match a path that ends at this entry.
 *
 * A path ends at the entry that equals it, or else at the longest prefix entry that it begins with. Entries are the
 * exact paths, the prefixes and the certain beginnings of regular expressions of the rules, and `/`. That every rule's
 * own beginning is an entry is what makes the lists short: at prefix P only rules whose beginning is a prefix of P can
 * match, because a path that a longer beginning takes ends at a longer entry.
 */
import type { TextTest } from '../filters/string-match.ts'
import type { PathMatch } from '../plan/route.ts'
import { literalPrefix } from './literal-prefix.ts'
import { toLowerAscii } from './match.ts'

/**
 * A rule that may match, as `index * 2`, plus 1 where the entry does not prove the rule's path and it must be tested.
 * One small integer each, because a host with many rules has many of them.
 */
export type Candidate = number

export function candidateRoute(candidate: Candidate): number {
  return candidate >> 1
}

export function candidateNeedsPathTest(candidate: Candidate): boolean {
  return (candidate & 1) === 1
}

/** What is asked of a rule here. */
export interface CandidateRule {
  readonly path: PathMatch
  /** The compiled path. */
  readonly matchesPath: TextTest
  /** False: the rule matches every request with its path, so no rule after it can be reached. */
  readonly conditional: boolean
}

export interface RouterEntry {
  /** `exact`: the path itself. `prefix`: every path that begins with it, it included. */
  readonly kind: 'exact' | 'prefix'
  /** Begins with `/`. */
  readonly path: string
  /** Equal lists are the same array. */
  readonly candidates: readonly Candidate[]
}

export interface CandidateTable {
  /** Ends with the prefix `/`; none is there twice. */
  readonly entries: readonly RouterEntry[]
  /** Right for every path, and the only one for a path that does not begin with `/` (`OPTIONS *`). */
  readonly everything: readonly Candidate[]
}

/**
 * Steps (comparisons, about) that a table may cost, which bounds its time (well under a second) and its memory (a candidate is a step).
 * Reasonable rules need a few steps each. Where they run out, because thousands of rules with conditions or regular
 * expressions lie over thousands of paths, the entries that are left get `everything`: right, but a plain list.
 */
const MAX_STEPS = 3_000_000
/** What evaluating a regular expression counts. */
const REGEX_STEPS = 20

export function buildCandidates(rules: readonly CandidateRule[], maxSteps = MAX_STEPS): CandidateTable {
  const everything = listEverything(rules)
  const { exact, anchored } = anchorRules(rules)
  const entries: RouterEntry[] = []
  const shared = new Map<string, readonly Candidate[]>([[everything.join(), everything]])
  // Sorted, everything that begins with a prefix follows it without a gap: the prefixes of an entry are a stack.
  const ancestors: string[] = []
  const budget = { steps: maxSteps }
  for (const path of [...new Set([...exact.keys(), ...anchored.keys()])].sort()) {
    while (ancestors.length > 0 && !path.startsWith(ancestors.at(-1)!)) ancestors.pop()
    const isPrefix = anchored.has(path)
    if (isPrefix) ancestors.push(path)
    const lists = ancestors.map((prefix) => anchored.get(prefix)!)
    if (exact.has(path)) {
      const candidates = select(rules, [...lists, exact.get(path)!], 'exact', path, budget)
      entries.push({ kind: 'exact', path, candidates: share(shared, candidates ?? everything) })
    }
    if (isPrefix) {
      const candidates = select(rules, lists, 'prefix', path, budget)
      entries.push({ kind: 'prefix', path, candidates: share(shared, candidates ?? everything) })
    }
  }
  return { entries, everything }
}

/** Rules by the path or the beginning that a path must have for them. Both hold ascending indices. */
function anchorRules(rules: readonly CandidateRule[]): {
  exact: Map<string, number[]>
  anchored: Map<string, number[]>
} {
  const exact = new Map<string, number[]>()
  const anchored = new Map<string, number[]>([['/', []]])
  for (const [index, { path }] of rules.entries()) {
    const isExact = path.kind === 'exact' && !path.ignoreCase
    const anchor = isExact ? path.path : beginning(path)
    // What begins with something else cannot match here, as every path begins with `/`.
    if (!anchor.startsWith('/')) continue
    const anchors = isExact ? exact : anchored
    const indices = anchors.get(anchor)
    if (indices === undefined) anchors.set(anchor, [index])
    else indices.push(index)
  }
  return { exact, anchored }
}

/** Case-sensitive text that a path must begin with, if it begins with `/` at all. */
function beginning(path: PathMatch): string {
  switch (path.kind) {
    case 'any':
    case 'exact':
      return '/'
    case 'prefix':
      return path.ignoreCase || path.prefix === '' ? '/' : path.prefix
    case 'regex':
      return literalPrefix(path.regex) || '/'
    default:
      return path satisfies never
  }
}

/** @returns The candidates of one entry, or null where the budget ran out. */
function select(
  rules: readonly CandidateRule[],
  lists: readonly (readonly number[])[],
  kind: RouterEntry['kind'],
  path: string,
  budget: { steps: number },
): Candidate[] | null {
  const candidates: Candidate[] = []
  for (const index of merge(lists)) {
    const rule = rules[index]!
    budget.steps -= lists.length + (rule.path.kind === 'regex' && kind === 'exact' ? REGEX_STEPS : 0)
    if (budget.steps < 0) return null
    const verdict = kind === 'exact' ? rule.matchesPath(path) : judgePrefix(rule.path, path)
    if (verdict === false) continue
    candidates.push(index * 2 + (verdict === true ? 0 : 1))
    if (verdict === true && !rule.conditional) break
  }
  return candidates
}

/**
 * What is known of a rule's path test for paths that begin with `prefix` and end at its entry, where the rule's own
 * beginning is a prefix of `prefix`.
 */
function judgePrefix(path: PathMatch, prefix: string): boolean | 'unknown' {
  switch (path.kind) {
    case 'any':
      return true
    case 'prefix':
      if (!path.ignoreCase) return true
      return judgeFolded(toLowerAscii(path.prefix), toLowerAscii(prefix), true)
    case 'exact':
      return judgeFolded(toLowerAscii(path.path), toLowerAscii(prefix), false)
    case 'regex':
      return 'unknown'
    default:
      return path satisfies never
  }
}

/** Without case a rule's path says nothing about the entries that it is reached by, so both directions are looked at. */
function judgeFolded(rule: string, prefix: string, rest: boolean): boolean | 'unknown' {
  if (rest && prefix.startsWith(rule)) return true
  return rule.startsWith(prefix) ? 'unknown' : false
}

/** All indices of ascending lists in ascending order, one at a time: most readers stop early. */
function* merge(lists: readonly (readonly number[])[]): Generator<number> {
  const positions = lists.map(() => 0)
  while (true) {
    let next = -1
    for (let list = 0; list < lists.length; list++) {
      const index = lists[list]![positions[list]!]
      if (index !== undefined && (next === -1 || index < lists[next]![positions[next]!]!)) next = list
    }
    if (next === -1) return
    yield lists[next]![positions[next]!++]!
  }
}

function listEverything(rules: readonly CandidateRule[]): Candidate[] {
  const candidates: Candidate[] = []
  for (const [index, { path, conditional }] of rules.entries()) {
    candidates.push(path.kind === 'any' ? index * 2 : index * 2 + 1)
    if (path.kind === 'any' && !conditional) break
  }
  return candidates
}

function share(lists: Map<string, readonly Candidate[]>, candidates: readonly Candidate[]): readonly Candidate[] {
  const key = candidates.join()
  const known = lists.get(key)
  if (known !== undefined) return known
  lists.set(key, candidates)
  return candidates
}
