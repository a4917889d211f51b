/**
 * AuthorizationPolicies → plan.
 *
 * Source: istio: pilot/pkg/security/authz/builder/builder.go, pilot/pkg/model/authorization.go; semantics §5.6.
 */
import type {
  AuthorizationPlan,
  AuthorizationRulePlan,
  ConditionPlan,
  CustomAuthorizationPlan,
} from '../../plan/authorization.ts'
import type { ExtAuthzProviderPlan } from '../../plan/ext-authz.ts'
import type { AuthorizationPolicyPlan } from '../../plan/policy.ts'
import type { Problem } from '../../plan/problem.ts'
import type { AuthorizationPolicy, Rule } from '../../resources/authorization-policy.ts'
import { originOf, pointerPart, problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import type { Workload } from '../workload.ts'
import { operationConditions, type Reading, sourceConditions, whenConditions } from './conditions.ts'
import { type Selection, selectionOf } from './selection.ts'

export const DRY_RUN_ANNOTATION = 'istio.io/dry-run'

export const NO_AUTHORIZATION: AuthorizationPlan = {
  custom: [],
  audit: [],
  deny: [],
  allow: null,
  dryRun: { deny: [], allow: null },
}

export interface Authorization {
  readonly plan: AuthorizationPlan
  /** All policies that the plan is made of. */
  readonly applied: readonly AuthorizationPolicyPlan[]
  /** Policies that cannot be understood: what they guard has to be closed. */
  readonly notUnderstood: readonly AuthorizationPolicy[]
  readonly problems: readonly Problem[]
}

/** A policy that is for this gateway, with its rules. */
interface Applied {
  readonly policy: AuthorizationPolicy
  readonly selection: Selection
  readonly isTrial: boolean
  readonly rules: readonly AuthorizationRulePlan[]
}

/** @param providers External authorizers by name; null for one that is broken. */
export function compileAuthorization(
  policies: readonly AuthorizationPolicy[],
  providers: ReadonlyMap<string, ExtAuthzProviderPlan | null>,
  workload: Workload,
  options: CompileOptions,
): Authorization {
  const notUnderstood: AuthorizationPolicy[] = []
  const problems: Problem[] = []
  const byAction: Record<'CUSTOM' | 'AUDIT' | 'DENY' | 'ALLOW', Applied[]> = {
    CUSTOM: [],
    AUDIT: [],
    DENY: [],
    ALLOW: [],
  }
  for (const policy of policies) {
    const selection = selectionOf(policy, workload, options)
    if (selection === 'none') continue
    const rules = compileRules(policy, options)
    if (rules === null) notUnderstood.push(policy)
    else byAction[policy.spec.action ?? 'ALLOW'].push({ policy, selection, isTrial: isTrial(policy), rules })
    problems.push(...withoutEffect(policy))
  }
  const { CUSTOM, AUDIT, DENY, ALLOW } = byAction
  const { custom, problems: customProblems } = compileCustom(CUSTOM, providers)
  const { allow, problems: allowProblems } = compileAllow(ALLOW.filter(({ isTrial: trial }) => !trial))
  const allowTrials = ALLOW.filter(({ isTrial: trial }) => trial)
  return {
    plan: {
      custom,
      audit: rulesOf(AUDIT),
      deny: ordered(
        DENY.filter(({ isTrial: trial }) => !trial),
        options,
      ),
      allow,
      dryRun: {
        deny: rulesOf(DENY.filter(({ isTrial: trial }) => trial)),
        allow: allowTrials.length === 0 ? null : rulesOf(allowTrials),
      },
    },
    applied: Object.values(byAction).flatMap((list) =>
      list.map(({ policy, isTrial: trial }) => ({
        origin: originOf(policy),
        action: policy.spec.action ?? 'ALLOW',
        isTrial: trial,
      })),
    ),
    notUnderstood,
    problems: [...problems, ...customProblems, ...allowProblems],
  }
}

/** The values of Go's `strconv.ParseBool` that mean true; what is neither true nor false is no trial. */
function isTrial({ metadata }: AuthorizationPolicy): boolean {
  return ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(metadata.annotations[DRY_RUN_ANNOTATION] ?? '')
}

/** @returns Null where a rule cannot be understood. */
function compileRules(policy: AuthorizationPolicy, { mesh }: CompileOptions): AuthorizationRulePlan[] | null {
  const { namespace, name } = policy.metadata
  const rules: AuthorizationRulePlan[] = []
  for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
    const parts = compileRule(rule, { mesh, namespace })
    if (parts === null) return null
    const id = `ns[${namespace}]-policy[${name}]-rule[${index}]`
    rules.push({ id, origin: originOf(policy, `/spec/rules/${pointerPart(index)}`), ...parts })
  }
  return rules
}

