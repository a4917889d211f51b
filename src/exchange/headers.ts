/**
 * Headers as one flat list `[name, value, name, value, …]`, names in lower case, in the order they go out: what Node's
 * parser gives and what its writer takes, so nothing is built that is only read once. A list is short; a scan over it
 * is faster than any map.
 */
export type HeaderList = string[]

/** The value of `name` (lower case); several lines are joined by `,` as Envoy does for matching. */
export function headerValue(headers: readonly string[], name: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) value = value === undefined ? headers[i + 1] : `${value},${headers[i + 1]}`
  }
  return value
}

export function hasHeader(headers: readonly string[], name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true
  return false
}

/** Removes every line of `name`, in place. */
export function removeHeader(headers: HeaderList, name: string): void {
  let kept = 0
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) continue
    if (kept !== i) {
      headers[kept] = headers[i]!
      headers[kept + 1] = headers[i + 1]!
    }
    kept += 2
  }
  headers.length = kept
}

/** Replaces every line of `name` by one, at the place of the first, or adds it at the end. */
export function setHeader(headers: HeaderList, name: string, value: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue
    headers[i + 1] = value
    let kept = i + 2
    for (let j = i + 2; j < headers.length; j += 2) {
      if (headers[j] === name) continue
      headers[kept] = headers[j]!
      headers[kept + 1] = headers[j + 1]!
      kept += 2
    }
    headers.length = kept
    return
  }
  headers.push(name, value)
}

export function addHeader(headers: HeaderList, name: string, value: string): void {
  headers.push(name, value)
}
