/** Rules, tokens and exchanges as short as tests of authorization want them. */
import type { Exchange, VerifiedToken } from '../../../../src/exchange/exchange.ts'
import { operationConditions, sourceConditions, whenConditions } from '../../../../src/compile/security/conditions.ts'
import type { AuthorizationPlan, AuthorizationRulePlan, ConditionPlan } from '../../../../src/plan/authorization.ts'
import type { Condition, Operation, Rule, Source } from '../../../../src/resources/authorization-policy.ts'
import { makeExchange, type RequestFacts } from '../../routing/exchanges.ts'

const READING = { mesh: { trustDomain: 'cluster.local', trustDomainAliases: [] }, namespace: 'edge' }

export const source = (fields: Source): ConditionPlan[] => sourceConditions(fields, READING)
export const operation = (fields: Operation): ConditionPlan[] => operationConditions(fields, READING)
export const when = (condition: Condition): ConditionPlan[] => whenConditions(condition, READING)!

/** `ns[edge]-policy[NAME]-rule[0]` */
export function makeRule(
  name: string,
  { from = [], to = [], when: conditions = [] }: Rule = {},
): AuthorizationRulePlan {
  return {
    id: `ns[edge]-policy[${name}]-rule[0]`,
    origin: { kind: 'AuthorizationPolicy', namespace: 'edge', name, pointer: '/spec/rules/0' },
    from: from.map((entry) => source(entry.source ?? {})),
    to: to.map((entry) => operation(entry.operation ?? {})),
    when: conditions.flatMap(when),
  }
}

export function makePlan(parts: Partial<AuthorizationPlan> = {}): AuthorizationPlan {
  return { custom: [], audit: [], deny: [], allow: null, dryRun: { deny: [], allow: null }, ...parts }
}

export function makeToken(claims: Readonly<Record<string, unknown>>): VerifiedToken {
  const { iss = '', sub = '', aud = [], azp = '' } = claims
  return {
    issuer: String(iss),
    subject: String(sub),
    audiences: [aud].flat().map(String),
    presenter: String(azp),
    claims,
  }
}

export interface Facts extends RequestFacts {
  readonly peer?: string
  readonly client?: string
  readonly local?: string
  /** Claims of the request's tokens. */
  readonly tokens?: readonly Readonly<Record<string, unknown>>[]
}

export function makeRequest({ peer, client, local, tokens = [], ...facts }: Facts = {}): Exchange {
  const exchange = makeExchange(facts)
  exchange.peerAddress = peer ?? '192.0.2.7:4444'
  exchange.clientAddress = client ?? exchange.peerAddress
  exchange.localAddress = local ?? '10.0.0.1:80'
  exchange.tokens = tokens.map(makeToken)
  return exchange
}
