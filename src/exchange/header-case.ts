/**
 * Header names as whoever sent them wrote them, for peers that compare letter case although they must not: the gateway
 * itself knows names in lower case only.
 *
 * Source: envoy: source/extensions/http/header_formatters/preserve_case; istio `proxyHeaders.preserveHttp1HeaderCase`.
 */
import type { HeaderList } from './headers.ts'

/** Names by their lower case, in the spelling of their first line. */
export type Spelling = ReadonlyMap<string, string>

/** @param raw `[name, value, …]` as they came. */
export function spellingOf(raw: readonly string[]): Spelling {
  const spelling = new Map<string, string>()
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const lower = name.toLowerCase()
    if (!spelling.has(lower)) spelling.set(lower, name)
  }
  return spelling
}

/** @param head Status line and header lines of HTTP/1.1, as they came. */
export function spellingOfHead(head: string): Spelling {
  return spellingOf(
    head
      .split('\r\n')
      .slice(1)
      .flatMap((line) => [line.slice(0, line.indexOf(':')), '']),
  )
}

/** The headers with their names in that spelling, as a new list; others stay in lower case. */
export function spell(headers: readonly string[], spelling: Spelling): HeaderList {
  return headers.map((text, index) => (index % 2 === 0 ? (spelling.get(text) ?? text) : text))
}
