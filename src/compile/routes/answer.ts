/**
 * Rules that answer without an upstream: redirects and direct responses.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`ApplyRedirect`, `ApplyDirectResponse`).
 */
import type { DirectResponseAction, PathMatch, RedirectAction } from '../../plan/route.ts'
import type { HTTPDirectResponse, HTTPRedirect } from '../../resources/virtual-service.ts'
import type { RouteTarget } from './match.ts'

const DEFAULT_STATUS = 301
const STATUSES: readonly number[] = [301, 302, 303, 307, 308]
const DEFAULT_PORTS = { http: 80, https: 443 } as const

/** Whether Envoy has a redirect with this status; Istio's validation lets other 3xx pass and then has no action. */
export function isRedirectStatus(status: number | undefined): boolean {
  return STATUSES.includes(status || DEFAULT_STATUS)
}

/** @param path The match of the route that this becomes: `prefixRewrite` needs its length. */
export function compileRedirect(spec: HTTPRedirect, path: PathMatch, target: RouteTarget): RedirectAction {
  const scheme = spec.scheme === 'http' || spec.scheme === 'https' ? spec.scheme : undefined
  const port = redirectPort(spec, target)
  // Istio leaves a port out that is the default of the listener's scheme, so that Host keeps the one it may have.
  const isDefault = port === DEFAULT_PORTS[scheme ?? (target.tls ? 'https' : 'http')]
  const changed = redirectPath(spec, path)
  return {
    kind: 'redirect',
    status: spec.redirectCode || DEFAULT_STATUS,
    ...(changed === undefined ? {} : { path: changed }),
    ...(spec.authority ? { authority: spec.authority } : {}),
    ...(scheme === undefined ? {} : { scheme }),
    ...(port === undefined || isDefault ? {} : { port }),
  }
}

function redirectPort({ port, derivePort }: HTTPRedirect, target: RouteTarget): number | undefined {
  if (port !== undefined && port !== 0) return port
  return derivePort === 'FROM_REQUEST_PORT' ? target.port : undefined
}

function redirectPath({ uri, prefixRewrite }: HTTPRedirect, path: PathMatch): RedirectAction['path'] {
  if (prefixRewrite) return { kind: 'prefix', length: prefixLength(path), replacement: prefixRewrite }
  return uri ? { kind: 'full', value: uri } : undefined
}

/** How much of a path its match takes: where nothing is asked for, Istio matches the prefix `/`. */
export function prefixLength(path: PathMatch): number {
  return path.kind === 'prefix' ? path.prefix.length : path.kind === 'any' ? 1 : 0
}

export function compileDirectResponse({ status, body }: HTTPDirectResponse): DirectResponseAction {
  const base64 = body?.bytes ?? (body?.string ? Buffer.from(body.string, 'utf8').toString('base64') : '')
  return { kind: 'direct-response', status, ...(base64 === '' ? {} : { body: base64 }) }
}
