/** What every value that an expression matches must begin with, as far as that can be told by looking at its text. */

const PLAIN = /[A-Za-z0-9/_~!@%&=:;,'"<>#-]/
const ESCAPED = /[^A-Za-z0-9\s]/

/**
 * @param regex RE2, to match a whole value.
 * @returns The longest beginning that is certain; empty where nothing is. Never too long, perhaps too short.
 */
export function literalPrefix(regex: string): string {
  if (hasTopLevelAlternative(regex)) return ''
  let prefix = ''
  let at = regex.startsWith('^') ? 1 : 0
  while (at < regex.length) {
    let literal = regex[at]!
    if (literal === '\\') {
      literal = regex[at + 1] ?? ''
      if (!ESCAPED.test(literal) || literal > '~') return prefix
      at += 2
    } else if (PLAIN.test(literal)) {
      at += 1
    } else {
      return prefix
    }
    const next = regex[at]
    // A character that may be left out, or that a count follows, is not certain; after `+` it is, and what is next not.
    if (next === '*' || next === '?' || next === '{') return prefix
    prefix += literal
    if (next === '+') return prefix
  }
  return prefix
}

/** Also true where the text is too unusual to tell: then there is no certain beginning either. */
function hasTopLevelAlternative(regex: string): boolean {
  let depth = 0
  let inClass = false
  for (let at = 0; at < regex.length; at++) {
    const character = regex[at]
    if (character === '\\') {
      if (regex[at + 1] === 'Q') return true
      at++
    } else if (inClass) {
      if (character === '[' && regex[at + 1] === ':') return true
      if (character === ']') inClass = false
    } else if (character === '[') {
      inClass = true
      // A bracket that comes first, or first after `^`, is a member and not the end.
      if (regex[at + 1] === '^') at++
      if (regex[at + 1] === ']') at++
    } else if (character === '(') {
      depth++
    } else if (character === ')') {
      depth--
    } else if (character === '|' && depth <= 0) {
      return true
    }
  }
  return depth !== 0 || inClass
}
