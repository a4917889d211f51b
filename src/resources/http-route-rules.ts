/** What Istio refuses in one http route. Its actions, its policies, and what all routes share are in files beside this. */
import { type Findings, pointerToken, present } from './findings.ts'
import { checkCors, checkFault, checkMirrors, checkRetries } from './http-route-policies.ts'
import { checkDirectResponse, checkHeaders, checkRedirect, checkRewrite } from './http-route-actions.ts'
import { checkSourceMatch, checkStringMatch, checkWeights } from './route-rules.ts'
import { checkDuration, checkHeaderName, checkPort } from './rules.ts'
import type { HTTPMatchRequest, HTTPRoute } from './virtual-service.ts'

export interface HTTPRouteContext {
  /** The VirtualService has no hosts: others delegate to it. */
  readonly isDelegate: boolean
  /** It is bound to a gateway, not to sidecars alone. */
  readonly onGateway: boolean
}

export function checkHTTPRoute(findings: Findings, at: string, route: HTTPRoute, context: HTTPRouteContext): void {
  checkAction(findings, at, route, context)
  for (const [index, match] of (route.match ?? []).entries()) {
    checkMatch(findings, `${at}/match/${index}`, match, context)
  }
  if (route.route !== undefined && route.route.length > 0) {
    checkWeights(findings, at, route.route)
    for (const [index, { headers }] of route.route.entries())
      checkHeaders(findings, `${at}/route/${index}/headers`, headers)
  }
  checkRedirect(findings, `${at}/redirect`, route.redirect, route.match ?? [])
  checkDirectResponse(findings, `${at}/directResponse`, route.directResponse)
  checkRewrite(findings, `${at}/rewrite`, route.rewrite)
  checkHeaders(findings, `${at}/headers`, route.headers)
  checkAuthorityOnce(findings, at, route)
  // 0s is "none", as where it is absent.
  checkDuration(findings, 'virtual-service/timeout', `${at}/timeout`, route.timeout, 'zero')
  checkRetries(findings, `${at}/retries`, route.retries)
  checkFault(findings, `${at}/fault`, route.fault)
  checkMirrors(findings, at, route)
  checkCors(findings, `${at}/corsPolicy`, route.corsPolicy)
}

function checkAction(findings: Findings, at: string, route: HTTPRoute, { isDelegate }: HTTPRouteContext): void {
  const code = 'virtual-service/action'
  const actions = present(route, ['redirect', 'directResponse', 'delegate'])
  const all = (route.route?.length ?? 0) > 0 ? ['route', ...actions] : actions
  if (all.length === 0) {
    findings.error(code, at, 'an http rule needs one of route, redirect, directResponse and delegate')
  } else if (all.length > 1) {
    findings.error(code, `${at}/${all[1]}`, `an http rule does one thing: ${all.join(' and ')} exclude each other`)
  }
  if (route.delegate !== undefined) {
    if (isDelegate)
      findings.error(code, `${at}/delegate`, 'a delegate (a VirtualService without hosts) cannot delegate further')
    if ((route.delegate.name ?? '') === '') findings.error(code, `${at}/delegate`, '"name" of the delegate is missing')
  }
  const local =
    route.redirect !== undefined ? 'redirect' : route.directResponse !== undefined ? 'directResponse' : undefined
  if (local !== undefined) {
    for (const field of present(route, ['fault', 'rewrite'])) {
      findings.error(code, `${at}/${field}`, `${field} cannot stand beside ${local}`)
    }
  }
}

/** One condition of an http rule, or of another policy that is written the same way. */
export function checkMatch(
  findings: Findings,
  at: string,
  match: HTTPMatchRequest,
  { onGateway, isDelegate }: HTTPRouteContext,
): void {
  const code = 'virtual-service/match'
  checkStringMatch(findings, `${at}/uri`, match.uri, 'empty-prefix')
  checkStringMatch(findings, `${at}/scheme`, match.scheme)
  checkStringMatch(findings, `${at}/method`, match.method)
  checkStringMatch(findings, `${at}/authority`, match.authority)
  for (const field of ['headers', 'withoutHeaders'] as const) {
    const headers = match[field]
    if (headers === undefined) continue
    for (const [name, value] of Object.entries(headers)) {
      const headerAt = `${at}/${field}/${pointerToken(name)}`
      if (name.toLowerCase().startsWith('@request.auth.claims')) {
        if (!onGateway && !isDelegate) findings.error(code, headerAt, 'claims can be matched on gateways alone')
      } else if (!PSEUDO_HEADERS.includes(name)) {
        checkHeaderName(findings, code, headerAt, name)
      }
      if (!(field === 'withoutHeaders' && value.regex === '*')) checkStringMatch(findings, headerAt, value)
    }
  }
  if (match.queryParams !== undefined) {
    for (const [name, value] of Object.entries(match.queryParams)) {
      checkStringMatch(findings, `${at}/queryParams/${pointerToken(name)}`, value)
    }
  }
  checkPort(findings, code, `${at}/port`, match.port)
  checkSourceMatch(findings, at, match)
}

const PSEUDO_HEADERS: readonly string[] = [':method', ':scheme', ':authority', ':path', ':status']

function checkAuthorityOnce(findings: Findings, at: string, route: HTTPRoute): void {
  const setBy = [
    ...(route.rewrite?.authority === undefined ? [] : [`${at}/rewrite/authority`]),
    ...(['set', 'add'] as const).flatMap((operation) =>
      Object.keys(route.headers?.request?.[operation] ?? {})
        .filter((name) => isAuthority(name))
        .map((name) => `${at}/headers/request/${operation}/${pointerToken(name)}`),
    ),
  ]
  if (setBy.length > 1) {
    findings.error('virtual-service/headers', setBy[1] ?? at, 'the host of the request is set in more than one place')
  }
}

function isAuthority(name: string): boolean {
  return name === ':authority' || name.toLowerCase() === 'host'
}
