/**
 * Copies of configuration without what nobody may read there. The rules go by shape as well as by name: a secret that
 * a later part of the plan brings along under a new name must not appear either.
 */

const REDACTED = '[redacted]'

/** Keys whose values are secrets, whatever they hold. A name or a path of one (`privateKeyFile`) is none. */
const SECRET_KEY =
  /^(private_?key|secret|client_?secret|password|passphrase|token|access_?key|api_?key|hmac_?key|jwks)$/i
const PRIVATE_KEY_TEXT = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/
/** A password in a URL: between the first colon and the last `@` before the path. */
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*):[^\s/?#]*@/gi
/** Headers whose values let their bearer in. */
const SECRET_HEADER = /^(authorization|proxy-authorization|cookie|set-cookie|x-api-key|x-auth-token|x-goog-api-key)$/i

/** A deep copy of plain data for printing. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return redactList(value)
  const copy: Record<string, unknown> = {}
  const isHeader = 'name' in value && isSecretHeader(value.name)
  for (const [key, item] of Object.entries(value)) {
    if (SECRET_KEY.test(key) && item !== null) copy[key] = REDACTED
    // Names only, no pairs of name and value.
    else if (key === 'remove') copy[key] = item
    // What a rule compares such a header with is as good as the header.
    else if (isHeader && key === 'match') copy[key] = redactMatch(item)
    else if (isHeader && key === 'values' && Array.isArray(item)) copy[key] = item.map(redactMatch)
    else copy[key] = redact(item)
  }
  return copy
}

/** Header operations are lists of `[name, value]`. */
function redactList(list: readonly unknown[]): unknown[] {
  if (list.length === 2 && isSecretHeader(list[0]) && typeof list[1] === 'string') return [list[0], REDACTED]
  return list.map(redact)
}

function redactMatch(match: unknown): unknown {
  if (typeof match !== 'object' || match === null || !('value' in match)) return redact(match)
  return { ...match, value: REDACTED }
}

function redactText(text: string): string {
  if (PRIVATE_KEY_TEXT.test(text)) return REDACTED
  return text.includes('://') ? text.replace(URL_PASSWORD, `$1:${REDACTED}@`) : text
}

function isSecretHeader(name: unknown): boolean {
  return typeof name === 'string' && SECRET_HEADER.test(name)
}
