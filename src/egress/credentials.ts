/**
 * Credentials for the proxy itself, `Proxy-Authorization` (RFC 9110 §11.7.2): a token as `Bearer`, or as the password of
 * `Basic`, which is what nearly every client can send (`http://token:JWT@proxy:3128`).
 */
import { headerValue, type HeaderList, removeHeader } from '../exchange/headers.ts'

export const PROXY_AUTHORIZATION = 'proxy-authorization'

/** Takes the credentials out of a request. @returns The header's value, `Basic` made into `Bearer`; null: none. */
export function takeCredentials(headers: HeaderList): string | null {
  const value = headerValue(headers, PROXY_AUTHORIZATION)
  if (value === undefined) return null
  removeHeader(headers, PROXY_AUTHORIZATION)
  return asBearer(value)
}

function asBearer(value: string): string {
  const basic = /^basic +([A-Za-z0-9+/_=-]+) *$/i.exec(value)
  if (basic === null) return value.replace(/^bearer +/i, 'Bearer ')
  const text = Buffer.from(basic[1]!, 'base64').toString('latin1')
  const colon = text.indexOf(':')
  const [user, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  // Some clients only have a user name to put it in.
  return `Bearer ${password === '' ? user : password}`
}
