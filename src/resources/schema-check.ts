/**
 * Says in users' words where a value does not fit a schema, and hands back a clean copy: without unknown fields and
 * without `null` (YAML users write `exportTo:` with nothing behind it and mean that it is absent).
 *
 * It runs only for values that the schema's compiled check has refused, so it is written for its messages.
 */
import type { TSchema } from 'typebox'
import { nearest } from '../lib/nearest.ts'
import { type Findings, pointerToken } from './findings.ts'
import { shorten } from './rules.ts'

/** What this file reads of a schema; `schema.ts` makes no others. */
interface SchemaNode {
  readonly '~kind'?: string
  readonly '~optional'?: boolean
  readonly title?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly additionalProperties?: unknown
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly enum?: readonly string[]
  readonly anyOf?: readonly SchemaNode[]
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
}

export interface SchemaCheckOptions {
  readonly findings: Findings
  /** Values are not shown (Secrets). */
  readonly redact: boolean
}

/** @returns The clean copy; it fits the schema where no error was reported. */
export function checkSchema(schema: TSchema, value: unknown, pointer: string, options: SchemaCheckOptions): unknown {
  return visit(schema as unknown as SchemaNode, value, pointer, options)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function visit(schema: SchemaNode, value: unknown, pointer: string, options: SchemaCheckOptions): unknown {
  switch (schema['~kind']) {
    case 'Object':
      return isObject(value) ? visitObject(schema, value, pointer, options) : wrongType(schema, value, pointer, options)
    case 'Record':
      return isObject(value) ? visitMap(schema, value, pointer, options) : wrongType(schema, value, pointer, options)
    case 'Array':
      return Array.isArray(value)
        ? value.map((item, index) => visit(schema.items ?? {}, item, `${pointer}/${index}`, options))
        : wrongType(schema, value, pointer, options)
    case 'Union': {
      const branch = (schema.anyOf ?? []).find((candidate) => sameShape(candidate, value))
      return branch === undefined ? wrongType(schema, value, pointer, options) : visit(branch, value, pointer, options)
    }
    case 'Enum':
      return schema.enum?.includes(value as string) ? value : wrongWord(schema, value, pointer, options)
    default:
      return fits(schema, value) ? value : wrongType(schema, value, pointer, options)
  }
}

function visitObject(
  schema: SchemaNode,
  value: Readonly<Record<string, unknown>>,
  pointer: string,
  options: SchemaCheckOptions,
): Record<string, unknown> {
  const properties = schema.properties ?? {}
  const clean: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined
    const at = `${pointer}/${pointerToken(key)}`
    if (property === undefined) {
      if (schema.additionalProperties === false) unknownField(key, at, Object.keys(properties), options)
    } else if (item !== null && item !== undefined) {
      clean[key] = visit(property, item, at, options)
    }
  }
  for (const key of schema.required ?? []) {
    if (clean[key] === undefined && (value[key] === null || value[key] === undefined)) {
      options.findings.error('schema/required', pointer, `"${key}" is missing`)
    }
  }
  return clean
}

function visitMap(
  schema: SchemaNode,
  value: Readonly<Record<string, unknown>>,
  pointer: string,
  options: SchemaCheckOptions,
): Record<string, unknown> {
  const item = Object.values(schema.patternProperties ?? {})[0] ?? {}
  const clean: Record<string, unknown> = {}
  for (const [key, entry] of Object.entries(value)) {
    const at = `${pointer}/${pointerToken(key)}`
    if (key === '__proto__') options.findings.error('schema/value', at, 'this name cannot be used as a key')
    else if (entry !== null || item['~kind'] === 'Object') clean[key] = visit(item, entry, at, options)
  }
  return clean
}

function sameShape(schema: SchemaNode, value: unknown): boolean {
  if (schema['~kind'] === 'Object') return isObject(value)
  return fits(schema, value)
}

function fits(schema: SchemaNode, value: unknown): boolean {
  switch (schema['~kind']) {
    case 'String':
      return typeof value === 'string' && (schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(value))
    case 'Boolean':
      return typeof value === 'boolean'
    case 'Integer':
    case 'Number':
      return (
        typeof value === 'number' &&
        (schema['~kind'] === 'Number' ? Number.isFinite(value) : Number.isInteger(value)) &&
        value >= (schema.minimum ?? -Infinity) &&
        value <= (schema.maximum ?? Infinity)
      )
    default:
      return true
  }
}

function unknownField(key: string, pointer: string, known: readonly string[], { findings }: SchemaCheckOptions): void {
  const meant = nearest(key, known)
  findings.warning('schema/unknown-field', pointer, `there is no field "${shorten(key)}" here; it has no effect`, {
    remedy: meant === undefined ? undefined : `Did you mean "${meant}"?`,
  })
}

function wrongWord(schema: SchemaNode, value: unknown, pointer: string, options: SchemaCheckOptions): undefined {
  const words = schema.enum ?? []
  const meant = typeof value === 'string' ? nearest(value, words) : undefined
  options.findings.error(
    'schema/type',
    pointer,
    `expected one of ${words.join(', ')}; found ${found(value, options)}`,
    { remedy: meant === undefined ? undefined : `Did you mean ${meant}?` },
  )
}

function wrongType(schema: SchemaNode, value: unknown, pointer: string, options: SchemaCheckOptions): undefined {
  const remedy = remedyFor(schema, value, options)
  options.findings.error('schema/type', pointer, `expected ${expected(schema)}, found ${found(value, options)}`, {
    remedy,
  })
}

function expected(schema: SchemaNode): string {
  if (schema.title !== undefined) return schema.title
  switch (schema['~kind']) {
    case 'Object':
    case 'Record':
      return 'fields ("name: value")'
    case 'Array':
      return 'a list'
    case 'Boolean':
      return 'true or false'
    case 'Number':
      return 'a number'
    case 'Integer':
      return schema.minimum === 0 ? 'a whole number, 0 or more' : 'a whole number'
    default:
      return 'a text'
  }
}

function found(value: unknown, { redact }: SchemaCheckOptions): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'fields'
  if (typeof value === 'string') return redact ? 'another text' : `the text "${shorten(value)}"`
  if (redact) return `a ${typeof value}`
  return typeof value === 'number' ? `the number ${value}` : value === true ? 'true' : 'false'
}

function remedyFor(schema: SchemaNode, value: unknown, { redact }: SchemaCheckOptions): string | undefined {
  if (redact) return schema['~kind'] === 'String' && typeof value !== 'object' ? 'Put it in quotes.' : undefined
  if (schema['~kind'] === 'String' && schema.pattern === undefined) {
    return typeof value === 'number' || typeof value === 'boolean' ? `Put it in quotes: "${value}".` : undefined
  }
  if (schema['~kind'] === 'String' && typeof value === 'number') return `Give it a unit: "${value}s", say.`
  if (schema['~kind'] === 'Array' && value !== undefined && !isObject(value)) return 'Begin each entry with "- ".'
  const readsAs = typeof value === 'string' && fits(schema, parseScalar(value)) && schema['~kind'] !== 'String'
  return readsAs ? 'Write it without quotes.' : undefined
}

function parseScalar(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?[0-9]+(?:\.[0-9]+)?$/.test(text) ? Number(text) : undefined
}
