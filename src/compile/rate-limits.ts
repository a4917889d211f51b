/**
 * RateLimitPolicies: what each says with its defaults filled in, and which routes it is for. Routes name their policies
 * and hold nothing of them, so that a changed limit changes no virtual host.
 */
import { parseDuration } from '../lib/duration.ts'
import type { Problem } from '../plan/problem.ts'
import type {
  RateLimitKeyPlan,
  RateLimitMatchPlan,
  RateLimitPolicyPlan,
  RateLimitRulePlan,
} from '../plan/rate-limit.ts'
import type { RateLimitDefaults, RateLimitKey, RateLimitPolicy, RateLimitRule } from '../resources/rate-limit-policy.ts'
import type { HTTPMatchRequest } from '../resources/virtual-service.ts'
import { nameOf, problem } from './findings.ts'
import { Memo } from './memo.ts'
import type { CompileOptions } from './options.ts'
import { appliesTo, compileMatch, misspeltClaims, needsClaims } from './routes/match.ts'
import type { Workload } from './workload.ts'

/** Which routes a policy is for. */
export interface RateLimitTarget {
  /** Name of the policy. */
  readonly policy: string
  /** Routes of this namespace's VirtualServices; `*`: every route; null: those of `references` alone. */
  readonly namespace: string | null
  readonly references: readonly {
    readonly kind: 'VirtualService' | 'Gateway'
    /** `NAMESPACE/NAME` */
    readonly name: string
    /** An http route by its name, or a server by its port's; absent: all of it. */
    readonly section?: string
  }[]
}

export interface CompiledRateLimits {
  readonly plans: Readonly<Record<string, RateLimitPolicyPlan>>
  /** In the order in which policies are checked: those of the root namespace first. */
  readonly targets: readonly RateLimitTarget[]
  readonly problems: readonly Problem[]
}

/** Compiles policies; one that did not change gives the object that it gave before. */
export function createRateLimitCompiler(
  options: CompileOptions,
): (policies: readonly RateLimitPolicy[], workload: Workload) => CompiledRateLimits {
  const memo = new Memo<{ readonly plan: RateLimitPolicyPlan; readonly problems: readonly Problem[] }>()
  return (policies, workload) => {
    memo.begin()
    const plans: Record<string, RateLimitPolicyPlan> = {}
    const problems: Problem[] = []
    const root = options.mesh.rootNamespace
    const ordered = [
      ...policies.filter(({ metadata }) => metadata.namespace === root),
      ...policies.filter(({ metadata }) => metadata.namespace !== root),
    ]
    for (const policy of ordered) {
      const name = nameOf(policy)
      const compiled = memo.get(name, [policy, workload], () => compilePolicy(policy, workload, options))
      plans[name] = compiled.plan
      problems.push(...compiled.problems)
    }
    memo.end()
    return { plans, targets: ordered.map((policy) => targetOf(policy, root)), problems }
  }
}

function targetOf(policy: RateLimitPolicy, root: string): RateLimitTarget {
  const { namespace } = policy.metadata
  const { targetRefs = [] } = policy.spec
  if (targetRefs.length === 0) {
    return { policy: nameOf(policy), namespace: namespace === root ? '*' : namespace, references: [] }
  }
  return {
    policy: nameOf(policy),
    namespace: null,
    references: targetRefs.map(({ kind, name, sectionName }) => ({
      kind,
      name: `${namespace}/${name}`,
      ...(sectionName ? { section: sectionName } : {}),
    })),
  }
}

function compilePolicy(policy: RateLimitPolicy, workload: Workload, options: CompileOptions) {
  const { rules = [], defaults = {} } = policy.spec
  const problems: Problem[] = []
  const plans = rules.flatMap((rule, index): RateLimitRulePlan | [] => {
    const whole = { ...defaults, ...rule }
    // Reading the object has refused it without a limit.
    if (whole.limit === undefined) return []
    return compileRule(policy, index, whole, { workload, options, problems })
  })
  const plan = {
    name: nameOf(policy),
    needsTokens: plans.some(
      ({ key, matches }) =>
        key.some(({ kind }) => kind === 'claim') ||
        (matches ?? []).some(({ headers = [] }) => headers.some(({ claim }) => claim !== undefined)),
    ),
    rules: plans,
  }
  return { plan, problems }
}

interface RuleContext {
  readonly workload: Workload
  readonly options: CompileOptions
  readonly problems: Problem[]
}

