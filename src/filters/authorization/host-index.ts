/**
 * Which rules could match a request for a host: rules that name hosts cost the requests for all other hosts nothing.
 * It only leaves out what cannot match; the rules themselves still compare what they compare.
 */
import type { AuthorizationRulePlan, ConditionPlan, ValueMatch } from '../../plan/authorization.ts'

/** @returns The rules that could match requests for this host (lower case, without its port), in their order. */
export type HostIndex<T> = (host: string) => readonly T[]

/** Hosts of a rule, each with what follows a `*` for a suffix; null: it could be any. */
interface Hosts {
  readonly exact: readonly string[]
  readonly suffixes: readonly string[]
}

/** @param rules Each with what is found in its place. */
export function indexByHost<T>(rules: readonly (readonly [AuthorizationRulePlan, T])[]): HostIndex<T> {
  const general: number[] = []
  const exact = new Map<string, number[]>()
  const suffixes = new Map<string, number[]>()
  for (const [index, [rule]] of rules.entries()) {
    const hosts = hostsOf(rule)
    if (hosts === null) general.push(index)
    for (const name of hosts?.exact ?? []) append(exact, name, index)
    for (const suffix of hosts?.suffixes ?? []) append(suffixes, suffix, index)
  }
  const pick = (indices: Iterable<number>): readonly T[] =>
    [...new Set(indices)].sort((a, b) => a - b).map((index) => rules[index]![1])
  const rest = pick(general)
  if (exact.size + suffixes.size === 0) return () => rest
  // Made when such a host is first asked for. Bound: keys are hosts and suffixes of the policies, not of clients.
  const known = new Map<string, readonly T[]>()
  const find = (key: string): readonly T[] => {
    let found = known.get(key)
    if (found === undefined) {
      const indices = suffixesOf(key, suffixes).flatMap((suffix) => suffixes.get(suffix)!)
      found = pick([...general, ...indices, ...(exact.get(key) ?? [])])
      known.set(key, found)
    }
    return found
  }
  const longest = Math.max(0, ...[...suffixes.keys()].map(({ length }) => length))
  return (host) => {
    if (exact.has(host)) return find(host)
    if (longest === 0) return rest
    // The longest suffix stands for the shorter ones, which it ends in.
    for (let dot = host.indexOf('.', host.length - longest); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      const suffix = host.slice(dot)
      if (suffixes.has(suffix)) return find(suffix)
    }
    return rest
  }
}

/** @returns Null where a request for any host could match. */
function hostsOf({ to }: AuthorizationRulePlan): Hosts | null {
  if (to.length === 0) return null
  const exact: string[] = []
  const suffixes: string[] = []
  for (const operation of to) {
    const values = operation.find(isHosts)?.values.map(hostOf)
    if (values === undefined) return null
    for (const host of values) {
      if (host === null) return null
      if (host.startsWith('.')) suffixes.push(host)
      else exact.push(host)
    }
  }
  return { exact, suffixes }
}

function isHosts(condition: ConditionPlan): condition is Extract<ConditionPlan, { kind: 'text' }> {
  return condition.kind === 'text' && condition.attribute === 'host' && !condition.not
}

/** The one host that the authorities have which a value matches, or the suffix of their hosts; null: neither. */
function hostOf(match: ValueMatch): string | null {
  if (match.kind === 'present') return null
  const value = match.value.toLowerCase()
  switch (match.kind) {
    case 'exact':
      return /^([^:[\]]+)(?::\d*)?$/.exec(value)?.[1] ?? null
    case 'prefix':
      return /^([^.:[\]][^:[\]]*):\d*$/.exec(value)?.[1] ?? null
    case 'suffix':
      return /^(\.[^:[\]]*[^:[\]\d])$/.exec(value)?.[1] ?? null
    default:
      return match satisfies never
  }
}

/** What of `suffixes` the key ends in, itself included. */
function suffixesOf(key: string, suffixes: ReadonlyMap<string, unknown>): string[] {
  const found: string[] = []
  for (let dot = key.indexOf('.'); dot !== -1; dot = key.indexOf('.', dot + 1)) {
    const suffix = key.slice(dot)
    if (suffixes.has(suffix)) found.push(suffix)
  }
  return found
}

function append(map: Map<string, number[]>, key: string, index: number): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [index])
  else list.push(index)
}
