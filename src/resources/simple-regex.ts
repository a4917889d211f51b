/**
 * Regular expressions that are plainly well-formed, told without RE2's engine: compiling takes it tens of
 * microseconds, and a configuration with ten thousand VirtualServices has tens of thousands of expressions, nearly all
 * of them like `/items/[0-9]+` or `/v(1|2)/.*`.
 *
 * What it does not know is left to the engine, so it may be narrow; it must never take what the engine refuses.
 */
import { MAX_PATTERN_LENGTH } from '../lib/linear-regex.ts'

// No two alternatives begin with the same character, so this is matched without trying again.
const ATOM = String.raw`(?:[A-Za-z0-9 !"#%&',/:;<=>@_~-]|\\[-.+*?()[\]{}|^$\\/dwsDWS]|\.|\[\^?(?:a-z|A-Z|0-9|[A-Za-z0-9_.%~])+-?\])`
const REPEAT = String.raw`(?:[*+?]\??)?`
const TERM = `${ATOM}${REPEAT}`
const GROUP = String.raw`\((?:\?:)?(?:${TERM})+(?:\|(?:${TERM})+)*\)${REPEAT}`
const SEQUENCE = `(?:${TERM}|${GROUP})+`
const SIMPLE = new RegExp(String.raw`^\^?${SEQUENCE}(?:\|${SEQUENCE})*\$?$`)

/** @returns The capturing groups of an expression that RE2 certainly takes, or undefined: ask the engine. */
export function groupsOfSimpleRegex(pattern: string): number | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH || !SIMPLE.test(pattern)) return undefined
  if (!pattern.includes('(')) return 0
  return pattern.replaceAll(/\\./g, 'x').match(/\((?!\?)/g)?.length ?? 0
}
