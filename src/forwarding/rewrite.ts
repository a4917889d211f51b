/**
 * The path and Host that go upstream. Applied once a request is about to be forwarded: filters and matches saw what
 * the client asked for.
 *
 * Source: semantics §2.8; envoy: source/common/router/config_impl.cc (`finalizeRequestHeaders`,
 * `finalizePathHeader`), where `suppress_envoy_headers` is Istio's `envoyDebugHeaders.disabled`.
 */
import { Buffer } from 'node:buffer'
import type { Exchange } from '../exchange/exchange.ts'
import { headerValue, setHeader } from '../exchange/headers.ts'
import { compileLinearRegex } from '../lib/linear-regex.ts'
import type { PathRewrite } from '../plan/route.ts'

/** @param pathname The path without its query. */
export type PathRewriter = (pathname: string) => string

export type Rewrite = (exchange: Exchange) => void

/**
 * The matched prefix is replaced as text, so `/foo` with `/` makes `//bar` of `/foo/bar`: users rely on it.
 *
 * @throws Error for an expression that is not RE2: compiling the plan rejects those.
 */
export function compilePathRewrite(rewrite: PathRewrite): PathRewriter {
  switch (rewrite.kind) {
    case 'prefix': {
      const { length } = rewrite
      const replacement = toRequestTarget(rewrite.replacement)
      return (pathname) => replacement + pathname.slice(length)
    }
    case 'full': {
      const replacement = toRequestTarget(rewrite.replacement)
      return () => replacement
    }
    case 'regex': {
      const regex = compileLinearRegex(rewrite.regex)
      if (!regex.ok) throw new Error(`cannot rewrite by ${JSON.stringify(rewrite.regex)}: ${regex.reason}`)
      const substitution = toRequestTarget(rewrite.substitution)
      return (pathname) => regex.replaceAll(pathname, substitution)
    }
    default:
      return rewrite satisfies never
  }
}

/**
 * A rewrite of what goes upstream, which says there what it was before (unless Envoy's headers are off).
 *
 * @param path Absent: the path stays. A result that is empty is no path, and the path stays too.
 * @param host The new Host; absent: it stays.
 * @returns Null where nothing is rewritten.
 */
export function compileRewrite(path: PathRewrite | undefined, host: string | undefined): Rewrite | null {
  const rewritePath = path === undefined ? null : compilePathRewrite(path)
  if (rewritePath === null && host === undefined) return null
  return (exchange) => {
    const tellsOriginals = exchange.epoch.mesh.envoyDebugHeaders
    if (rewritePath !== null) {
      if (tellsOriginals) setHeader(exchange.headers, 'x-envoy-original-path', exchange.path)
      setPathname(exchange, rewritePath(exchange.pathname))
    }
    if (host !== undefined) {
      if (exchange.epoch.mesh.forwardedHostHeader) appendForwardedHost(exchange)
      if (tellsOriginals) setHeader(exchange.headers, 'x-envoy-original-host', exchange.authority)
      exchange.authority = host
    }
  }
}

/** Source: envoy: source/common/http/utility.cc (`updateAuthority`). */
function appendForwardedHost({ headers, authority }: Exchange): void {
  const before = headerValue(headers, 'x-forwarded-host')
  const last = before?.split(',').findLast((host) => host !== '')
  if (last !== authority) setHeader(headers, 'x-forwarded-host', before ? `${before},${authority}` : authority)
}

function setPathname(exchange: Exchange, pathname: string): void {
  if (pathname === '') return
  exchange.pathname = pathname
  exchange.path = pathname + exchange.query
}

/** A request line ends at a blank or a line feed: neither, nor what is not ASCII, comes out of configuration. */
function toRequestTarget(text: string): string {
  return text.replace(/[^\x21-\x7e]+/gu, (run) =>
    Buffer.from(run, 'utf8').reduce(
      (encoded, byte) => `${encoded}%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
      '',
    ),
  )
}
