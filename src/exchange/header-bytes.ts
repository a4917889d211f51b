/**
 * Header values for Node's HTTP/2, which writes text as UTF-8 where HTTP/1.1 writes a byte a character. Values are held
 * as bytes, one a character, however they came.
 */
const ASCII = /^[\x00-\x7f]*$/
const REPLACEMENT = '\ufffd'

/** @returns The text that Node writes as the bytes of `value`; bytes that are no UTF-8 are taken for Latin-1. */
export function toHttp2Text(value: string): string {
  if (ASCII.test(value)) return value
  const text = Buffer.from(value, 'latin1').toString()
  return text.includes(REPLACEMENT) ? value : text
}
