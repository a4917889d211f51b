/**
 * Checks a request against rules: all that match count it, the first that is exhausted refuses it.
 *
 * Source: envoy: source/extensions/filters/http/{ratelimit,local_ratelimit} for statuses, headers and flags.
 */
import type { Exchange, HeaderEdit } from '../../exchange/exchange.ts'
import { headerValue, removeHeader } from '../../exchange/headers.ts'
import type { LocalReply } from '../../exchange/local-reply.ts'
import type { Verdict } from '../../limits/limiter.ts'
import type { FilterResult } from '../filter.ts'
import { type CompiledRule, type Decision, readHits, STORE_FAILED } from './rule.ts'

/** A rule that counts this request. */
interface Claim {
  readonly rule: CompiledRule
  readonly key: string
  readonly hits: number
}

export function checkRules(rules: readonly CompiledRule[], exchange: Exchange): FilterResult | Promise<FilterResult> {
  if (rules.length === 1) return checkOne(rules[0]!, exchange)
  const claims = claimsOf(rules, exchange)
  if (claims.length === 0) return undefined
  const now = performance.now()
  // A request that is refused anyway is counted nowhere: it has used nothing.
  for (const { rule, key, hits } of claims) {
    if (rule.plan.shadow) continue
    const verdict = rule.refusal(key, hits, now)
    if (verdict !== null) return refuse(exchange, rule, key, verdict)
  }
  const decisions: Decision[] = []
  let waiting: Promise<Decision>[] | null = null
  for (const { rule, key, hits } of claims) {
    const decision = rule.take(key, hits, now)
    if (decision instanceof Promise) {
      // The others are asked in the same turn of the event loop, which is one message to the store.
      waiting ??= decisions.map((known) => Promise.resolve(known))
      waiting.push(decision)
    } else if (waiting === null) decisions.push(decision)
    else waiting.push(Promise.resolve(decision))
  }
  if (waiting === null) return conclude(exchange, claims, decisions)
  if (waiting.length === 1) return waiting[0]!.then((decision) => conclude(exchange, claims, [decision]))
  return Promise.all(waiting).then((all) => conclude(exchange, claims, all))
}

/** The same for one rule, which is the usual case, without the lists that several need. */
function checkOne(rule: CompiledRule, exchange: Exchange): FilterResult | Promise<FilterResult> {
  if (rule.matches !== null && !rule.matches(exchange)) return undefined
  const key = rule.key(exchange)
  if (key === null) return undefined
  const hits = rule.hits(exchange)
  if (hits === 0 && rule.costHeader === null) return undefined
  const now = performance.now()
  const { scope, shadow } = rule.plan
  // In memory the refusal is found by counting: what does not fit is not counted.
  if (scope === 'global' && !shadow) {
    const verdict = rule.refusal(key, hits, now)
    if (verdict !== null) return refuse(exchange, rule, key, verdict)
  }
  const decision = rule.take(key, hits, now)
  if (decision instanceof Promise) return decision.then((late) => concludeOne(exchange, { rule, key, hits }, late))
  return concludeOne(exchange, { rule, key, hits }, decision)
}

function concludeOne(exchange: Exchange, claim: Claim, decision: Decision): FilterResult {
  const { rule } = claim
  if (typeof decision === 'string' || !decision.admitted || rule.costHeader !== null || rule.plan.shadow) {
    return conclude(exchange, [claim], [decision])
  }
  rule.counts.ok++
  if (rule.plan.responseHeaders && decision.remaining < exchange.limitsLeft) tell(exchange, rule, decision)
  return undefined
}

function claimsOf(rules: readonly CompiledRule[], exchange: Exchange): Claim[] {
  const claims: Claim[] = []
  for (const rule of rules) {
    if (rule.matches !== null && !rule.matches(exchange)) continue
    const key = rule.key(exchange)
    if (key === null) continue
    const hits = rule.hits(exchange)
    if (hits > 0 || rule.costHeader !== null) claims.push({ rule, key, hits })
  }
  return claims
}

