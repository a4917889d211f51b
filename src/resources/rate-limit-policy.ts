/** RateLimitPolicy of sluice.dev/v1alpha1: limits on requests, where Istio has EnvoyFilters and a service of its own. */
import { Type, type Static } from 'typebox'
import { parseDuration } from '../lib/duration.ts'
import { isHeaderName } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings } from './findings.ts'
import { checkMatch } from './http-route-rules.ts'
import type { Resource } from './resource.ts'
import { count, duration, fields, type Frozen, list, optional, text, word } from './schema.ts'
import { checkDuration, checkHeaderName, shorten } from './rules.ts'
import { HTTPMatchRequestSchema } from './virtual-service.ts'

const nothing = fields({})

/** Exactly one field: the attribute of the request. */
const KeySchema = fields({
  clientIP: optional(
    fields({
      /** Bits of an IPv6 address that count; 128 by default. */
      prefixLength: optional(count),
      /** Bits of an IPv4 address that count; 32 by default. */
      ipv4PrefixLength: optional(count),
    }),
  ),
  header: optional(text),
  cookie: optional(text),
  query: optional(text),
  /** Dotted path into the verified JWT. */
  claim: optional(text),
  peer: optional(nothing),
  host: optional(nothing),
  method: optional(nothing),
  path: optional(nothing),
})

const LimitSchema = fields({
  requests: count,
  per: duration,
  /** Requests on top of `requests`. */
  burst: optional(count),
})

const ruleFields = {
  match: optional(list(HTTPMatchRequestSchema)),
  key: optional(list(KeySchema)),
  limit: optional(LimitSchema),
  window: optional(word(['fixed', 'sliding'])),
  scope: optional(word(['global', 'local'])),
  whenStoreFails: optional(word(['local', 'allow', 'deny'])),
  /** What becomes of a request that lacks an attribute of `key`. */
  missing: optional(word(['skip', 'limit'])),
  shadow: optional(Type.Boolean()),
  hits: optional(
    Type.Union([count, fields({ header: text })], { title: 'a whole number, or "header:" with the name of a header' }),
  ),
  status: optional(count),
  body: optional(text),
  responseHeaders: optional(word(['draft', 'none'])),
}

const RateLimitRuleSchema = fields({ name: optional(text), ...ruleFields })
const RateLimitDefaultsSchema = fields(ruleFields)

const TargetReferenceSchema = fields({
  kind: word(['VirtualService', 'Gateway']),
  name: text,
  /** An http route by its name, or a Gateway's server by its port's name. */
  sectionName: optional(text),
})

export const RateLimitPolicySpecSchema = fields({
  targetRefs: optional(list(TargetReferenceSchema)),
  rules: optional(list(RateLimitRuleSchema)),
  defaults: optional(RateLimitDefaultsSchema),
})

export type RateLimitKey = Frozen<Static<typeof KeySchema>>
export type RateLimitRule = Frozen<Static<typeof RateLimitRuleSchema>>
export type RateLimitDefaults = Frozen<Static<typeof RateLimitDefaultsSchema>>
export type RateLimitTargetReference = Frozen<Static<typeof TargetReferenceSchema>>
export type RateLimitPolicySpec = Frozen<Static<typeof RateLimitPolicySpecSchema>>
export type RateLimitPolicy = Resource<'RateLimitPolicy', RateLimitPolicySpec>

export function validateRateLimitPolicy(policy: RateLimitPolicy): Problem[] {
  const findings = createFindings(policy)
  const { rules = [], defaults = {}, targetRefs = [] } = policy.spec
  if (rules.length === 0)
    findings.error('rate-limit-policy/rules', '/spec', 'a RateLimitPolicy needs at least one rule')
  for (const [index, { name }] of targetRefs.entries()) {
    if (name === '')
      findings.error('rate-limit-policy/target', `/spec/targetRefs/${index}/name`, 'a name is needed here')
  }
  checkRuleFields(findings, '/spec/defaults', defaults)
  const names = new Set<string>()
  for (const [index, rule] of rules.entries()) {
    const at = `/spec/rules/${index}`
    if (rule.limit === undefined && defaults.limit === undefined) {
      findings.error('rate-limit-policy/limit', at, '"limit" is missing')
    }
    if (rule.name !== undefined) {
      if (rule.name === '') findings.error('rate-limit-policy/rules', `${at}/name`, 'the name of the rule is empty')
      if (names.has(rule.name)) {
        findings.error(
          'rate-limit-policy/rules',
          `${at}/name`,
          `another rule has the name "${shorten(rule.name)}" as well`,
        )
      }
      names.add(rule.name)
    }
    checkRuleFields(findings, at, rule)
  }
  return [...findings.problems]
}

