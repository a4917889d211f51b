/**
 * Values of requests and responses made safe for one line of a log or one header. What peers send is bytes: Node hands
 * header values and paths over as one character a byte (latin1), whatever encoding their sender had in mind.
 */

const NOT_PLAIN = /[^\x20-\x7e]/
const NOT_PLAIN_OR_QUOTE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const NOT_PLAIN_ALL = /[^\x20-\x7e]/g
const NOT_PLAIN_OR_QUOTE_ALL = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g
const NEEDS_JSON_ESCAPE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const ABOVE_ASCII = /[^\x00-\x7f]/
const NOT_IN_HEADERS = /[\x00-\x08\x0a-\x1f\x7f]/g

/**
 * A value as it stands in a text log line: control characters and bytes above ASCII become `\n`, `\r`, `\t` or `\xNN`,
 * so that no client can begin a line of its own. `quoted`: the item stands between `"`, so `"` and `\` are escaped too.
 */
export function escapeText(value: string, quoted: boolean): string {
  if (quoted) return NOT_PLAIN_OR_QUOTE.test(value) ? value.replace(NOT_PLAIN_OR_QUOTE_ALL, escapeCharacter) : value
  return NOT_PLAIN.test(value) ? value.replace(NOT_PLAIN_ALL, escapeCharacter) : value
}

/** A JSON string. `bytes`: `value` is bytes as characters, read as UTF-8 here; what is not UTF-8 becomes U+FFFD. */
export function quoteJson(value: string, bytes: boolean): string {
  if (!NEEDS_JSON_ESCAPE.test(value)) return `"${value}"`
  if (bytes && ABOVE_ASCII.test(value)) return JSON.stringify(Buffer.from(value, 'latin1').toString('utf8'))
  return JSON.stringify(value)
}

/** Text from configuration as header bytes: UTF-8, one character a byte, without control characters but tab. */
export function textToHeaderValue(text: string): string {
  const bytes = ABOVE_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text
  return bytesToHeaderValue(bytes)
}

/** A value that a peer sent, for use in another header. */
export function bytesToHeaderValue(bytes: string): string {
  return bytes.replace(NOT_IN_HEADERS, '')
}

function escapeCharacter(character: string): string {
  switch (character) {
    case '"':
      return '\\"'
    case '\\':
      return '\\\\'
    case '\n':
      return '\\n'
    case '\r':
      return '\\r'
    case '\t':
      return '\\t'
    default: {
      const code = character.charCodeAt(0)
      // U+2028 and U+2029 end a line for some readers; other text above latin1 comes from configuration only.
      if (code === 0x2028 || code === 0x2029) return `\\u${code.toString(16)}`
      return code > 0xff ? character : `\\x${code.toString(16).padStart(2, '0')}`
    }
  }
}
