/** Changes of query parameters that an authorizer asks for. */

interface QueryChanges {
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly remove: readonly string[]
}

/** What would end a query, or a parameter of it. A `%` stays: whoever sends one has encoded the text already. */
const UNSAFE = /[^\x21\x22\x24\x25\x27-\x7e]/gu
const UNSAFE_IN_NAME = /[^\x21\x22\x24\x25\x27-\x3c\x3e-\x7e]/gu

/**
 * Sets first, then removes, as Envoy does. Parameters that are not named stay as they are and where they are; one that
 * is set takes the place of the first of its name, and there is no other.
 *
 * @param query From `?` on, or empty.
 */
export function editQuery(query: string, { set, remove }: QueryChanges): string {
  let parameters = query.length > 1 ? query.slice(1).split('&') : []
  for (const [name, value] of set) {
    const parameter = `${encode(name, UNSAFE_IN_NAME)}=${encode(value, UNSAFE)}`
    const first = parameters.findIndex((present) => isNamed(present, name))
    if (first === -1) parameters.push(parameter)
    else parameters = parameters.filter((present, i) => i === first || !isNamed(present, name)).with(first, parameter)
  }
  for (const name of remove) parameters = parameters.filter((present) => !isNamed(present, name))
  return parameters.length === 0 ? '' : `?${parameters.join('&')}`
}

/** A name is meant in whichever way it is written: a parameter that is to go must not stay for being encoded. */
function isNamed(parameter: string, name: string): boolean {
  const end = parameter.indexOf('=')
  const written = end === -1 ? parameter : parameter.slice(0, end)
  return written === name || decode(written) === name
}

function encode(text: string, unsafe: RegExp): string {
  return text.replaceAll(unsafe, (character) => encodeURIComponent(character.isWellFormed() ? character : '\ufffd'))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
