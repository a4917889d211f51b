/** What `sluice explain` makes of the gateway's explanation: what happens first, then why. */
import type { ExplainedRule, Explanation } from './gateway-explain.ts'
import type { CommandIo } from './io.ts'
import { oneLine, paint } from './output.ts'
import { isItem, itemsOf } from './rows.ts'

/** @returns Lines for people; undefined where the answer is not an explanation as this version knows it. */
export function explanationText(answer: unknown, io: CommandIo): string | undefined {
  const explanation: Partial<Explanation> = isItem(answer) ? answer : {}
  if (typeof explanation.outcome !== 'string') return undefined
  const facts: readonly (readonly [string, unknown])[] = [
    ['policies', policiesText(explanation.authorization)],
    ['listener', explanation.listener],
    ['virtual host', explanation.virtualHost],
    ['path', explanation.path],
    ['route', isItem(explanation.route) ? explanation.route.name || '(without a name)' : undefined],
    ['from', isItem(explanation.route) ? explanation.route.from : undefined],
  ]
  const lines = [
    paint(io, io.stdout, 'bold', oneLine(explanation.outcome)),
    ...facts
      .filter(([, value]) => typeof value === 'string')
      .map(([name, value]) => `  ${name}: ${oneLine(value as string)}`),
    ...itemsOf(explanation.clusters).map(
      ({ cluster, share }) => `  upstream: ${oneLine(`${cluster as string}, ${percent(share)}`)}`,
    ),
  ]
  const rules = itemsOf(explanation.rules) as readonly Partial<ExplainedRule>[]
  if (rules.length > 0) lines.push('', 'rules that were tried, in order:', ...rules.map((rule) => ruleText(rule, io)))
  return `${lines.join('\n')}\n`
}

/** What policies decide, and the rule that does. */
function policiesText(authorization: unknown): string | undefined {
  if (!isItem(authorization)) return undefined
  const { outcome, because, rule } = authorization
  if (typeof outcome !== 'string' || typeof because !== 'string') return undefined
  const place = isItem(rule) ? ['kind', 'namespace', 'name', 'pointer'].map((part) => rule[part]) : []
  const [kind, namespace, name, pointer = ''] = place.filter((part) => typeof part === 'string')
  return `${outcome}: ${because}${name === undefined ? '' : ` (${kind} ${namespace}/${name} ${pointer})`}`
}

function ruleText({ rule = '-', matches, because = [] }: Partial<ExplainedRule>, io: CommandIo): string {
  if (matches === true) return `  ${paint(io, io.stdout, 'green', 'yes')}  ${oneLine(rule)}`
  return `  ${paint(io, io.stdout, 'dim', 'no')}   ${oneLine(rule)}: not ${oneLine(because.join('; not '))}`
}

function percent(share: unknown): string {
  return typeof share === 'number' ? `${Math.round(share * 1000) / 10}%` : '-'
}
