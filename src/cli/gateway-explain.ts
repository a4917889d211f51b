/**
 * What would serve a request, and why: the plan walked through by the definition of routing (linear, one rule after
 * the other), with what each rule before the one that matches asked for in vain.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { ExplainRequest } from '../admin/model.ts'
import { readWorkloadIdentity } from '../certificates/client-certificate.ts'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import { Exchange } from '../exchange/exchange.ts'
import { type AuthorizationExplanation, explainAuthorization } from '../filters/authorization/explain.ts'
import { hostWithoutPort } from '../listeners/admission.ts'
import { normalizePath } from '../listeners/path-normalization.ts'
import type { ClientCertificateDemand, ListenerPlan, TlsServerPlan } from '../plan/listener.ts'
import type { Plan } from '../plan/plan.ts'
import type { Origin } from '../plan/problem.ts'
import type { RouteMatch, RoutePlan, VirtualHostPlan } from '../plan/route.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import { compileMatch } from '../routing/match.ts'

export interface Explanation {
  /** One sentence: what happens to the request. */
  readonly outcome: string
  readonly listener?: string
  readonly routeTable?: string
  readonly virtualHost?: string
  readonly path?: string
  /** What the AuthorizationPolicies make of a request without a token, from an unknown address, by that workload. */
  readonly authorization?: AuthorizationExplanation
  /** Rules in order, up to the one that takes the request. */
  readonly rules?: readonly ExplainedRule[]
  readonly route?: { readonly name: string; readonly from: string; readonly action: unknown }
  readonly clusters?: readonly unknown[]
}

export interface ExplainedRule {
  /** Resource and JSON pointer. */
  readonly rule: string
  readonly matches: boolean
  /** Conditions that do not hold; empty where the rule matches. */
  readonly because: readonly string[]
}

/** @param endpointsOf What is known of a cluster's endpoints at present. */
export function explain(plan: Plan, request: ExplainRequest): Explanation {
  const url = new URL(request.url)
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  const hostHeader = request.headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? url.host
  const host = hostWithoutPort(hostHeader)

  const listener = Object.values(plan.listeners).find((entry) => entry.port === port && entry.kind !== 'egress')
  if (listener === undefined) {
    const ports = Object.values(plan.listeners).map((entry) => entry.port)
    return { outcome: `refused: no Gateway server has port ${port} (there are ${ports.join(', ') || 'none'})` }
  }
  const passed = connectionRoute(listener, url.hostname.toLowerCase())
  if (passed !== undefined) return { ...connectionOutcome(passed), listener: listener.name }
  const server = listener.kind === 'tls' ? tlsServerOf(listener.servers, url.hostname.toLowerCase()) : null
  const table = tableOf(listener, server)
  if (table === null)
    return { outcome: 'refused in the TLS handshake: no server takes this name', listener: listener.name }
  if (server?.clientCertificates?.required === true && request.principal === undefined) {
    const outcome = `refused in the TLS handshake: ${server.name} demands a certificate of the client (say whose with --principal)`
    return { outcome, listener: listener.name, routeTable: table }
  }
  if (request.principal !== undefined && server !== null && !isDemanded(request.principal, server)) {
    const outcome = `refused in the TLS handshake: ${server.name} demands a certificate with another name`
    return { outcome, listener: listener.name, routeTable: table }
  }
  const found = { listener: listener.name, routeTable: table }
  if (plan.mesh.closedBy.length > 0) {
    return {
      ...found,
      outcome: `403: ${describe(plan.mesh.closedBy[0]!)} cannot be enforced as it is, so all is refused`,
    }
  }
  const path = normalizePath(url.pathname, plan.mesh.pathNormalization)
  if (path === null) return { ...found, outcome: '400: the path has no normal form' }
  const exchange = exchangeOf(plan, request, { host, authority: hostHeader, path, query: url.search, tls, port })
  // A server that asks for no certificate never sees the client's.
  if (request.principal !== undefined && server !== null && server.clientCertificates !== null) {
    exchange.clientCertificate = certificateOf(request.principal, server.clientCertificates)
  }
  const authorization = explainAuthorization(plan.policies.authorization, exchange)
  if (authorization.outcome === 'denied') return { ...found, path, authorization, outcome: '403: policies refuse it' }
  const virtualHost = mostSpecific(plan.routeTables[table]?.virtualHosts ?? {}, host)
  if (virtualHost === null) {
    return { ...found, authorization, outcome: `404: no VirtualService on this listener has the host ${host}` }
  }
  if (virtualHost.requireTls && !tls) {
    const outcome = '301: httpsRedirect sends every request to https'
    return { ...found, virtualHost: virtualHost.host, path, authorization, outcome }
  }
  const { rules, taken } = walk(virtualHost, exchange)
  const located = { ...found, virtualHost: virtualHost.host, path: path + url.search, authorization, rules }
  if (taken === null) return { ...located, outcome: '404: no rule matches' }
  return {
    ...located,
    ...actionOf(plan, taken),
    route: { name: taken.name, from: describe(taken.origin), action: taken.action },
  }
}