function compileRule(
  policy: RateLimitPolicy,
  index: number,
  rule: RateLimitRule & RateLimitDefaults,
  { workload, options, problems }: RuleContext,
): RateLimitRulePlan {
  const { requests, per, burst = 0 } = rule.limit!
  const { hasRedis } = options.mesh
  if (rule.scope === 'global' && !hasRedis) {
    problems.push(
      problem('warning', policy, `/spec/rules/${index}`, {
        code: 'rate-limit-policy/no-store',
        message: 'scope is global and no Redis is set, so each gateway process counts for itself',
        remedy: 'Set redis.url in sluice.yaml, or scope: local.',
      }),
    )
  }
  const scope = hasRedis ? (rule.scope ?? 'global') : 'local'
  const { hits = 1, missing = 'skip', window = 'fixed', whenStoreFails = 'local', shadow = false } = rule
  return {
    name: rule.name ?? `rule-${index}`,
    matches: compileMatches(policy, index, rule.match, workload, problems),
    key: (rule.key ?? []).flatMap(compileKey),
    missing,
    limit: { requests, perMs: parseDuration(per) ?? 1000, burst },
    window,
    scope,
    whenStoreFails,
    shadow,
    hits: typeof hits === 'number' ? hits : { header: hits.header.toLowerCase() },
    status: rule.status ?? 429,
    body: rule.body ?? (scope === 'local' ? 'local_rate_limited' : ''),
    responseHeaders: rule.responseHeaders !== 'none',
  }
}

/** Matches that can hold on this gateway; null: every request. */
function compileMatches(
  policy: RateLimitPolicy,
  index: number,
  matches: readonly HTTPMatchRequest[] | undefined,
  workload: Workload,
  problems: Problem[],
): readonly RateLimitMatchPlan[] | null {
  if (matches === undefined || matches.length === 0) return null
  return matches.flatMap((match, at): RateLimitMatchPlan | [] => {
    const { port, ...rest } = match
    if (!appliesTo(rest, { gateway: '', port: 0, tls: false, section: '' }, workload)) return []
    if (needsClaims(match) && misspeltClaims(match).length > 0) {
      problems.push(
        problem('error', policy, `/spec/rules/${index}/match/${at}`, {
          code: 'rate-limit-policy/claims',
          message: `"${misspeltClaims(match)[0]}" names no claim, so the match is left out`,
          remedy: 'Write @request.auth.claims.NAME, or @request.auth.claims[NAME] for a name with dots.',
        }),
      )
      return []
    }
    return { ...compileMatch(rest), ...(port ? { port } : {}) }
  })
}

function compileKey(key: RateLimitKey): RateLimitKeyPlan | [] {
  if (key.clientIP !== undefined) {
    const { prefixLength = 128, ipv4PrefixLength = 32 } = key.clientIP
    return { kind: 'clientIP', ipv4Bits: ipv4PrefixLength, ipv6Bits: prefixLength }
  }
  if (key.header !== undefined) return { kind: 'header', name: key.header.toLowerCase() }
  if (key.cookie !== undefined) return { kind: 'cookie', name: key.cookie }
  if (key.query !== undefined) return { kind: 'query', name: key.query }
  if (key.claim !== undefined) return { kind: 'claim', path: key.claim.split('.') }
  if (key.peer !== undefined) return { kind: 'peer' }
  if (key.host !== undefined) return { kind: 'host' }
  if (key.method !== undefined) return { kind: 'method' }
  return key.path === undefined ? [] : { kind: 'path' }
}

/** Where a route comes from: the VirtualService that its rule is in, and the one that delegates to it. */
export interface RoutePlace {
  /** `NAMESPACE/NAME` of a VirtualService, and the name of its http route. */
  readonly virtualServices: readonly (readonly [name: string, section: string | undefined])[]
  /** `NAMESPACE/NAME` of the Gateway, and the name of its server's port. */
  readonly gateway: string
  readonly section: string
}

/** Names of the policies of a route, in the order in which they are checked. */
export function rateLimitsOf(targets: readonly RateLimitTarget[], place: RoutePlace): readonly string[] {
  return targets.filter((target) => isFor(target, place)).map(({ policy }) => policy)
}

function isFor({ namespace, references }: RateLimitTarget, place: RoutePlace): boolean {
  if (namespace === '*') return true
  if (namespace !== null) return place.virtualServices.some(([name]) => name.startsWith(`${namespace}/`))
  return references.some(({ kind, name, section }) => {
    if (kind === 'Gateway') return name === place.gateway && (section === undefined || section === place.section)
    return place.virtualServices.some(([own, http]) => own === name && (section === undefined || section === http))
  })
}

/** Whether the servers of a Gateway have to be told apart by the names of their ports. */
export function namesSections(targets: readonly RateLimitTarget[], gateway: string): boolean {
  return targets.some(({ references }) =>
    references.some(({ kind, name, section }) => kind === 'Gateway' && name === gateway && section !== undefined),
  )
}
