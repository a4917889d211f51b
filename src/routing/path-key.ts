/**
 * The form in which paths are given to the radix router. It treats `:`, `*`, `?`, `#`, `;` and percent sequences as
 * syntax, and decodes; Istio compares the text as it is, and `/a%2Fb`, `/a/b` and `/a//b` are three paths. So every
 * character that could mean something is written as `~` and its code in hexadecimal, `~` itself included: two paths
 * have the same key only if they are the same, and a prefix's key is a prefix of the key.
 */

const PLAIN = /^[A-Za-z0-9/._-]*$/
const SPECIAL = /[^A-Za-z0-9/._-]/g

/** @returns A key of `[A-Za-z0-9/._~-]` only. Most paths are their own key, at the cost of one scan. */
export function pathKey(path: string): string {
  return PLAIN.test(path) ? path : path.replace(SPECIAL, encode)
}

/** Two digits up to 0xFF, else `u` (which is no digit) and four. */
function encode(character: string): string {
  const code = character.charCodeAt(0)
  return code <= 0xff ? `~${code.toString(16).padStart(2, '0')}` : `~u${code.toString(16).padStart(4, '0')}`
}
