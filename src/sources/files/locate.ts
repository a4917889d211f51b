/**
 * Lines of values in a file. The parser that reads everything knows no positions and is much faster for it; where a
 * problem has to be shown, this reads that one document again with the parser that does.
 */
import { type Document, isMap, isPair, isSeq, LineCounter, type Node, type Pair, parseAllDocuments } from 'yaml'
import type { FileDocument } from './yaml.ts'

export interface Locator {
  /** Line in the file, from 1, of a pointer's value in a document; of its nearest parent where it has none. */
  locate(document: FileDocument, pointer: string): number
  /** Line in the file, from 1, at which a part begins. */
  startOf(part: number): number
}

/** A larger part (only a text that could not be split is) is not read again for a line: that would take seconds. */
const MAX_TEXT = 2 * 1024 * 1024

/** @param parts The text of a file as it was split. Only the part last asked about is held with its positions. */
export function createLocator(parts: readonly string[]): Locator {
  let starts: readonly number[] | undefined
  let last: { readonly part: number; readonly documents: readonly Document[]; readonly lines: LineCounter } | undefined

  function startOf(part: number): number {
    starts ??= startLines(parts)
    return starts[part] ?? 1
  }

  function parsed(part: number) {
    if (last?.part === part) return last
    const lines = new LineCounter()
    const text = parts[part] ?? ''
    const documents =
      text.length > MAX_TEXT
        ? []
        : parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' })
    last = { part, documents: Array.isArray(documents) ? documents : [], lines }
    return last
  }

  return {
    startOf,
    locate({ part, document, pointer: base }, pointer) {
      try {
        const { documents, lines } = parsed(part)
        const found = documents[document]
        const offset = found === undefined ? undefined : offsetOf(found, `${base}${pointer}`)
        if (offset !== undefined) return startOf(part) + lines.linePos(offset).line - 1
      } catch {
        // The two parsers disagree about this text: the line at which the document begins has to do.
      }
      return startOf(part)
    },
  }
}

function startLines(parts: readonly string[]): number[] {
  const starts: number[] = []
  let line = 1
  for (const part of parts) {
    starts.push(line)
    for (let at = part.indexOf('\n'); at !== -1; at = part.indexOf('\n', at + 1)) line++
  }
  return starts
}

/** Where the key of the value begins, the item of a list, or for an empty pointer the first key of the object. */
function offsetOf(document: Document, pointer: string): number | undefined {
  const tokens = pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  let node: unknown = document.contents
  let offset = start(node)
  for (const token of tokens) {
    const next = step(document, node, token)
    if (next === undefined) break
    node = next.value
    offset = next.offset ?? offset
  }
  return offset
}

function step(
  document: Document,
  node: unknown,
  token: string,
): { value: unknown; offset: number | undefined } | undefined {
  const target = resolve(document, node)
  if (isMap(target)) {
    const pair = target.items.find((item: Pair) => isPair(item) && keyText(item.key) === token)
    return pair === undefined ? undefined : { value: pair.value, offset: start(pair.key) }
  }
  if (isSeq(target)) {
    const item = target.items[Number(token)]
    return item === undefined ? undefined : { value: item, offset: start(item) }
  }
  return undefined
}

function resolve(document: Document, node: unknown): unknown {
  const isAlias = typeof node === 'object' && node !== null && 'source' in node && 'resolve' in node
  return isAlias ? (node as { resolve(document: Document): unknown }).resolve(document) : node
}

function keyText(key: unknown): string {
  return typeof key === 'object' && key !== null && 'value' in key ? String(key.value) : String(key)
}

function start(node: unknown): number | undefined {
  const range = (node as Node | null)?.range
  return range?.[0]
}
