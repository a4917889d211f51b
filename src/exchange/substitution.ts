/**
 * Envoy's substitution format strings (`envoy: docs/root/configuration/observability/access_log/usage`): text with
 * command operators such as `%REQ(X-REQUEST-ID)%` in it, compiled once into closures. `%%` is a percent sign.
 *
 * A log line shows `-` where there is nothing to tell, a header nothing, JSON `null`.
 */
import { bytesToHeaderValue, escapeText, quoteJson, textToHeaderValue } from './escape.ts'
import type { Exchange } from './exchange.ts'
import {
  OPERATORS,
  OPERATORS_WITH_LENGTH,
  OPERATORS_WITHOUT_VALUE,
  type FormatDependencies,
  type Operator,
  type Reader,
} from './operators.ts'

export type { FormatDependencies } from './operators.ts'

/**
 * Makes a text from an exchange.
 *
 * @param durationMs From the start of the request to the last byte out; -1 (or absent) while it is not over.
 * @param response Headers that `%RESP()%` reads; absent: those that went to the client.
 */
export type Format = (exchange: Exchange, durationMs?: number, response?: string[] | null) => string

export type Compiled =
  /** `constant`: the text, where it has no operators and is the same for every exchange; otherwise null. */
  | { readonly ok: true; readonly format: Format; readonly constant: string | null }
  | { readonly ok: false; readonly reason: string }

/** `log`: empty is `-`, and nothing can break the line. `header`: empty is empty, the value is fit for a header. */
export type FormatMode = 'log' | 'header'

type Piece = { readonly literal: string } | { readonly operator: Operator; readonly quoted: boolean }

const NOTHING: FormatDependencies = { hostname: '', environment: {} }

/**
 * Compiles a format.
 *
 * @returns The format, or the reason why it is none: an operator that Envoy does not have either, a bad argument, a
 *   percent sign on its own. Operators that are Envoy's but have no value here are always empty.
 */
export function compileFormat(text: string, mode: FormatMode = 'log', deps: FormatDependencies = NOTHING): Compiled {
  const parsed = parseFormat(text, deps)
  if (!parsed.ok) return parsed
  const parts = parsed.pieces.map((piece) => (mode === 'log' ? logPart(piece) : headerPart(piece)))
  return joinParts(parts)
}

/**
 * Compiles a JSON access log format. A value that is one operator keeps its type: a number for numeric ones, null
 * where there is nothing to tell. Objects and lists may be nested; numbers, booleans and null stay as they are.
 *
 * @returns A format that gives the object on one line, without a newline; its keys keep their order.
 */
export function compileJsonFormat(value: unknown, deps: FormatDependencies = NOTHING): Compiled {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { ok: false, reason: 'a JSON access log format is an object' }
  const parts: Part[] = []
  const reason = collectJson(value, deps, parts)
  return reason === null ? joinParts(parts) : { ok: false, reason }
}

type Part = string | Reader<string>

/** One closure that joins the parts; neighbouring literals are one. */
function joinParts(parts: readonly Part[]): Compiled {
  const joined: Part[] = []
  for (const part of parts) {
    const last = joined.at(-1)
    if (typeof part === 'string' && typeof last === 'string') joined[joined.length - 1] = last + part
    else joined.push(part)
  }
  if (joined.every((part) => typeof part === 'string')) {
    const constant = joined.join('')
    return { ok: true, format: () => constant, constant }
  }
  const format: Format = (exchange, durationMs = -1, response = exchange.responseHeaders) => {
    let text = ''
    for (const part of joined) text += typeof part === 'string' ? part : part(exchange, durationMs, response)
    return text
  }
  return { ok: true, format, constant: null }
}

function logPart(piece: Piece): Part {
  if ('literal' in piece) return piece.literal
  const { operator, quoted } = piece
  if (operator.kind === 'number') {
    const { read } = operator
    return (...facts) => {
      const value = read(...facts)
      return value < 0 ? '-' : String(value)
    }
  }
  const { read } = operator
  if (operator.kind === 'plain') return (...facts) => read(...facts) || '-'
  return (...facts) => escapeText(read(...facts), quoted) || '-'
}

function headerPart(piece: Piece): Part {
  if ('literal' in piece) return textToHeaderValue(piece.literal)
  const { operator } = piece
  if (operator.kind === 'number') {
    const { read } = operator
    return (...facts) => {
      const value = read(...facts)
      return value < 0 ? '' : String(value)
    }
  }
  const { read } = operator
  if (operator.kind === 'plain') return read
  const clean = operator.kind === 'bytes' ? bytesToHeaderValue : textToHeaderValue
  return (...facts) => clean(read(...facts))
}

/** Adds the parts of one JSON value. @returns Why it cannot be done, or null. */
function collectJson(value: unknown, deps: FormatDependencies, parts: Part[]): string | null {
  if (typeof value === 'string') return collectJsonText(value, deps, parts)
  if (typeof value !== 'object' || value === null) {
    parts.push(JSON.stringify(value) ?? 'null')
    return null
  }
  const isList = Array.isArray(value)
  parts.push(isList ? '[' : '{')
  for (const [index, [key, item]] of Object.entries(value).entries()) {
    parts.push(`${index === 0 ? '' : ','}${isList ? '' : `${JSON.stringify(key)}:`}`)
    const reason = collectJson(item, deps, parts)
    if (reason !== null) return reason
  }
  parts.push(isList ? ']' : '}')
  return null
}

