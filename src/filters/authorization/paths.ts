/**
 * Tests of paths: plain values, and templates such as `/users/{*}/orders` and `/files/{**}`.
 *
 * Source: envoy: source/extensions/path/uri_template_lib. Its expressions know no `=` and no `*` within a `{*}`; here it
 * is any segment, as a rule that denies must not be passed by with a character.
 */
import type { PathTemplate, ValueMatch } from '../../plan/authorization.ts'
import { compileValues, type TextTest } from './values.ts'

export function compilePaths(values: readonly (ValueMatch | PathTemplate)[]): TextTest {
  const plain: ValueMatch[] = []
  const templates: TextTest[] = []
  for (const value of values) {
    if (value.kind === 'template') templates.push(compileTemplate(value))
    else plain.push(value)
  }
  if (templates.length === 0) return compileValues(plain)
  const test = compileValues(plain)
  return (path) => test(path) || templates.some((template) => template(path))
}

/** Every `{*}` ends at the next slash, so there is one way to match and nothing to try again. */
function compileTemplate({ literals, rest }: PathTemplate): TextTest {
  return (path) => {
    let at = 0
    for (let index = 0; index < literals.length; index++) {
      if (index > 0) {
        const slash = path.indexOf('/', at)
        const end = slash === -1 ? path.length : slash
        if (end === at) return false
        at = end
      }
      const literal = literals[index]!
      if (!path.startsWith(literal, at)) return false
      at += literal.length
    }
    if (rest === null) return at === path.length
    return path.length - at >= rest.length && path.endsWith(rest)
  }
}
