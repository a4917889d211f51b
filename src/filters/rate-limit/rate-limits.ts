/**
 * The RateLimitPolicies of a worker, kept in step with the plan. Counters and buckets outlive a change that does not
 * concern them: they are found by what they depend on.
 */
import type { Exchange } from '../../exchange/exchange.ts'
import { removeHeader } from '../../exchange/headers.ts'
import { FixedWindow } from '../../limits/fixed-window.ts'
import type { LimitStore } from '../../limits/limit-store.ts'
import type { LimitShape, LocalLimiter } from '../../limits/limiter.ts'
import { SlidingWindow } from '../../limits/sliding-window.ts'
import type { RateLimitMatchPlan, RateLimitPolicyPlan, RateLimitRulePlan } from '../../plan/rate-limit.ts'
import type { Filter, FilterResult } from '../filter.ts'
import { checkRules } from './check.ts'
import { type CompiledRule, compileRule, type RuleCounts } from './rule.ts'

export interface RateLimitsDeps {
  /** Null: there is none. */
  readonly store: LimitStore | null
  /** Bound on the buckets that a rule holds in this process. */
  readonly maxBuckets: number
  readonly compileMatch: (match: RateLimitMatchPlan) => (exchange: Exchange) => boolean
}

/** Policies that routes name, and whose rules they share. */
interface CompiledPolicy {
  readonly needsTokens: boolean
  readonly rules: readonly CompiledRule[]
  /** Of `local` limiters. */
  readonly identities: readonly string[]
}

/** Which of a request's policies are checked: all, or those that come before, or after, tokens are verified. */
export type Stage = 'all' | 'before-tokens' | 'after-tokens'

export class RateLimits {
  readonly #deps: RateLimitsDeps
  readonly #policies = new Map<string, CompiledPolicy>()
  /** By identity: what a rule counts in, as long as a policy has such a rule. */
  readonly #limiters = new Map<string, LocalLimiter>()
  /** By policy and rule, for as long as the policy is there. */
  readonly #counts = new Map<string, RuleCounts>()
  /** Headers that say what a request costs. */
  #costHeaders: readonly string[] = []
  /** Goes up with every change: what routes have worked out holds for one version. */
  #version = 0

  constructor(deps: RateLimitsDeps) {
    this.#deps = deps
  }

  get isEmpty(): boolean {
    return this.#policies.size === 0
  }

  /** Some rule is counted in the store. */
  get usesStore(): boolean {
    if (this.#deps.store === null) return false
    return [...this.#policies.values()].some(({ rules }) => rules.some(({ plan }) => plan.scope === 'global'))
  }

  set(plan: RateLimitPolicyPlan): void {
    const identities = plan.rules.map((rule) => identityOf(plan.name, rule))
    const rules = plan.rules.map((rule, index) => this.#compileRule(plan.name, rule, identities[index]!))
    this.#policies.set(plan.name, { needsTokens: plan.needsTokens, rules, identities })
    this.#changed()
  }

  delete(name: string): void {
    if (this.#policies.delete(name)) this.#changed()
  }

  /** Takes out of a request what only the gateway's own policies and upstreams may say. */
  distrust({ headers }: Exchange): void {
    for (const name of this.#costHeaders) removeHeader(headers, name)
  }

  /**
   * A filter for the policies of one route.
   *
   * @param names In the order in which they are checked. One that is gone is passed over. Those that a request was
   * checked by already are not checked again.
   */
  compile(names: readonly string[]): Filter {
    let version = -1
    let rules: readonly CompiledRule[] = []
    return (exchange) => {
      if (exchange.checkedLimits !== null) return this.check(names, exchange, 'all')
      if (version !== this.#version) {
        version = this.#version
        rules = this.#rulesOf(names, 'all')
      }
      return rules.length === 0 ? undefined : checkRules(rules, exchange)
    }
  }

  /** Checks a request by those of the named policies that belong to the stage and were not checked yet. */
  check(names: readonly string[], exchange: Exchange, stage: Stage): FilterResult | Promise<FilterResult> {
    const checked = exchange.checkedLimits
    if (checked === names) return undefined
    const due = names.filter((name) => !checked?.includes(name) && this.#isDue(name, stage))
    // The same list as the route's tells at a glance that nothing is left to check.
    exchange.checkedLimits = checked === null && due.length === names.length ? names : [...(checked ?? []), ...due]
    const rules = this.#rulesOf(due, 'all')
    return rules.length === 0 ? undefined : checkRules(rules, exchange)
  }

  counts(): readonly RuleCounts[] {
    return [...this.#counts.values()]
  }

  #isDue(name: string, stage: Stage): boolean {
    return stage !== 'before-tokens' || this.#policies.get(name)?.needsTokens !== true
  }

  #rulesOf(names: readonly string[], stage: Stage): readonly CompiledRule[] {
    return names.flatMap((name) => (this.#isDue(name, stage) ? (this.#policies.get(name)?.rules ?? []) : []))
  }

  #compileRule(policy: string, plan: RateLimitRulePlan, identity: string): CompiledRule {
    const { store, maxBuckets, compileMatch } = this.#deps
    const { requests, burst, perMs } = plan.limit
    const shape: LimitShape = { capacity: requests + burst, perMs }
    let local = this.#limiters.get(identity)
    if (local === undefined) {
      local = createLimiter(shape, plan.window, maxBuckets)
      this.#limiters.set(identity, local)
    }
    const isGlobal = store !== null && plan.scope === 'global'
    return compileRule(policy, plan, {
      compileMatch,
      local,
      store: isGlobal
        ? { store, buckets: store.buckets(identity, shape, plan.window, typeof plan.hits !== 'number') }
        : null,
      counts: this.#countsOf(policy, plan.name),
      onLimited: () => {},
    })
  }

  #countsOf(policy: string, rule: string): RuleCounts {
    const key = `${policy} ${rule}`
    let counts = this.#counts.get(key)
    if (counts === undefined) {
      counts = {
        policy,
        rule,
        ok: 0,
        over_limit: 0,
        shadow_over_limit: 0,
        store_failed_allowed: 0,
        store_failed_denied: 0,
      }
      this.#counts.set(key, counts)
    }
    return counts
  }

  #changed(): void {
    this.#version++
    const used = new Set<string>()
    const costHeaders = new Set<string>()
    for (const { identities, rules } of this.#policies.values()) {
      for (const identity of identities) used.add(identity)
      for (const { costHeader } of rules) if (costHeader !== null) costHeaders.add(costHeader)
    }
    for (const identity of this.#limiters.keys()) if (!used.has(identity)) this.#limiters.delete(identity)
    const policies = new Set(this.#policies.keys())
    for (const [key, { policy }] of this.#counts) if (!policies.has(policy)) this.#counts.delete(key)
    this.#costHeaders = [...costHeaders]
  }
}

/** Everything that makes a bucket another one: the rule's name and what it counts, not what it answers. */
function identityOf(policy: string, { name, key, limit, window }: RateLimitRulePlan): string {
  return JSON.stringify([policy, name, key, limit.requests, limit.burst, limit.perMs, window])
}

function createLimiter(shape: LimitShape, window: 'fixed' | 'sliding', maxBuckets: number): LocalLimiter {
  const limiter = window === 'fixed' ? new FixedWindow(shape, maxBuckets) : new SlidingWindow(shape, maxBuckets)
  return {
    take: (key, hits, now) => limiter.take(key, hits, now),
    refusal: (key, hits, now) => limiter.refusal(key, hits, now),
    adjust: (key, delta, now) => limiter.adjust(key, delta, now),
  }
}
