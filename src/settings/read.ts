/**
 * Reads the levels of the settings: every field from the flag, the environment, the file or its default, in that order.
 * A mistake is an issue with an address; reading goes on, so that one run shows all of them.
 */
import type { Static } from 'typebox'
import { nearest } from '../lib/nearest.ts'
import { type Field, type Group, type GroupMap, isRecord } from './fields.ts'
import type { Given, SettingsIssue } from './issue.ts'
import { settingsSchema } from './schema.ts'

/** A value given as text outside the file, which wins over the file. */
export interface Override {
  /** Several texts: a flag that was repeated. */
  readonly text: string | readonly string[]
  readonly given: Given
}

export interface ReadInput {
  /** The parsed file; undefined where there is none, null where it is empty. */
  readonly document: unknown
  /** By dotted path. */
  readonly overrides: ReadonlyMap<string, Override>
}

export interface ReadResult {
  /** Meaningful only while no issue is an error: a field that cannot be read has its default. */
  readonly value: Static<typeof settingsSchema>
  readonly issues: readonly Pending[]
}

/** An issue whose line in the file is still to be found: that takes a second, slower reading of the file. */
export interface Pending extends Omit<SettingsIssue, 'given'> {
  readonly given: Given | { readonly kind: 'file' }
  /** Path of the key in the document that the issue is about. */
  readonly at: readonly string[]
}

/** One setting and where it stands in the schema. */
export interface Leaf {
  readonly path: readonly string[]
  readonly field: Field<unknown>
}

// Every level of the schema is made by `group` and `field`, which TypeBox's own types do not show.
type Node = Group<Record<string, never>> | GroupMap<Record<string, never>> | Field<unknown>

/** All settings in the order of the schema, without those below names that the user chooses. */
export function leaves(node: unknown = settingsSchema, path: readonly string[] = []): readonly Leaf[] {
  const known = node as Node
  if (isGroupMap(known)) return []
  if (!isGroup(known)) return [{ path, field: known }]
  return Object.entries(known.properties).flatMap(([key, child]) => leaves(child, [...path, key]))
}

export function isGroup(node: unknown): node is Group<Record<string, never>> {
  return isRecord(node) && 'group' in node
}

export function isGroupMap(node: unknown): node is GroupMap<Record<string, never>> {
  return isRecord(node) && 'groupMap' in node
}

export function readSettings({ document, overrides }: ReadInput): ReadResult {
  const issues: Pending[] = []
  const root = document ?? {}
  if (!isRecord(root)) {
    issues.push(inFile([], `expected settings such as "workers: 2", found ${describe(root)}.`))
  }
  const value = readGroup(
    settingsSchema as unknown as Group<Record<string, never>>,
    isRecord(root) ? root : {},
    [],
    false,
  )
  return { value: value as Static<typeof settingsSchema>, issues }

  function readGroup(
    { properties, group }: Group<Record<string, never>>,
    given: Readonly<Record<string, unknown>>,
    path: readonly string[],
    tolerant: boolean,
  ): Record<string, unknown> {
    const facts = { unused: group.unused, tolerant: tolerant || group.tolerant }
    checkNames(Object.keys(given), Object.keys(properties), facts, path)
    const result: Record<string, unknown> = {}
    for (const [key, child] of Object.entries(properties) as [string, Node][]) {
      const value = Object.hasOwn(given, key) ? given[key] : undefined
      const at = [...path, key]
      if (isGroup(child)) result[key] = readGroup(child, levelOf(value, at, child.group.shorthand), at, facts.tolerant)
      else if (isGroupMap(child)) result[key] = readGroupMap(child, levelOf(value, at, undefined), at, facts.tolerant)
      else result[key] = readField(child, value, at)
    }
    return result
  }

  function readGroupMap(
    { groupMap }: GroupMap<Record<string, never>>,
    given: Readonly<Record<string, unknown>>,
    path: readonly string[],
    tolerant: boolean,
  ): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(given)) {
      const at = [...path, name]
      const { level } = groupMap
      if (groupMap.isName(name))
        result[name] = readGroup(level, levelOf(value, at, level.group.shorthand), at, tolerant)
      else issues.push(inFile(at, `expected ${groupMap.expected}, found ${describe(name)}.`))
    }
    return result
  }

  function levelOf(
    value: unknown,
    at: readonly string[],
    shorthand: string | undefined,
  ): Readonly<Record<string, unknown>> {
    if (value === undefined || value === null) return {}
    if (isRecord(value)) return value
    if (shorthand !== undefined && !Array.isArray(value)) return { [shorthand]: value }
    issues.push(inFile(at, `expected fields, found ${describe(value)}.`))
    return {}
  }

  function readField({ setting }: Field<unknown>, value: unknown, at: readonly string[]): unknown {
    const override = overrides.get(at.join('.'))
    // A key with nothing after it reads as null in YAML: as if it was not there.
    if (override === undefined && (value === undefined || value === null)) return setting.default
    const reading = override === undefined ? setting.read(value, false) : setting.read(override.text, true)
    if (!reading.ok) {
      const found = setting.secret ? '' : `, found ${describe(override?.text ?? value)}`
      const message = `expected ${setting.expected}${found}.`
      issues.push(override === undefined ? inFile(at, message) : { ...inFile(at, message), given: override.given })
      return setting.default
    }
    if (!setting.served) {
      const message = 'has no effect in this version.'
      const issue: Pending = { ...inFile(at, message), severity: 'warning' }
      if (override !== undefined) issues.push({ ...issue, given: override.given })
      else if (!isDefault(setting.default, reading.value)) issues.push(issue)
    }
    return reading.value
  }

  function checkNames(
    given: readonly string[],
    known: readonly string[],
    { unused, tolerant }: { readonly unused: readonly string[]; readonly tolerant: boolean },
    path: readonly string[],
  ): void {
    for (const key of given) {
      if (known.includes(key)) continue
      const at = [...path, key]
      if (unused.includes(key)) {
        issues.push({ ...inFile(at, 'is known to Istio but has no meaning for this gateway.'), severity: 'warning' })
        continue
      }
      const near = nearest(key, [...known, ...unused])
      const hint = near === undefined ? {} : { remedy: `Did you mean "${near}"?` }
      issues.push({ ...inFile(at, 'there is no such setting.'), severity: tolerant ? 'warning' : 'error', ...hint })
    }
  }
}

function inFile(at: readonly string[], message: string): Pending {
  return { severity: 'error', given: { kind: 'file' }, path: at.join('.'), at, message }
}

/** Compared as JSON: defaults are plain data. */
function isDefault(fallback: unknown, value: unknown): boolean {
  return JSON.stringify(fallback) === JSON.stringify(value)
}

const MOST_SHOWN = 60

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (isRecord(value)) return 'an object'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}
