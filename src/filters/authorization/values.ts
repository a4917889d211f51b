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
  if (exact.size === 1 && prefixes.length + suffixes.length === 0) {
    const [only] = exact
    return (text) => text === only
  }
  return (text) => {
    if (exact.has(text)) return true
    for (const prefix of prefixes) if (text.startsWith(prefix)) return true
    for (const suffix of suffixes) if (text.endsWith(suffix)) return true
    return isPresentEnough && text !== ''
  }
}
