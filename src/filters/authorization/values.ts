/** Tests of texts in the forms that AuthorizationPolicies write them: exact, prefix, suffix, or present. */
import type { ValueMatch } from '../../plan/authorization.ts'

export type TextTest = (text: string) => boolean

/** @returns True for a text that one of the values matches. `*` matches every text but the empty one. */
export function compileValues(values: readonly ValueMatch[]): TextTest {
  const exact = new Set<string>()
  const prefixes: string[] = []
  const suffixes: string[] = []
  let isPresentEnough = false
  for (const match of values) {
    if (match.kind === 'present') isPresentEnough = true
    else if (match.kind === 'exact') exact.add(match.value)
    else if (match.kind === 'prefix') prefixes.push(match.value)
    else suffixes.push(match.value)
  }
  if (isPresentEnough && !exact.has('')) return (text) => text !== ''
  if (!isPresentEnough && exact.size + prefixes.length + suffixes.length === 1)
    return compileOne(exact, prefixes, suffixes)
  return (text) => {
    if (exact.has(text)) return true
    for (const prefix of prefixes) if (text.startsWith(prefix)) return true
    for (const suffix of suffixes) if (text.endsWith(suffix)) return true
    return isPresentEnough && text !== ''
  }
}

/** Most rules have one value: there is nothing to look up then. */
function compileOne(exact: ReadonlySet<string>, [prefix]: readonly string[], [suffix]: readonly string[]): TextTest {
  if (prefix !== undefined) return (text) => text.startsWith(prefix)
  if (suffix !== undefined) return (text) => text.endsWith(suffix)
  const [only] = exact
  return (text) => text === only
}
