/**
 * The rules of a VirtualService with its delegates in place.
 *
 * Source: istio: pilot/pkg/model/virtualservice.go (`mergeVirtualServicesIfNeeded`, `mergeHTTPRoutes`).
 */
import type { Origin, Problem } from '../../plan/problem.ts'
import type { Destination, HTTPMatchRequest, HTTPRoute, VirtualService } from '../../resources/virtual-service.ts'
import { nameOf, originOf, problem } from '../findings.ts'
import { fullHost } from '../hosts.ts'
import type { CompileOptions } from '../options.ts'
import { isVisibleTo } from '../visibility.ts'
import { combineMatches } from './delegate-match.ts'
import { gatewayReference } from './gateway-names.ts'

export interface RuleMatch {
  /** Its `gateways` are `NAMESPACE/NAME`. */
  readonly match: HTTPMatchRequest
  readonly origin: Origin
}

export interface Rule {
  readonly http: HTTPRoute
  /** The VirtualService that the rule's destinations are written in. */
  readonly owner: VirtualService
  /** Pointer of the rule in `owner`. */
  readonly pointer: string
  /** Null: the rule takes every request. */
  readonly matches: readonly RuleMatch[] | null
  /** By `NAMESPACE/NAME`: the VirtualServices that it comes from, and its name there. */
  readonly sources: readonly (readonly [virtualService: string, name: string | undefined])[]
}

export interface Rules {
  readonly rules: readonly Rule[]
  /** What was asked for, and what was found: the rules hold while each name still gives the same object. */
  readonly delegates: ReadonlyMap<string, VirtualService | undefined>
  readonly problems: readonly Problem[]
}

/** @param delegates VirtualServices without hosts, by `NAMESPACE/NAME`. */
export function readRules(
  root: VirtualService,
  delegates: ReadonlyMap<string, VirtualService>,
  options: CompileOptions,
): Rules {
  const used = new Map<string, VirtualService | undefined>()
  const problems: Problem[] = []
  const rules = ownRules(root).flatMap((rule): Rule | Rule[] => {
    const { delegate } = rule.http
    if (delegate === undefined) return rule
    const name = `${delegate.namespace || root.metadata.namespace}/${delegate.name ?? ''}`
    const found = delegates.get(name)
    used.set(name, found)
    const reason = refusal(root, found, options)
    if (found === undefined || reason !== undefined) {
      problems.push(
        problem('error', root, `${rule.pointer}/delegate`, {
          code: 'virtual-service/delegate-not-found',
          istioCode: 'IST0101',
          message: `delegate ${name} ${reason ?? 'cannot be used'}, so the rule has no routes`,
        }),
      )
      return []
    }
    return delegateRules(rule, found, options, problems)
  })
  return { rules, delegates: used, problems }
}

function refusal(
  root: VirtualService,
  found: VirtualService | undefined,
  { mesh }: CompileOptions,
): string | undefined {
  if (found === undefined) return 'does not exist, or has hosts of its own'
  const { namespace } = root.metadata
  const fallback = mesh.defaultVirtualServiceExportTo
  if (isVisibleTo(found.spec.exportTo, found.metadata.namespace, namespace, fallback)) return undefined
  return `is not exported to namespace ${namespace}`
}

function ownRules(owner: VirtualService): Rule[] {
  const { namespace } = owner.metadata
  return (owner.spec.http ?? []).map((http, i) => {
    const pointer = `/spec/http/${i}`
    const matches = (http.match ?? []).map((match, j) => ({
      match: match.gateways?.length
        ? { ...match, gateways: match.gateways.map((name) => gatewayReference(name, namespace)) }
        : match,
      origin: originOf(owner, `${pointer}/match/${j}`),
    }))
    const sources = [[nameOf(owner), http.name] as const]
    return { http, owner, pointer, matches: matches.length === 0 ? null : matches, sources }
  })
}

function delegateRules(root: Rule, delegate: VirtualService, options: CompileOptions, problems: Problem[]): Rule[] {
  return ownRules(delegate).flatMap((rule) => {
    const matches = joinMatches(root.matches, rule.matches)
    if (rule.http.delegate !== undefined || matches === undefined) {
      const why =
        matches === undefined
          ? `one of its matches fits no match of ${nameOf(root.owner)} ${root.pointer}`
          : 'a delegate cannot delegate further'
      problems.push(
        problem('warning', delegate, rule.pointer, {
          code: 'virtual-service/delegate-conflict',
          message: `the rule is left out: ${why}`,
        }),
      )
      return []
    }
    const sources = [...root.sources, ...rule.sources]
    return [{ ...rule, http: inherit(root, rule.http, options), matches, sources }]
  })
}

/** @returns Undefined where a delegate's match is compatible with none of the root's. */
function joinMatches(
  root: readonly RuleMatch[] | null,
  delegate: readonly RuleMatch[] | null,
): readonly RuleMatch[] | null | undefined {
  if (root === null || delegate === null) return delegate ?? root
  const joined: RuleMatch[] = []
  for (const { match, origin } of delegate) {
    const fitting = root.flatMap((outer) => combineMatches(outer.match, match) ?? [])
    if (fitting.length === 0) return undefined
    joined.push(...fitting.map((combined) => ({ match: combined, origin })))
  }
  return joined
}

/** Fields that a delegate's rule takes over whole from the root's where it does not set them. */
const INHERITED = [
  'rewrite',
  'directResponse',
  'timeout',
  'retries',
  'fault',
  'mirror',
  'mirrorPercent',
  'mirrorPercentage',
  'mirrors',
  'corsPolicy',
  'headers',
] as const satisfies readonly (keyof HTTPRoute)[]

function inherit({ http: root, owner }: Rule, rule: HTTPRoute, options: CompileOptions): HTTPRoute {
  const completed = completeMirrors(root, owner.metadata.namespace, options.gateway.clusterDomain)
  const inherited = INHERITED.filter((field) => rule[field] === undefined && completed[field] !== undefined)
  const name = [root.name, rule.name].filter((part) => part).join('-')
  return {
    ...rule,
    ...Object.fromEntries(inherited.map((field) => [field, completed[field]])),
    ...(name === '' ? {} : { name }),
  }
}

/** Short names are the root's own: they must not be completed with the delegate's namespace. */
function completeMirrors(root: HTTPRoute, namespace: string, clusterDomain: string): HTTPRoute {
  const complete = (destination: Destination) => ({
    ...destination,
    host: fullHost(destination.host, namespace, clusterDomain),
  })
  return {
    ...root,
    ...(root.mirror ? { mirror: complete(root.mirror) } : {}),
    ...(root.mirrors
      ? {
          mirrors: root.mirrors.map((entry) =>
            entry.destination ? { ...entry, destination: complete(entry.destination) } : entry,
          ),
        }
      : {}),
  }
}