/** Beyond it a limit is a ban, and Redis keeps keys for as long. */
const LONGEST_PERIOD_MS = 8760 * 3_600_000

function checkRuleFields(findings: Findings, at: string, rule: RateLimitDefaults): void {
  for (const [index, match] of (rule.match ?? []).entries()) {
    checkMatch(findings, `${at}/match/${index}`, match, { isDelegate: false, onGateway: true })
    if (match.gateways !== undefined) {
      findings.error('rate-limit-policy/match', `${at}/match/${index}/gateways`, 'a limit is not matched by gateways', {
        remedy: 'Name the Gateway in targetRefs.',
      })
    }
  }
  for (const [index, key] of (rule.key ?? []).entries()) checkKey(findings, `${at}/key/${index}`, key)
  if (rule.limit !== undefined) {
    if (rule.limit.requests < 1) {
      findings.error('rate-limit-policy/limit', `${at}/limit/requests`, 'a limit is at least 1 request', {
        remedy: 'To refuse everything use an AuthorizationPolicy.',
      })
    }
    checkDuration(findings, 'rate-limit-policy/limit', `${at}/limit/per`, rule.limit.per)
    if ((parseDuration(rule.limit.per) ?? 0) > LONGEST_PERIOD_MS) {
      findings.error('rate-limit-policy/limit', `${at}/limit/per`, 'a period is at most 8760h, which is a year')
    }
  }
  if (typeof rule.hits === 'number' && rule.hits < 1) {
    findings.error('rate-limit-policy/hits', `${at}/hits`, 'a request costs at least 1 hit', {
      remedy: 'Leave requests that cost nothing out by "match".',
    })
  }
  const capacity = rule.limit === undefined ? undefined : rule.limit.requests + (rule.limit.burst ?? 0)
  if (typeof rule.hits === 'number' && capacity !== undefined && rule.hits > capacity) {
    findings.error(
      'rate-limit-policy/hits',
      `${at}/hits`,
      `a request costs more than the limit of ${capacity}, so none could pass`,
    )
  }
  if (typeof rule.hits === 'object') {
    checkHeaderName(findings, 'rate-limit-policy/hits', `${at}/hits/header`, rule.hits.header)
  }
  if (rule.status !== undefined && (rule.status < 400 || rule.status > 599)) {
    findings.error(
      'rate-limit-policy/status',
      `${at}/status`,
      `a refusal has a status from 400 to 599, found ${rule.status}`,
    )
  }
}

function checkKey(findings: Findings, at: string, key: RateLimitKey): void {
  const code = 'rate-limit-policy/key'
  const set = Object.keys(key)
  if (set.length !== 1) {
    findings.error(
      code,
      at,
      `an entry of "key" is one attribute of the request, found ${set.length === 0 ? 'none' : set.join(' and ')}`,
      {
        remedy: set.length === 0 ? 'For example "- clientIP: {}".' : 'Begin each attribute with "- ".',
      },
    )
  }
  const { prefixLength = 128, ipv4PrefixLength = 32 } = key.clientIP ?? {}
  if (prefixLength < 1 || prefixLength > 128) {
    findings.error(code, `${at}/clientIP/prefixLength`, `bits of an IPv6 address are 1 to 128, found ${prefixLength}`)
  }
  if (ipv4PrefixLength < 1 || ipv4PrefixLength > 32) {
    findings.error(
      code,
      `${at}/clientIP/ipv4PrefixLength`,
      `bits of an IPv4 address are 1 to 32, found ${ipv4PrefixLength}`,
    )
  }
  for (const field of ['header', 'cookie', 'query', 'claim'] as const) {
    if (key[field] === '') findings.error(code, `${at}/${field}`, 'a name is needed here')
  }
  if (key.header !== undefined && key.header !== '' && !isHeaderName(key.header)) {
    findings.error(code, `${at}/header`, `"${shorten(key.header)}" is not a header name`)
  }
}
