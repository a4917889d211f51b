/**
 * Tests of one text value, as matches of routes and origins of CORS policies use them.
 *
 * Source: envoy: source/common/common/matchers.cc (exact, prefix, and RE2 over the whole value).
 */
import { compileLinearRegex } from '../lib/linear-regex.ts'
import type { StringMatch } from '../plan/route.ts'

export type TextTest = (value: string) => boolean

/**
 * @returns The test, or null for an expression that is not RE2. Compiling the plan rejects those; where one gets here
 * all the same, nothing that depends on it may match, an inverted condition included.
 */
export function compileStringMatch(match: StringMatch): TextTest | null {
  switch (match.kind) {
    case 'exact': {
      const { value } = match
      return (text) => text === value
    }
    case 'prefix': {
      const { value } = match
      return (text) => text.startsWith(value)
    }
    case 'regex': {
      const regex = compileLinearRegex(match.value)
      return regex.ok ? (text) => regex.matches(text) : null
    }
    case 'present':
      return () => true
    default:
      return match satisfies never
  }
}