function collectJsonText(text: string, deps: FormatDependencies, parts: Part[]): string | null {
  const parsed = parseFormat(text, deps)
  if (!parsed.ok) return parsed.reason
  const [only] = parsed.pieces
  if (parsed.pieces.length === 1 && only !== undefined && 'operator' in only) {
    parts.push(jsonPart(only.operator))
    return null
  }
  parts.push('"')
  for (const piece of parsed.pieces) {
    if ('literal' in piece) parts.push(JSON.stringify(piece.literal).slice(1, -1))
    else parts.push(jsonTextPart(piece.operator))
  }
  parts.push('"')
  return null
}

/** An operator that is a whole value. */
function jsonPart(operator: Operator): Reader<string> {
  if (operator.kind === 'number') {
    const { read } = operator
    return (...facts) => {
      const value = read(...facts)
      return value < 0 ? 'null' : String(value)
    }
  }
  const { read } = operator
  const bytes = operator.kind === 'bytes'
  return (...facts) => {
    const value = read(...facts)
    return value === '' ? 'null' : quoteJson(value, bytes)
  }
}

/** An operator with text around it: within a JSON string empty is `-`, as in a line. */
function jsonTextPart(operator: Operator): Reader<string> {
  const whole = jsonPart(operator)
  return (...facts) => {
    const value = whole(...facts)
    return value === 'null' ? '-' : value.startsWith('"') ? value.slice(1, -1) : value
  }
}

type Parsed = { readonly ok: true; readonly pieces: Piece[] } | { readonly ok: false; readonly reason: string }

function parseFormat(text: string, deps: FormatDependencies): Parsed {
  const pieces: Piece[] = []
  let literal = ''
  let quotes = 0
  for (let at = 0; at < text.length;) {
    const percent = text.indexOf('%', at)
    const plain = text.slice(at, percent === -1 ? undefined : percent)
    literal += plain
    for (const character of plain) if (character === '"') quotes += 1
    if (percent === -1) break
    if (text[percent + 1] === '%') {
      literal += '%'
      at = percent + 2
      continue
    }
    const found = readOperator(text, percent)
    if (found === null)
      return { ok: false, reason: `"%" at character ${percent + 1} begins no operator; a percent sign is written "%%"` }
    const operator = makeOperator(found, deps)
    if (typeof operator === 'string') return { ok: false, reason: operator }
    if (literal !== '') pieces.push({ literal })
    literal = ''
    pieces.push({ operator, quoted: quotes % 2 === 1 })
    at = found.end
  }
  if (literal !== '') pieces.push({ literal })
  return { ok: true, pieces }
}

interface FoundOperator {
  readonly name: string
  readonly argument: string | undefined
  readonly length: number | undefined
  /** Position after its closing percent sign. */
  readonly end: number
}

const NAME = /[A-Z][A-Z0-9_]*/y
const REST = /(?::(\d{1,9}))?%/y

/** Reads `%NAME%`, `%NAME(ARGUMENT)%` or `%NAME(ARGUMENT):LENGTH%`; null: there is none at `start`. */
function readOperator(text: string, start: number): FoundOperator | null {
  NAME.lastIndex = start + 1
  const name = NAME.exec(text)?.[0]
  if (name === undefined) return null
  let at = start + 1 + name.length
  if (text[at] !== '(') return readRest(text, at, name, undefined)
  // An argument may hold percent signs and parentheses of its own (strftime, CEL): it ends at the first `)` that an
  // operator can end with.
  const begin = at + 1
  for (at = text.indexOf(')', begin); at !== -1; at = text.indexOf(')', at + 1)) {
    const found = readRest(text, at + 1, name, text.slice(begin, at))
    if (found !== null) return found
  }
  return null
}

function readRest(text: string, at: number, name: string, argument: string | undefined): FoundOperator | null {
  REST.lastIndex = at
  const rest = REST.exec(text)
  if (rest === null) return null
  return { name, argument, length: rest[1] === undefined ? undefined : Number(rest[1]), end: REST.lastIndex }
}

function makeOperator(found: FoundOperator, deps: FormatDependencies): Operator | string {
  const { name, argument, length } = found
  if (length !== undefined && !OPERATORS_WITH_LENGTH.has(name)) return `%${name}%: it takes no length`
  if (OPERATORS_WITHOUT_VALUE.has(name)) return { kind: 'plain', read: () => '' }
  const make = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined
  if (make === undefined) return `there is no operator %${name}%`
  const operator = make(argument, deps)
  if (typeof operator === 'string') return `%${name}%: ${operator}`
  if (length === undefined || operator.kind === 'number') return operator
  const { kind, read } = operator
  return { kind, read: (...facts) => read(...facts).slice(0, length) }
}
