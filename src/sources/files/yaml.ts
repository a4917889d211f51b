/**
 * From the text of a file to its objects.
 *
 * A text of several documents is split at its `---` lines, and each part is read by itself: a mistake in one does not
 * harm its neighbours, and a part whose text did not change since the last time is not read again.
 */
import { CORE_SCHEMA, loadAll, mergeTag, YAMLException } from 'js-yaml'
import { parseObject, type ParseResult } from '../../resources/parse.ts'
import { isObject } from '../../resources/schema-check.ts'
import type { Problem } from '../../resources/findings.ts'

/** One object in a file, and where it is. */
export interface FileDocument {
  readonly result: ParseResult
  /** Position of the part of the text that it is in. */
  readonly part: number
  /** Position among the YAML documents of that part; 0 but for texts that cannot be split. */
  readonly document: number
  /** Pointer from that document to the object: empty, or `/items/3` in a List. */
  readonly pointer: string
}

export interface ParsedText {
  readonly documents: readonly FileDocument[]
  /** Parts of the text that are no YAML. `line` is within the part, from 1. */
  readonly failures: readonly PartFailure[]
  /** The parts that the text was split into. */
  readonly parts: readonly string[]
  /** What was read of each part, for the next time. As many entries as there are parts. */
  readonly cache: PartCache
}

export interface PartFailure {
  readonly part: number
  readonly line: number
  readonly message: string
}

export type PartCache = ReadonlyMap<string, ParsedPart>

interface ParsedPart {
  readonly objects: readonly { readonly result: ParseResult; readonly document: number; readonly pointer: string }[]
  readonly failure?: { readonly line: number; readonly message: string }
}

/** YAML 1.2, and `<<`, which YAML 1.1 had and people use. */
const SCHEMA = CORE_SCHEMA.withTags(mergeTag)

/** Aliases let a short text stand for a huge value; no document of this gateway comes near this many values. */
const MAX_VALUES = 500_000
const MAX_DEPTH = 100

/** @param before What the same file's last reading left as `cache`. */
export function parseText(text: string, before: PartCache = new Map()): ParsedText {
  const parts = splitDocuments(text.startsWith('\ufeff') ? text.slice(1) : text)
  const documents: FileDocument[] = []
  const failures: PartFailure[] = []
  const cache = new Map<string, ParsedPart>()
  for (const [index, part] of parts.entries()) {
    const parsed = cache.get(part) ?? before.get(part) ?? parsePart(part)
    cache.set(part, parsed)
    for (const object of parsed.objects) documents.push({ ...object, part: index })
    if (parsed.failure !== undefined) failures.push({ part: index, ...parsed.failure })
  }
  return { documents, failures, parts, cache }
}

/**
 * Splits before each line that begins with `---`: no content of a document can have one (YAML 1.2.2, section 9.1.2).
 * A text with directives (`%`) or document ends (`...`) stays whole: parts of it mean something else by themselves.
 */
export function splitDocuments(text: string): string[] {
  if (/^(?:%|\.\.\.(?:\s|$))/m.test(text)) return [text]
  const parts: string[] = []
  let start = 0
  for (let at = text.indexOf('\n---'); at !== -1; at = text.indexOf('\n---', at + 1)) {
    const next = text[at + 4]
    if (next !== undefined && next !== '\n' && next !== '\r' && next !== ' ' && next !== '\t') continue
    parts.push(text.slice(start, at + 1))
    start = at + 1
  }
  parts.push(text.slice(start))
  return parts
}

function parsePart(text: string): ParsedPart {
  let values: unknown[]
  try {
    values = loadAll(text, { schema: SCHEMA, maxDepth: MAX_DEPTH, maxAliases: 10_000 })
  } catch (error) {
    return { objects: [], failure: failureOf(error, text) }
  }
  const objects: { result: ParseResult; document: number; pointer: string }[] = []
  for (const [document, value] of values.entries()) {
    if (value === null || value === undefined) continue
    if (text.includes('&') && countValues(value) > MAX_VALUES) {
      return { objects: [], failure: { line: 1, message: `aliases make this more than ${MAX_VALUES} values` } }
    }
    for (const { item, pointer } of flatten(value)) {
      const result = parseObject(item)
      objects.push({ result: text.includes('&') ? result : withoutSlack(result), document, pointer })
    }
  }
  return { objects }
}

/**
 * The same resource in half the memory, and there may be ten thousand of them. Lists and objects that grew one entry at
 * a time have room for more, texts cut out of a file hold on to all of it; those that JSON is read into do not. Nothing
 * is lost: a resource is JSON. Not for texts with anchors, where one value may stand in many places.
 */
function withoutSlack(result: ParseResult): ParseResult {
  const { resource, identity } = result
  if (resource === undefined || identity === undefined) return result
  const copy = JSON.parse(JSON.stringify(resource)) as typeof resource
  return { ...result, resource: copy, identity: { ...identity, metadata: copy.metadata } }
}

function failureOf(error: unknown, text: string): { line: number; message: string } {
  if (!(error instanceof YAMLException)) return { line: 1, message: String(error) }
  const line = (error.mark?.line ?? 0) + 1
  // The parser's own words, and a word about what people most often have there.
  const tab = /^ *\t/.test(text.split('\n', line)[line - 1] ?? '')
  return { line, message: tab ? `${error.reason}; indent with blanks` : error.reason }
}

/** A `List` (or a `VirtualServiceList`, as `kubectl get -o yaml` prints) stands for its items. */
function flatten(value: unknown): { item: unknown; pointer: string }[] {
  const isList = isObject(value) && typeof value['kind'] === 'string' && value['kind'].endsWith('List')
  if (!isList || !Array.isArray(value['items'])) return [{ item: value, pointer: '' }]
  return value['items'].map((item: unknown, index) => ({ item, pointer: `/items/${index}` }))
}

/** Values with every alias followed, as far as {@link MAX_VALUES}. */
function countValues(root: unknown): number {
  const stack = [root]
  let count = 0
  while (stack.length > 0 && count <= MAX_VALUES) {
    const value = stack.pop()
    count++
    if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) stack.push(child)
  }
  return count
}

/** What stops a file from being read as far as it should be. */
export function syntaxProblem(source: string, line: number | undefined, message: string, remedy?: string): Problem {
  return {
    code: 'yaml/syntax',
    severity: 'error',
    origin: { kind: '', namespace: '', name: '', source, ...(line === undefined ? {} : { line }) },
    message,
    ...(remedy === undefined ? {} : { remedy }),
  }
}
