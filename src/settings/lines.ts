/** Lines of keys in a YAML file. The reader that knows them is slow to load, so it is loaded only for a complaint. */

/** @returns For a path of keys, the line (from 1) of its last key that the file has; undefined where it has none. */
export async function linesOf(text: string): Promise<(path: readonly string[]) => number | undefined> {
  const { LineCounter, isMap, isPair, isScalar, parseDocument } = await import('yaml')
  const counter = new LineCounter()
  const { contents } = parseDocument(text, { lineCounter: counter })
  return (path) => {
    let node: unknown = contents
    let line: number | undefined
    for (const key of path) {
      if (!isMap(node)) return line
      const pair: unknown = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key)
      if (!isPair(pair) || !isScalar(pair.key) || pair.key.range == null) return line
      line = counter.linePos(pair.key.range[0]).line
      node = pair.value
    }
    return line
  }
}