function actionOf(plan: Plan, { action, fault }: RoutePlan): { outcome: string; clusters?: readonly unknown[] } {
  const faulty = fault === undefined ? '' : ' (unless its fault injection delays or aborts the request)'
  switch (action.kind) {
    case 'redirect':
      return { outcome: `${action.status}: a redirect` }
    case 'direct-response':
      return { outcome: `${action.status}: a direct response` }
    case 'forward': {
      const total = action.destinations.reduce((sum, { weight }) => sum + weight, 0)
      const clusters = action.destinations.map(({ cluster, weight }) => ({
        cluster,
        share: action.destinations.length === 1 ? 1 : weight / total,
        discovery: plan.clusters[cluster]?.discovery ?? 'unknown: requests are answered 503 (NC)',
      }))
      return {
        outcome: `forwarded to ${action.destinations.map(({ cluster }) => cluster).join(' or ')}${faulty}`,
        clusters,
      }
    }
    default:
      return action satisfies never
  }
}

function walk(virtualHost: VirtualHostPlan, exchange: Exchange): { rules: ExplainedRule[]; taken: RoutePlan | null } {
  const rules: ExplainedRule[] = []
  for (const route of virtualHost.routes) {
    const matches = compileMatch(route.match)(exchange)
    rules.push({ rule: describe(route.origin), matches, because: matches ? [] : unmet(route.match, exchange) })
    if (matches) return { rules, taken: route }
  }
  return { rules, taken: null }
}

/** Asks for each condition by itself. */
function unmet(match: RouteMatch, exchange: Exchange): string[] {
  const any = { kind: 'any' } as const
  const single: readonly (readonly [string, RouteMatch])[] = [
    [`path ${JSON.stringify(match.path)}`, { path: match.path }],
    ...(['method', 'scheme', 'authority'] as const).flatMap((key) =>
      match[key] === undefined
        ? []
        : [[`${key} ${JSON.stringify(match[key])}`, { path: any, [key]: match[key] }] as const],
    ),
    ...(['headers', 'queryParams'] as const).flatMap((key) =>
      (match[key] ?? []).map((entry) => [`${key} ${JSON.stringify(entry)}`, { path: any, [key]: [entry] }] as const),
    ),
  ]
  return single.filter(([, condition]) => !compileMatch(condition)(exchange)).map(([text]) => text)
}

