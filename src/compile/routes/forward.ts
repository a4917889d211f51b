/**
 * Rules that forward: destinations, mirrors, rewrites, timeout and retries.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`applyHTTPRouteDestination`, `processDestination`,
 * `GetDestinationCluster`).
 */
import { durationMs } from '../../lib/duration.ts'
import type { Origin } from '../../plan/problem.ts'
import type {
  ForwardAction,
  HeaderOperations,
  Mirror,
  PathMatch,
  PathRewrite,
  WeightedDestination,
} from '../../plan/route.ts'
import type { Destination, HTTPRewrite, HTTPRoute, HTTPRouteDestination } from '../../resources/virtual-service.ts'
import { type Named, originOf } from '../findings.ts'
import { fullHost } from '../hosts.ts'
import type { CompileOptions } from '../options.ts'
import { prefixLength } from './answer.ts'
import { toFraction } from './fault.ts'
import { joinOperations, readOperations } from './headers.ts'
import type { RouteTarget } from './match.ts'
import { compileRetries } from './retries.ts'

/** A cluster that a route sends to, and where that is written. */
export interface ClusterReference {
  /** `outbound|PORT|SUBSET|HOST` */
  readonly cluster: string
  readonly host: string
  readonly port: number
  readonly subset: string
  readonly origin: Origin
  /** The mesh's TLS goes through as the client began it (AUTO_PASSTHROUGH): the cluster adds none. */
  readonly passthrough?: true
}

export interface ForwardContext {
  readonly options: CompileOptions
  readonly target: RouteTarget
  /** Port of each service that has one only. */
  readonly solePorts: ReadonlyMap<string, number>
  /** The object that the rule stands in: its namespace completes short names. */
  readonly owner: Named
  /** Pointer of the rule in its object. */
  readonly pointer: string
}

/** What the matches of a rule have in common; {@link forwardAt} adds what depends on the path. */
export interface Forwarding {
  readonly action: ForwardAction
  readonly references: readonly ClusterReference[]
  readonly requestHeaders: HeaderOperations | undefined
  readonly responseHeaders: HeaderOperations | undefined
}

export function compileForward(rule: HTTPRoute, context: ForwardContext): Forwarding {
  const route = rule.route ?? []
  const [only] = route.length === 1 ? route : []
  const request = readOperations(rule.headers?.request)
  const response = readOperations(rule.headers?.response)
  const ownRequest = readOperations(only?.headers?.request)
  const ownResponse = readOperations(only?.headers?.response)
  // A Host of the rule beats one of a destination, whether there is one destination or several.
  const ruleHost = rule.rewrite?.authority || request.host
  const hostRewrite = ruleHost || ownRequest.host
  const chosen = only === undefined ? weigh(route, !ruleHost, context) : [single(only, context)]
  const mirrors = compileMirrors(rule, context)
  const timeoutMs = rule.timeout === undefined ? 0 : durationMs(rule.timeout)
  return {
    action: {
      kind: 'forward',
      destinations: chosen.map(({ destination }) => destination),
      timeoutMs: timeoutMs > 0 ? timeoutMs : null,
      retry: compileRetries(rule.retries ?? context.options.mesh.defaultHttpRetryPolicy ?? undefined),
      ...(hostRewrite ? { hostRewrite } : {}),
      ...(mirrors.length === 0 ? {} : { mirrors: mirrors.map(({ mirror }) => mirror) }),
    },
    references: [...chosen, ...mirrors].map(({ reference }) => reference),
    requestHeaders: joinOperations(request.headers, ownRequest.headers),
    responseHeaders: joinOperations(response.headers, ownResponse.headers),
  }
}

/** The action for one match of the rule. */
export function forwardAt({ action }: Forwarding, rewrite: HTTPRewrite | undefined, path: PathMatch): ForwardAction {
  const pathRewrite = compileRewrite(rewrite, path)
  return pathRewrite === undefined ? action : { ...action, pathRewrite }
}

interface Chosen {
  readonly destination: WeightedDestination
  readonly reference: ClusterReference
}

/** A rule's only destination: whatever its weight, it gets every request, and its headers are the rule's. */
function single({ destination }: HTTPRouteDestination, context: ForwardContext): Chosen {
  const reference = referToCluster(destination, 'route/0/destination', context)
  return { destination: { cluster: reference.cluster, weight: 1 }, reference }
}

/** @param mayRewriteHost False where the rule itself sets Host. */
function weigh(route: readonly HTTPRouteDestination[], mayRewriteHost: boolean, context: ForwardContext): Chosen[] {
  return route.flatMap(({ destination, weight = 0, headers }, i) => {
    if (weight <= 0) return []
    const reference = referToCluster(destination, `route/${i}/destination`, context)
    const request = readOperations(headers?.request)
    const response = readOperations(headers?.response)
    const weighted = {
      cluster: reference.cluster,
      weight,
      ...(request.headers === undefined ? {} : { requestHeaders: request.headers }),
      ...(response.headers === undefined ? {} : { responseHeaders: response.headers }),
      ...(request.host === undefined || !mayRewriteHost ? {} : { hostRewrite: request.host }),
    }
    return [{ destination: weighted, reference }]
  })
}

/** The cluster of a destination, with its names completed and its port found. */
export function referToCluster(
  { host, subset = '', port }: Destination,
  pointer: string,
  context: ForwardContext,
): ClusterReference {
  const { owner, options, solePorts, target } = context
  const full = fullHost(host, owner.metadata.namespace, options.gateway.clusterDomain)
  const number = port?.number || (solePorts.get(full) ?? target.port)
  return {
    cluster: `outbound|${number}|${subset}|${full}`,
    host: full,
    port: number,
    subset,
    origin: originOf(owner, `${context.pointer}/${pointer}`),
  }
}

function compileMirrors(rule: HTTPRoute, context: ForwardContext): { mirror: Mirror; reference: ClusterReference }[] {
  const single = rule.mirror && [
    {
      destination: rule.mirror,
      fraction: toFraction(rule.mirrorPercentage, rule.mirrorPercent ?? 100),
      pointer: 'mirror',
    },
  ]
  const several = (rule.mirrors ?? []).map(({ destination, percentage }, i) => ({
    destination,
    fraction: toFraction(percentage, 100),
    pointer: `mirrors/${i}/destination`,
  }))
  return (single ?? several).flatMap(({ destination, fraction, pointer }) => {
    if (destination === undefined || fraction === 0) return []
    const reference = referToCluster(destination, pointer, context)
    return [{ mirror: { cluster: reference.cluster, fraction }, reference }]
  })
}

function compileRewrite(rewrite: HTTPRewrite | undefined, path: PathMatch): PathRewrite | undefined {
  const { match: regex, rewrite: substitution = '' } = rewrite?.uriRegexRewrite ?? {}
  if (regex !== undefined) return { kind: 'regex', regex, substitution }
  if (!rewrite?.uri) return undefined
  if (path.kind === 'prefix' || path.kind === 'any') {
    return { kind: 'prefix', length: prefixLength(path), replacement: rewrite.uri }
  }
  return { kind: 'full', replacement: rewrite.uri }
}
