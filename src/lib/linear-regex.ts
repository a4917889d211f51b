/**
 * Regular expressions in RE2's syntax, matched in linear time whatever the text: expressions come from resources,
 * texts from clients, and an engine that backtracks would let either stop the gateway.
 *
 * Most expressions that people write in routes are plain text around one `.*`; those are answered without the engine.
 */
import { RE2JS } from 're2js'

/** Istio's limit (`pkg/config/validation`, `validateStringMatchRegexp`). */
export const MAX_PATTERN_LENGTH = 1024

export type LinearRegex =
  | {
      readonly ok: true
      /** Capturing groups in the pattern. */
      readonly groups: number
      /** Whether the whole text matches. */
      matches(text: string): boolean
      /**
       * Replaces every match in the text, wherever it stands, as RE2's `GlobalReplace` does: `\0` is the match, `\1`
       * to `\9` its groups, `\\` a backslash. An empty match right behind another match is not replaced.
       */
      replaceAll(text: string, substitution: string): string
    }
  | { readonly ok: false; readonly reason: string }

/** Compiles a pattern; `ok: false` says in the engine's words what is wrong with it. */
export function compileLinearRegex(pattern: string): LinearRegex {
  if (pattern === '') return { ok: false, reason: 'an empty pattern' }
  if (pattern.length > MAX_PATTERN_LENGTH) {
    return { ok: false, reason: `longer than ${MAX_PATTERN_LENGTH} characters` }
  }
  const fast = compileFast(pattern)
  let engine: RE2JS | undefined
  if (fast === undefined) {
    try {
      engine = RE2JS.compile(pattern)
    } catch (error) {
      return { ok: false, reason: reasonOf(error) }
    }
  }
  // A pattern with a fast path needs the engine for replacing alone, and is known to compile.
  const compiled = () => (engine ??= RE2JS.compile(pattern))
  return {
    ok: true,
    groups: engine?.groupCount() ?? 0,
    matches: fast ?? ((text) => compiled().testExact(text)),
    replaceAll: (text, substitution) => replaceAll(compiled(), text, substitution),
  }
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(/^error parsing regexp: /, '')
}

const PLAIN = /^[^\\^$.|?*+()[\]{}]*$/

/**
 * A test without the engine for patterns that are plain text, or plain text with one `.*` or `.+` in it; undefined for
 * all others. `^` at the start and `$` at the end mean nothing where the whole text has to match.
 */
function compileFast(pattern: string): ((text: string) => boolean) | undefined {
  const body = pattern.slice(pattern.startsWith('^') ? 1 : 0, pattern.endsWith('$') ? -1 : undefined)
  const dot = findDot(body)
  if (dot === -1) {
    const literal = unescape(body)
    return literal === undefined ? undefined : (text) => text === literal
  }
  const before = unescape(body.slice(0, dot))
  const after = unescape(body.slice(dot + 2))
  if (before === undefined || after === undefined) return undefined
  const shortest = before.length + after.length + (body[dot + 1] === '+' ? 1 : 0)
  return (text) =>
    text.length >= shortest &&
    text.startsWith(before) &&
    text.endsWith(after) &&
    // `.` is any character but a line feed.
    !text.slice(before.length, text.length - after.length).includes('\n')
}

/** Where `.*` or `.+` stands, not followed by `?`, or -1. */
function findDot(body: string): number {
  for (let at = 0; at < body.length; at++) {
    if (body[at] === '\\') at++
    else if (body[at] === '.' && (body[at + 1] === '*' || body[at + 1] === '+')) return at
  }
  return -1
}

/** The text that a pattern of plain characters and escaped punctuation stands for, or undefined for any other. */
function unescape(pattern: string): string | undefined {
  if (PLAIN.test(pattern)) return pattern
  const plain = pattern.replace(/\\([-\\^$.|?*+()[\]{}/])/g, '')
  return PLAIN.test(plain) ? pattern.replace(/\\(.)/g, '$1') : undefined
}

function replaceAll(engine: RE2JS, text: string, substitution: string): string {
  const matcher = engine.matcher(text)
  let result = ''
  let copied = 0
  let lastEnd = -1
  // At most one match for every position, and one behind the last.
  for (let from = 0; from <= text.length && matcher.find(from);) {
    const [start, end] = [matcher.start(), matcher.end()]
    if (start !== end || start !== lastEnd) {
      result += text.slice(copied, start) + expand(substitution, (group) => groupText(matcher, group))
      copied = end
      lastEnd = end
    }
    from = end > from ? end : from + 1
  }
  return result + text.slice(copied)
}

function groupText(matcher: ReturnType<RE2JS['matcher']>, group: number): string {
  return group <= matcher.groupCount() ? (matcher.group(group) ?? '') : ''
}

function expand(substitution: string, group: (index: number) => string): string {
  return substitution.includes('\\')
    ? substitution.replace(/\\([0-9\\])/g, (_, what: string) => (what === '\\' ? '\\' : group(Number(what))))
    : substitution
}