function exchangeOf(
  plan: Plan,
  request: ExplainRequest,
  facts: { host: string; authority: string; path: string; query: string; tls: boolean; port: number },
): Exchange {
  const req = new IncomingMessage(new Socket())
  const listener = { port: facts.port, tls: facts.tls, routeTable: '', draining: false }
  const epoch = { mesh: plan.mesh, generation: '', generationHeader: null }
  const exchange = new Exchange(req, new ServerResponse(req), listener, epoch, 0, 0)
  exchange.method = request.method
  exchange.authority = facts.authority
  exchange.host = facts.host
  exchange.pathname = facts.path
  exchange.query = facts.query
  exchange.path = facts.path + facts.query
  exchange.scheme = facts.tls ? 'https' : 'http'
  exchange.headers = request.headers.flatMap(([name, value]) =>
    name.toLowerCase() === 'host' ? [] : [name.toLowerCase(), value],
  )
  return exchange
}

/** The route of a connection of which no request is read; undefined: requests are. */
function connectionRoute(listener: ListenerPlan, serverName: string): TcpRoutePlan | null | undefined {
  if (listener.kind === 'http' || listener.kind === 'egress') return undefined
  if (listener.kind === 'tcp') return listener.route
  const byName: Record<string, { readonly tcp?: TcpRoutePlan | null }> = {}
  for (const server of listener.servers) for (const name of server.serverNames) byName[name] ??= server
  for (const { serverNames, route } of listener.passthrough ?? []) {
    for (const name of serverNames) byName[name] ??= { tcp: route }
  }
  return mostSpecific(byName, serverName)?.tcp
}

function connectionOutcome(route: TcpRoutePlan | null): Pick<Explanation, 'outcome' | 'route'> {
  if (route === null) return { outcome: 'closed: no rule takes connections of this port' }
  const clusters = route.destinations.map(({ cluster }) => cluster).join(' or ')
  return {
    outcome: `passed on as it is, no request is read: to ${clusters}`,
    route: { name: '', from: describe(route.origin), action: { kind: 'tcp', destinations: route.destinations } },
  }
}

function tableOf(listener: ListenerPlan, server: TlsServerPlan | null): string | null {
  switch (listener.kind) {
    case 'http':
      return listener.routeTable
    case 'tls':
      return server?.routeTable ?? null
    case 'tcp':
    case 'egress':
      return null
    default:
      return listener satisfies never
  }
}

function tlsServerOf(servers: readonly TlsServerPlan[], serverName: string): TlsServerPlan | null {
  const byName: Record<string, TlsServerPlan> = {}
  for (const server of servers) for (const name of server.serverNames) byName[name] ??= server
  return mostSpecific(byName, serverName)
}

/** As far as names go: whose authority has signed for it cannot be said here. */
function isDemanded(principal: string, { clientCertificates: demand }: TlsServerPlan): boolean {
  if (demand === null) return true
  const { subjectAltNames, trustDomains } = demand
  if (subjectAltNames.length > 0) return subjectAltNames.includes(`spiffe://${principal}`)
  return trustDomains === null || trustDomains.includes(principal.slice(0, principal.indexOf('/')))
}

/** As far as policies look at it. */
function certificateOf(principal: string, demand: ClientCertificateDemand): ClientCertificate {
  const uri = `spiffe://${principal}`
  return {
    verified: demand.trust.kind !== 'none',
    uris: [uri],
    dnsNames: [],
    identity: readWorkloadIdentity(uri),
    subject: '',
    issuer: '',
    sha256: '',
    sha1: '',
    serialNumber: '',
    validFrom: 0,
    validTo: 0,
    encodedPem: '',
    forwardedElement: '',
  }
}

/** Exact name, else the longest `*.suffix`, else `*`. */
function mostSpecific<T>(byHost: Readonly<Record<string, T>>, host: string): T | null {
  if (Object.hasOwn(byHost, host)) return byHost[host]!
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const wildcard = `*${host.slice(dot)}`
    if (dot > 0 && Object.hasOwn(byHost, wildcard)) return byHost[wildcard]!
  }
  return byHost['*'] ?? null
}

function describe({ kind, namespace, name, pointer }: Origin): string {
  return `${kind} ${namespace}/${name}${pointer === undefined ? '' : ` ${pointer}`}`
}