function conclude(exchange: Exchange, claims: readonly Claim[], decisions: readonly Decision[]): FilterResult {
  let refused = -1
  for (let i = 0; i < claims.length; i++) {
    const decision = decisions[i]!
    const { rule } = claims[i]!
    if (refused === -1 && !rule.plan.shadow && isRefusal(decision)) refused = i
  }
  if (refused !== -1) return concludeRefusal(exchange, claims, decisions, refused)
  for (let i = 0; i < claims.length; i++) {
    const claim = claims[i]!
    countAdmitted(claim, decisions[i]!, exchange)
    if (claim.rule.costHeader !== null) (exchange.responseEdits ??= []).push(settleCost(claim))
  }
  tellLimits(exchange, claims, decisions)
  return undefined
}

function isRefusal(decision: Decision): boolean {
  return typeof decision === 'string' ? decision === 'deny' : !decision.admitted
}

function concludeRefusal(
  exchange: Exchange,
  claims: readonly Claim[],
  decisions: readonly Decision[],
  refused: number,
): LocalReply {
  const now = performance.now()
  // What this process counts itself is given back at once. In the store the hits of the other rules stay: to give
  // them back would cost another message for a request that is refused.
  for (const [index, { rule, key, hits }] of claims.entries()) {
    const decision = decisions[index]!
    if (rule.plan.scope === 'local' && typeof decision !== 'string' && decision.admitted) rule.adjust(key, -hits, now)
  }
  const { rule, key } = claims[refused]!
  const decision = decisions[refused]!
  if (typeof decision !== 'string') return refuse(exchange, rule, key, decision)
  rule.counts.store_failed_denied++
  return STORE_FAILED
}

function countAdmitted({ rule, key }: Claim, decision: Decision, exchange: Exchange): void {
  if (decision === 'allow') rule.counts.store_failed_allowed++
  // Of a rule on trial: it would have denied.
  else if (decision === 'deny') rule.counts.store_failed_denied++
  else if (decision.admitted) rule.counts.ok++
  else {
    rule.counts.shadow_over_limit++
    rule.onLimited(key, exchange)
  }
}

function refuse(exchange: Exchange, rule: CompiledRule, key: string, verdict: Verdict): LocalReply {
  rule.counts.over_limit++
  rule.onLimited(key, exchange)
  // Whatever is left for a cheaper request, for this one there is nothing.
  if (rule.plan.responseHeaders) (exchange.responseEdits ??= []).push(limitHeaders(rule, 0, verdict.resetMs))
  return rule.refuse(verdict)
}

/** Of several rules the one with the least hits left; rules on trial do not show. */
function tellLimits(exchange: Exchange, claims: readonly Claim[], decisions: readonly Decision[]): void {
  let least: Verdict | null = null
  let shown: CompiledRule | null = null
  for (let i = 0; i < claims.length; i++) {
    const decision = decisions[i]!
    const { rule } = claims[i]!
    if (typeof decision === 'string' || rule.plan.shadow || !rule.plan.responseHeaders) continue
    if (least !== null && least.remaining <= decision.remaining) continue
    least = decision
    shown = rule
  }
  // Policies that are checked at another time may have told of less already.
  if (least === null || shown === null || least.remaining >= exchange.limitsLeft) return
  tell(exchange, shown, least)
}

function tell(exchange: Exchange, rule: CompiledRule, { remaining, resetMs }: Verdict): void {
  exchange.limitsLeft = remaining
  ;(exchange.responseEdits ??= []).push(limitHeaders(rule, remaining, resetMs))
}

const NAMES = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'] as const

/** Those of an upstream, which has limits of its own, are replaced. */
function limitHeaders({ limitText }: CompiledRule, remaining: number, resetMs: number): HeaderEdit {
  return (headers) => {
    for (let i = 0; i < headers.length; i += 2) {
      if (!headers[i]!.startsWith('x-ratelimit-')) continue
      for (const name of NAMES) removeHeader(headers, name)
      break
    }
    headers.push(NAMES[0], limitText, NAMES[1], String(remaining), NAMES[2], String(Math.ceil(resetMs / 1000)))
  }
}

/** The answer says what the request cost: the difference to what was taken is counted now. */
function settleCost({ rule, key, hits }: Claim): HeaderEdit {
  return (headers) => {
    const cost = readHits(headerValue(headers, rule.costHeader!))
    if (cost !== null && cost !== hits) rule.adjust(key, cost - hits, performance.now())
  }
}
