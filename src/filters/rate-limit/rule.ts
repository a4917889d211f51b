/** One rule of a RateLimitPolicy made ready: what it asks of a request, and what it answers. */
import type { Exchange } from '../../exchange/exchange.ts'
import { headerValue } from '../../exchange/headers.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import type { LimitStore, StoreBuckets } from '../../limits/limit-store.ts'
import type { LocalLimiter, Verdict } from '../../limits/limiter.ts'
import type { RateLimitMatchPlan, RateLimitRulePlan } from '../../plan/rate-limit.ts'
import { compileKey } from './key.ts'

/** How often a rule decided what, since it is there. */
export interface RuleCounts {
  readonly policy: string
  readonly rule: string
  /** Admitted. */
  ok: number
  /** Refused. */
  over_limit: number
  /** Would have been refused, and was admitted because the rule is on trial. */
  shadow_over_limit: number
  /** The store failed, and `whenStoreFails` decided. */
  store_failed_allowed: number
  store_failed_denied: number
}

/** What a rule makes of one request. The store failed: `whenStoreFails` allows or denies it. */
export type Decision = Verdict | 'allow' | 'deny'

export interface CompiledRule {
  readonly plan: RateLimitRulePlan
  readonly policy: string
  readonly counts: RuleCounts
  /** Whether the rule is for the request; null: it is for all. */
  readonly matches: ((exchange: Exchange) => boolean) | null
  /** The key of the bucket; null: the request lacks what the rule counts by. */
  readonly key: (exchange: Exchange) => string | null
  /** What the request costs, at least 0. */
  readonly hits: (exchange: Exchange) => number
  /** Header (lower case) of answers that says what a request cost; null: it is known beforehand. */
  readonly costHeader: string | null
  /** The refusal, where it is known without counting. */
  readonly refusal: (key: string, hits: number, now: number) => Verdict | null
  readonly take: (key: string, hits: number, now: number) => Decision | Promise<Decision>
  readonly adjust: (key: string, delta: number, now: number) => void
  /** Told of refused requests, those of rules on trial too. */
  readonly onLimited: (key: string, exchange: Exchange) => void
  readonly refuse: (verdict: Verdict) => LocalReply
  /** `x-ratelimit-limit` */
  readonly limitText: string
}

export interface RuleDeps {
  readonly compileMatch: (match: RateLimitMatchPlan) => (exchange: Exchange) => boolean
  readonly local: LocalLimiter
  /** Null: there is none, or the rule does not use it. */
  readonly store: { readonly store: LimitStore; readonly buckets: StoreBuckets } | null
  readonly counts: RuleCounts
  readonly onLimited: (key: string, exchange: Exchange) => void
}

/** The store failed and may not be guessed for. Source: envoy: ratelimit.cc (`status_on_error`), semantics §10. */
export const STORE_FAILED: LocalReply = { status: 500, flag: 'RLSE', details: 'rate_limiter_error' }

/** A cost beyond this is taken for a mistake, and for this. */
const MOST_HITS = 1_000_000_000

export function compileRule(policy: string, plan: RateLimitRulePlan, deps: RuleDeps): CompiledRule {
  const { local, store, counts, onLimited } = deps
  const { requests, perMs } = plan.limit
  const costHeader = typeof plan.hits === 'number' ? null : plan.hits.header
  return {
    plan,
    policy,
    counts,
    matches: compileMatches(plan.matches, deps),
    key: compileKey(plan),
    hits: compileHits(plan.hits),
    costHeader,
    ...(store === null ? local : compileGlobal(plan, store.store, store.buckets, local)),
    onLimited,
    refuse: compileRefusal(plan),
    limitText: `${requests}, ${requests};w=${Math.ceil(perMs / 1000)}`,
  }
}

function compileMatches(
  matches: RateLimitRulePlan['matches'],
  { compileMatch }: RuleDeps,
): ((exchange: Exchange) => boolean) | null {
  if (matches === null) return null
  const tests = matches.map((match) => {
    const test = compileMatch(match)
    const { port } = match
    return port === undefined ? test : (exchange: Exchange) => exchange.listener.port === port && test(exchange)
  })
  if (tests.length === 1) return tests[0]!
  return (exchange) => tests.some((test) => test(exchange))
}

function compileHits(hits: RateLimitRulePlan['hits']): (exchange: Exchange) => number {
  if (typeof hits === 'number') return () => hits
  const { header } = hits
  return ({ headers }) => readHits(headerValue(headers, header)) ?? 1
}

/** What a header says that a request costs; null: it says nothing that can be used. */
export function readHits(text: string | undefined): number | null {
  return text === undefined || !/^\d{1,15}$/.test(text) ? null : Math.min(Number(text), MOST_HITS)
}

/** Counts in the store, and where that fails as `whenStoreFails` says. */
function compileGlobal(
  { whenStoreFails }: RateLimitRulePlan,
  store: LimitStore,
  buckets: StoreBuckets,
  local: LocalLimiter,
): Pick<CompiledRule, 'refusal' | 'take' | 'adjust'> {
  const instead = (key: string, hits: number): Decision | Promise<Decision> =>
    whenStoreFails === 'local' ? local.take(key, hits, performance.now()) : whenStoreFails
  return {
    refusal: (key, hits, now) => {
      if (store.isUp()) return buckets.refusal(key, hits, now)
      return whenStoreFails === 'local' ? local.refusal(key, hits, now) : null
    },
    take: (key, hits) => {
      if (!store.isUp()) return instead(key, hits)
      return buckets.take(key, hits).then((verdict) => verdict ?? instead(key, hits))
    },
    adjust: (key, delta, now) => {
      if (store.isUp()) buckets.adjust(key, delta)
      else if (whenStoreFails === 'local') local.adjust(key, delta, now)
    },
  }
}

function compileRefusal({ status, body, scope }: RateLimitRulePlan): (verdict: Verdict) => LocalReply {
  const details = scope === 'local' ? 'local_rate_limited' : 'request_rate_limited'
  const content = body === '' ? {} : { body }
  return ({ resetMs }) => ({
    status,
    ...content,
    headers: ['x-envoy-ratelimited', 'true', 'retry-after', String(Math.max(1, Math.ceil(resetMs / 1000)))],
    flag: 'RL',
    details,
  })
}
