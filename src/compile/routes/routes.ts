/**
 * The route list of one VirtualService on one server: its rules in order, one route for each match.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`BuildHTTPRoutesForVirtualService`, `translateRoute`).
 */
import type { Origin, Problem } from '../../plan/problem.ts'
import type { CorsPlan, FaultPlan, HeaderOperations, RouteAction, RouteMatch, RoutePlan } from '../../plan/route.ts'
import { originOf } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import { type RateLimitTarget, rateLimitsOf } from '../rate-limits.ts'
import type { Workload } from '../workload.ts'
import { compileDirectResponse, compileRedirect, isRedirectStatus } from './answer.ts'
import { compileCors } from './cors.ts'
import { compileFault } from './fault.ts'
import { type ClusterReference, compileForward, forwardAt } from './forward.ts'
import { readOperations } from './headers.ts'
import { appliesTo, compileMatch, EVERY_REQUEST, isCatchAll, misspeltClaims, type RouteTarget } from './match.ts'
import type { Rule } from './rules.ts'

export interface RouteContext {
  readonly options: CompileOptions
  readonly workload: Workload
  /** Port of each service that has one only. */
  readonly solePorts: ReadonlyMap<string, number>
  readonly rateLimits: readonly RateLimitTarget[]
}

export interface CompiledRoutes {
  /** In order; a catch-all can only be the last one. */
  readonly routes: readonly RoutePlan[]
  readonly endsInCatchAll: boolean
  readonly references: readonly ClusterReference[]
  readonly problems: readonly Problem[]
}

/** What the routes of a rule share. */
interface Shared {
  readonly actionAt: (match: RouteMatch) => RouteAction
  readonly requestHeaders: HeaderOperations | undefined
  readonly responseHeaders: HeaderOperations | undefined
  readonly cors: CorsPlan | undefined
  readonly fault: FaultPlan | undefined
  readonly rateLimits: readonly string[] | undefined
}

export function compileRoutes(rules: readonly Rule[], target: RouteTarget, context: RouteContext): CompiledRoutes {
  const routes: RoutePlan[] = []
  const references: ClusterReference[] = []
  const problems: Problem[] = []
  for (const rule of rules) {
    const places = placesOf(rule, target, context, problems)
    if (places.length === 0) continue
    const shared = compileRule(rule, target, context, references)
    if (shared === undefined) continue
    for (const { match, name, origin } of places) {
      routes.push(assemble(rule, name, origin, match, shared))
      // What follows in this VirtualService could never be reached.
      if (isCatchAll(match)) return { routes, endsInCatchAll: true, references, problems }
    }
  }
  return { routes, endsInCatchAll: false, references, problems }
}

interface Place {
  readonly match: RouteMatch
  readonly name: string | undefined
  readonly origin: Origin
}

/** The matches of a rule that can hold on this server. */
function placesOf(rule: Rule, target: RouteTarget, { workload }: RouteContext, problems: Problem[]): Place[] {
  if (rule.matches === null)
    return [{ match: EVERY_REQUEST, name: undefined, origin: originOf(rule.owner, rule.pointer) }]
  const places: Place[] = []
  for (const { match, origin } of rule.matches) {
    if (!appliesTo(match, target, workload)) continue
    const misspelt = misspeltClaims(match)
    if (misspelt.length > 0) {
      problems.push({
        code: 'virtual-service/claims',
        severity: 'error',
        origin,
        message: `"${misspelt[0]}" names no claim, so the match is left out`,
        remedy: 'Write @request.auth.claims.NAME, or @request.auth.claims[NAME] for a name with dots.',
      })
      continue
    }
    places.push({ match: compileMatch(match), name: match.name, origin })
  }
  return places
}

function compileRule(
  { http, owner, pointer, sources }: Rule,
  target: RouteTarget,
  { options, solePorts, rateLimits: targets }: RouteContext,
  references: ClusterReference[],
): Shared | undefined {
  const { gateway, section } = target
  const rateLimits = rateLimitsOf(targets, { virtualServices: sources, gateway, section })
  const common = {
    requestHeaders: readOperations(http.headers?.request).headers,
    responseHeaders: readOperations(http.headers?.response).headers,
    cors: compileCors(http.corsPolicy),
    fault: compileFault(http.fault),
    rateLimits: rateLimits.length === 0 ? undefined : rateLimits,
  }
  const { redirect, directResponse, rewrite } = http
  if (redirect !== undefined) {
    // Reading the object has warned about any other status: Istio accepts it, and has no action for it then.
    if (!isRedirectStatus(redirect.redirectCode)) return undefined
    return { ...common, actionAt: ({ path }) => compileRedirect(redirect, path, target) }
  }
  if (directResponse !== undefined) {
    const action = compileDirectResponse(directResponse)
    return { ...common, actionAt: () => action }
  }
  const forwarding = compileForward(http, { options, target, solePorts, owner, pointer })
  // Validation refuses these; a rule without a destination must not become a route without one.
  if (forwarding.action.destinations.length === 0) return undefined
  references.push(...forwarding.references)
  return {
    ...common,
    requestHeaders: forwarding.requestHeaders,
    responseHeaders: forwarding.responseHeaders,
    actionAt: ({ path }) => forwardAt(forwarding, rewrite, path),
  }
}

function assemble(
  { http }: Rule,
  matchName: string | undefined,
  origin: Origin,
  match: RouteMatch,
  shared: Shared,
): RoutePlan {
  const { requestHeaders, responseHeaders, cors, fault, rateLimits } = shared
  return {
    name: matchName ? `${http.name ?? ''}.${matchName}` : (http.name ?? ''),
    origin,
    match,
    action: shared.actionAt(match),
    ...(requestHeaders === undefined ? {} : { requestHeaders }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(cors === undefined ? {} : { cors }),
    ...(fault === undefined ? {} : { fault }),
    ...(rateLimits === undefined ? {} : { rateLimits }),
  }
}
