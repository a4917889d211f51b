/** Rules as closures, and which of a list matches first. */
import type { Exchange } from '../../exchange/exchange.ts'
import type { AuthorizationRulePlan, ConditionPlan } from '../../plan/authorization.ts'
import { compileCondition, type ExchangeTest } from './conditions.ts'
import { indexByHost } from './host-index.ts'

/** @returns The first rule that matches, or null. */
export type RuleSearch = (exchange: Exchange) => AuthorizationRulePlan | null

export function compileRules(rules: readonly AuthorizationRulePlan[]): RuleSearch {
  const candidates = indexByHost(rules.map((rule) => [rule, { rule, matches: compileRule(rule) }] as const))
  return (exchange) => {
    for (const { rule, matches } of candidates(exchange.host)) if (matches(exchange)) return rule
    return null
  }
}

export function compileRule({ from, to, when }: AuthorizationRulePlan): ExchangeTest {
  return all([...anyOf(to), ...anyOf(from), ...when.map(compileCondition)])
}

/** No list at all matches everything; so does an entry without conditions. */
function anyOf(entries: readonly (readonly ConditionPlan[])[]): ExchangeTest[] {
  if (entries.length === 0 || entries.some((conditions) => conditions.length === 0)) return []
  const tests = entries.map((conditions) => all(conditions.map(compileCondition)))
  if (tests.length === 1) return tests
  return [
    (exchange) => {
      for (const test of tests) if (test(exchange)) return true
      return false
    },
  ]
}

function all(tests: readonly ExchangeTest[]): ExchangeTest {
  if (tests.length === 1) return tests[0]!
  return (exchange) => {
    for (const test of tests) if (!test(exchange)) return false
    return true
  }
}
