/** What Istio refuses in redirect, directResponse, rewrite and headers of an http route. */
import { isBase64 } from '../lib/base64.ts'
import { type Findings, pointerToken, present } from './findings.ts'
import { checkHeaderName, checkPort, checkRegex, shorten } from './rules.ts'
import type { Headers, HTTPDirectResponse, HTTPMatchRequest, HTTPRedirect, HTTPRewrite } from './virtual-service.ts'

export function checkRedirect(
  findings: Findings,
  at: string,
  redirect: HTTPRedirect | undefined,
  matches: readonly HTTPMatchRequest[],
): void {
  if (redirect === undefined) return
  const code = 'virtual-service/redirect'
  if (present(redirect, ['uri', 'prefixRewrite', 'authority', 'scheme', 'port', 'derivePort']).length === 0) {
    findings.error(code, at, 'a redirect needs one of uri, prefixRewrite, authority, scheme, port and derivePort')
  }
  if ((redirect.uri ?? '') !== '' && (redirect.prefixRewrite ?? '') !== '') {
    findings.error(code, `${at}/prefixRewrite`, 'uri and prefixRewrite exclude each other')
  }
  if (redirect.port !== undefined && redirect.derivePort !== undefined) {
    findings.error(code, `${at}/derivePort`, 'port and derivePort exclude each other')
  }
  if (
    redirect.prefixRewrite !== undefined &&
    matches.some(({ uri }) => uri !== undefined && uri.prefix === undefined)
  ) {
    findings.error(code, `${at}/prefixRewrite`, 'prefixRewrite needs matches by uri.prefix alone')
  }
  const { redirectCode: status, scheme } = redirect
  if (status !== undefined && (status < 300 || status > 399)) {
    findings.error(code, `${at}/redirectCode`, `a redirect's code is from 300 to 399, found ${status}`)
  } else if (status !== undefined && ![301, 302, 303, 307, 308].includes(status)) {
    findings.warning(
      code,
      `${at}/redirectCode`,
      `only 301, 302, 303, 307 and 308 redirect; with ${status} the rule does nothing`,
    )
  }
  if (scheme !== undefined && scheme !== '' && scheme !== 'http' && scheme !== 'https') {
    findings.error(code, `${at}/scheme`, `expected http or https, found "${shorten(scheme)}"`)
  }
  checkPort(findings, code, `${at}/port`, redirect.port)
}

const MAX_BODY_BYTES = 1024 * 1024
const LARGE_BODY_BYTES = 100 * 1024

export function checkDirectResponse(findings: Findings, at: string, response: HTTPDirectResponse | undefined): void {
  if (response === undefined) return
  const code = 'virtual-service/direct-response'
  if (response.status < 200 || response.status > 599) {
    findings.error(code, `${at}/status`, `a status is from 200 to 599, found ${response.status}`)
  }
  const { string, bytes } = response.body ?? {}
  if (string !== undefined && bytes !== undefined) {
    findings.error(code, `${at}/body/bytes`, 'string and bytes exclude each other')
  }
  if (bytes !== undefined && !isBase64(bytes)) findings.error(code, `${at}/body/bytes`, 'expected base64')
  const size = string === undefined ? Buffer.byteLength(bytes ?? '', 'base64') : Buffer.byteLength(string)
  if (size > MAX_BODY_BYTES) findings.error(code, `${at}/body`, `a body has at most 1 MB, this one has ${size} bytes`)
  else if (size > LARGE_BODY_BYTES) {
    findings.warning(code, `${at}/body`, `a body of ${size} bytes is held in memory; 100 KB are reasonable`)
  }
}

export function checkRewrite(findings: Findings, at: string, rewrite: HTTPRewrite | undefined): void {
  if (rewrite === undefined) return
  const code = 'virtual-service/rewrite'
  const set = present(rewrite, ['uri', 'uriRegexRewrite', 'authority'])
  if (set.length === 0) findings.error(code, at, 'a rewrite needs one of uri, uriRegexRewrite and authority')
  const regex = rewrite.uriRegexRewrite
  if (regex === undefined) return
  if ((rewrite.uri ?? '') !== '') {
    findings.error(code, `${at}/uriRegexRewrite`, 'uri and uriRegexRewrite exclude each other')
  }
  if ((regex.match ?? '') === '' || (regex.rewrite ?? '') === '') {
    findings.error(code, `${at}/uriRegexRewrite`, 'uriRegexRewrite needs both match and rewrite')
    return
  }
  const groups = checkRegex(findings, code, `${at}/uriRegexRewrite/match`, regex.match ?? '')
  for (const [escape, what] of (regex.rewrite ?? '').matchAll(/\\([^]|$)/g)) {
    if (what === '\\' || (groups !== undefined && /^[0-9]$/.test(what ?? '') && Number(what) <= groups)) continue
    if (groups === undefined) continue
    findings.error(code, `${at}/uriRegexRewrite/rewrite`, `"${escape}" refers to no group of the pattern`, {
      remedy: `\\0 is the whole match${groups > 0 ? `, \\1 to \\${Math.min(groups, 9)} are its groups` : ''}; \\\\ is a backslash.`,
    })
  }
}

/** Operators of Envoy's header formatter, `%%` among them; what is left of a `%` without them is unbalanced. */
const OPERATOR = /%%|%[A-Z0-9_]+(?:\([^()]*\))?(?::[0-9]+)?%/g

export function checkHeaders(findings: Findings, at: string, headers: Headers | undefined): void {
  if (headers === undefined) return
  for (const direction of ['request', 'response'] as const) {
    const operations = headers[direction]
    if (operations === undefined) continue
    for (const operation of ['set', 'add'] as const) {
      for (const [name, value] of Object.entries(operations[operation] ?? {})) {
        const entryAt = `${at}/${direction}/${operation}/${pointerToken(name)}`
        checkOperationName(findings, entryAt, name, direction === 'request')
        checkValue(findings, entryAt, value)
      }
    }
    for (const [index, name] of (operations.remove ?? []).entries()) {
      checkOperationName(findings, `${at}/${direction}/remove/${index}`, name, false)
    }
  }
}

function checkOperationName(findings: Findings, at: string, name: string, authority: boolean): void {
  const code = 'virtual-service/headers'
  const isAuthority = name === ':authority' || name.toLowerCase() === 'host'
  if (isAuthority) {
    if (!authority) findings.error(code, at, `"${name}" can be set in a request alone, and never removed`)
  } else if (name.startsWith(':')) {
    findings.error(code, at, `"${shorten(name)}" is not a header that can be changed`)
  } else {
    checkHeaderName(findings, code, at, name)
  }
}

function checkValue(findings: Findings, at: string, value: string): void {
  const code = 'virtual-service/headers'
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) {
    findings.error(code, at, 'a header value cannot have control characters in it')
  }
  if (value.includes('%') && value.replace(OPERATOR, '').includes('%')) {
    findings.error(code, at, `a "%" in "${shorten(value)}" neither begins nor ends an operator`, {
      remedy: 'Write %% for a percent sign.',
    })
  }
}