function compileRule(rule: Rule, reading: Reading): Pick<AuthorizationRulePlan, 'from' | 'to' | 'when'> | null {
  const when: ConditionPlan[] = []
  for (const condition of rule.when ?? []) {
    const conditions = whenConditions(condition, reading)
    if (conditions === null) return null
    when.push(...conditions)
  }
  return {
    from: (rule.from ?? []).map(({ source }) => sourceConditions(source ?? {}, reading)),
    to: (rule.to ?? []).map(({ operation }) => operationConditions(operation ?? {}, reading)),
    when,
  }
}

function rulesOf(applied: readonly Applied[]): AuthorizationRulePlan[] {
  return applied.flatMap(({ rules }) => rules)
}

/** In the order in which Envoy finds the rule that it names: the root namespace's first, then by id. */
function ordered(applied: readonly Applied[], { mesh }: CompileOptions): AuthorizationRulePlan[] {
  const rank = ({ origin }: AuthorizationRulePlan) => (origin.namespace === mesh.rootNamespace ? 0 : 1)
  return rulesOf(applied).sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
}

interface CompiledCustom {
  readonly custom: readonly CustomAuthorizationPlan[]
  readonly problems: readonly Problem[]
}

/** Each provider's rules together. Istio asks one provider for a workload; with several it asks none and denies. */
function compileCustom(
  applied: readonly Applied[],
  providers: ReadonlyMap<string, ExtAuthzProviderPlan | null>,
): CompiledCustom {
  const byProvider = new Map<string, Applied[]>()
  for (const entry of applied) {
    const name = entry.policy.spec.provider?.name ?? ''
    byProvider.set(name, [...(byProvider.get(name) ?? []), entry])
  }
  const several = byProvider.size > 1
  const problems: Problem[] = []
  const custom = [...byProvider].map(([name, entries]): CustomAuthorizationPlan => {
    const provider = several ? null : (providers.get(name) ?? null)
    if (provider === null) {
      const why = several
        ? `this gateway has several external authorizers (${[...byProvider.keys()].join(', ')}), of which it may have one`
        : providers.has(name)
          ? `the provider "${name}" in mesh.extensionProviders is not usable`
          : `there is no provider "${name}" in mesh.extensionProviders`
      for (const { policy } of entries) {
        problems.push(
          problem('error', policy, '/spec/provider/name', {
            code: 'authorization-policy/provider',
            message: `${why}, so requests that match this policy are refused with 403`,
          }),
        )
      }
    }
    return { name, provider, rules: rulesOf(entries) }
  })
  return { custom, problems }
}

interface CompiledAllow {
  readonly allow: readonly AuthorizationRulePlan[] | null
  readonly problems: readonly Problem[]
}

/**
 * Policies that are only possibly for this gateway close it as if they were, and open it only where no other policy
 * could be the one that counts: with certain ones around those decide alone, with several selectors nobody does.
 */
function compileAllow(applied: readonly Applied[]): CompiledAllow {
  if (applied.length === 0) return { allow: null, problems: [] }
  const certain = applied.filter(({ selection }) => selection === 'certain')
  const possible = applied.filter(({ selection }) => selection === 'possible')
  const selectors = new Set(possible.map(({ policy }) => canonical(policy.spec.selector?.matchLabels ?? {})))
  if (possible.length === 0 || (certain.length === 0 && selectors.size === 1)) {
    return { allow: rulesOf(applied), problems: [] }
  }
  const problems = possible.map(({ policy }) =>
    problem('warning', policy, '/spec/selector', {
      code: 'security/uncertain-selector',
      message: "this gateway's labels are not known, so what this policy allows is not taken to be allowed here",
      remedy: 'Say what the labels of this gateway are with --labels.',
    }),
  )
  return { allow: rulesOf(certain), problems }
}

function canonical(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Keys that no request of this gateway has anything for. */
function withoutEffect(policy: AuthorizationPolicy): Problem[] {
  return (policy.spec.rules ?? []).flatMap((rule, index) =>
    (rule.when ?? []).flatMap(({ key }, at) =>
      key.startsWith('experimental.')
        ? [
            problem('warning', policy, `/spec/rules/${index}/when/${at}/key`, {
              code: 'authorization-policy/no-metadata',
              message: 'no filter of this gateway leaves metadata behind: values never match, notValues always do',
            }),
          ]
        : [],
    ),
  )
}
