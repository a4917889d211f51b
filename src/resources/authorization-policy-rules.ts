/** What Istio refuses in an AuthorizationPolicy (istio: `pkg/config/validation/validation.go`, `ValidateAuthorizationPolicy`). */
import type { Problem } from '../plan/problem.ts'
import type { AuthorizationPolicy, Condition, Operation, Rule, Source } from './authorization-policy.ts'
import { createFindings, type Findings, present } from './findings.ts'
import { checkAddressBlock, checkPolicyTargets, shorten } from './rules.ts'

const CODE = 'authorization-policy/rule'

export function validateAuthorizationPolicy(policy: AuthorizationPolicy): Problem[] {
  const findings = createFindings(policy)
  const { spec } = policy
  const { action = 'ALLOW', rules } = spec
  checkPolicyTargets(findings, 'authorization-policy/target', spec)
  if ((action === 'DENY' || action === 'CUSTOM') && (rules?.length ?? 0) === 0) {
    findings.error(CODE, '/spec', `a policy with action ${action} and no rules matches nothing`, {
      remedy: 'Write rules: [{}] to match every request.',
    })
  }
  if (action === 'CUSTOM') {
    if ((spec.provider?.name ?? '') === '') {
      findings.error('authorization-policy/provider', '/spec', 'action CUSTOM needs provider: { name: … }')
    }
  } else if (spec.provider !== undefined) {
    findings.error('authorization-policy/provider', '/spec/provider', `a provider is for action CUSTOM, not ${action}`)
  }
  if (policy.metadata.annotations['istio.io/dry-run'] !== undefined && action !== 'ALLOW' && action !== 'DENY') {
    findings.error(
      'metadata/annotation',
      '/metadata/annotations/istio.io~1dry-run',
      `a dry run is possible for ALLOW and DENY, not ${action}`,
    )
  }
  for (const [index, rule] of (rules ?? []).entries()) checkRule(findings, `/spec/rules/${index}`, rule, action)
  return [...findings.problems]
}

function checkRule(findings: Findings, at: string, rule: Rule, action: string): void {
  for (const field of ['from', 'to', 'when'] as const) {
    if (rule[field]?.length === 0 && field !== 'when') {
      findings.error(CODE, `${at}/${field}`, `"${field}" is empty`, { remedy: 'Leave it out to match everything.' })
    }
  }
  for (const [index, { source }] of (rule.from ?? []).entries()) checkSource(findings, `${at}/from/${index}`, source)
  for (const [index, { operation }] of (rule.to ?? []).entries())
    checkOperation(findings, `${at}/to/${index}`, operation)
  for (const [index, condition] of (rule.when ?? []).entries())
    checkCondition(findings, `${at}/when/${index}`, condition)
  if (action === 'CUSTOM') checkCustom(findings, at, rule)
  if (action === 'DENY' && usesOnlyHTTP(rule)) {
    findings.warning(CODE, at, 'on TCP, where there are no HTTP attributes, this rule denies every connection')
  }
}

const IP_FIELDS = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const
const MAX_SERVICE_ACCOUNTS = 16

function checkSource(findings: Findings, at: string, source: Source | undefined): void {
  if (source === undefined || isEmpty(source)) {
    findings.error(CODE, at, 'a source needs at least one field', { remedy: 'Leave "from" out to match every source.' })
    return
  }
  checkNoEmptyText(findings, `${at}/source`, source)
  for (const field of IP_FIELDS) {
    for (const [index, block] of (source[field] ?? []).entries()) {
      checkAddressBlock(findings, CODE, `${at}/source/${field}/${index}`, block)
    }
  }
  for (const field of ['trustDomains', 'notTrustDomains'] as const) {
    const index = source[field]?.findIndex((domain) => domain.includes('/')) ?? -1
    if (index !== -1) findings.error(CODE, `${at}/source/${field}/${index}`, 'a trust domain has no "/" in it')
  }
  for (const field of ['serviceAccounts', 'notServiceAccounts'] as const) {
    checkServiceAccounts(findings, `${at}/source`, field, source)
  }
}

function checkServiceAccounts(
  findings: Findings,
  at: string,
  field: 'serviceAccounts' | 'notServiceAccounts',
  source: Source,
): void {
  const accounts = source[field]
  if (accounts === undefined || accounts.length === 0) return
  const other = present(source, ['namespaces', 'notNamespaces', 'principals', 'notPrincipals'])[0]
  if (other !== undefined) findings.error(CODE, `${at}/${field}`, `${field} and ${other} exclude each other`)
  if (accounts.length > MAX_SERVICE_ACCOUNTS) {
    findings.error(
      CODE,
      `${at}/${field}`,
      `at most ${MAX_SERVICE_ACCOUNTS} service accounts are possible, found ${accounts.length}`,
    )
  }
  for (const [index, account] of accounts.entries()) {
    if (account.includes('*')) findings.error(CODE, `${at}/${field}/${index}`, 'a service account knows no wildcards')
    else if (account.split('/').length > 2) {
      findings.error(CODE, `${at}/${field}/${index}`, `expected NAME or NAMESPACE/NAME, found "${shorten(account)}"`)
    }
  }
}

function checkOperation(findings: Findings, at: string, operation: Operation | undefined): void {
  if (operation === undefined || isEmpty(operation)) {
    findings.error(CODE, at, 'an operation needs at least one field', {
      remedy: 'Leave "to" out to match every operation.',
    })
    return
  }
  checkNoEmptyText(findings, `${at}/operation`, operation)
  for (const field of ['ports', 'notPorts'] as const) {
    for (const [index, port] of (operation[field] ?? []).entries())
      checkPortText(findings, `${at}/operation/${field}/${index}`, port)
  }
  for (const field of ['paths', 'notPaths'] as const) {
    for (const [index, path] of (operation[field] ?? []).entries())
      checkPath(findings, `${at}/operation/${field}/${index}`, path)
  }
}

function checkPortText(findings: Findings, at: string, port: string): void {
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) {
    findings.error(CODE, at, `a port is a number from 1 to 65535, found "${shorten(port)}"`)
  }
}

/** `{*}` is one segment, `{**}` any number of them at the end; neither goes with a plain `*` in the same path. */
function checkPath(findings: Findings, at: string, path: string): void {
  if (!/[{}]/.test(path)) return
  const rest = path.replaceAll(/\{\*{1,2}\}/g, '')
  if (/[{}]/.test(rest)) {
    findings.error(CODE, at, `in a path, braces are for {*} and {**} alone: "${shorten(path)}"`)
  } else if (rest.includes('*')) {
    findings.error(CODE, at, `{*} and {**} do not go together with "*": "${shorten(path)}"`)
  } else if (/\{\*\*\}.*\{/.test(path)) {
    findings.error(CODE, at, `{**} has to be the last operator of a path: "${shorten(path)}"`)
  } else if (
    path
      .split('/')
      .some((segment) => /[{}]/.test(segment) && !/^\{\*{1,2}\}$/.test(segment) && !segment.startsWith('{**}'))
  ) {
    findings.error(CODE, at, `{*} and {**} stand for whole segments: "${shorten(path)}"`)
  }
}

const PLAIN_KEYS: readonly string[] = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.serviceAccount',
  'source.principal',
  'source.trustDomain',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
]
const IP_KEYS: readonly string[] = ['source.ip', 'remote.ip', 'destination.ip']

function checkCondition(findings: Findings, at: string, condition: Condition): void {
  const { key, values = [], notValues = [] } = condition
  const known =
    PLAIN_KEYS.includes(key) ||
    /^request\.headers\[[^\]]+\]$/.test(key) ||
    /^request\.auth\.claims(?:\[[^\]]+\])+$/.test(key) ||
    /^experimental\.envoy\.filters\..+\[.+\]$/.test(key)
  if (!known) findings.error(CODE, `${at}/key`, `"${shorten(key)}" is not a key for "when"`)
  if (values.length + notValues.length === 0) findings.error(CODE, at, 'a condition needs values or notValues')
  for (const field of ['values', 'notValues'] as const) {
    for (const [index, value] of (condition[field] ?? []).entries()) {
      const valueAt = `${at}/${field}/${index}`
      if (value === '') findings.error(CODE, valueAt, 'a value is empty')
      else if (IP_KEYS.includes(key)) checkAddressBlock(findings, CODE, valueAt, value)
      else if (key === 'destination.port') checkPortText(findings, valueAt, value)
    }
  }
}

const BEFORE_IDENTITY = [
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'trustDomains',
  'notTrustDomains',
  'requestPrincipals',
  'notRequestPrincipals',
] as const

/** An external authorizer is asked before the JWT is verified: what comes from either identity is not known yet. */
function checkCustom(findings: Findings, at: string, rule: Rule): void {
  const message = (what: string) => `a policy with action CUSTOM cannot use ${what}`
  for (const [index, { source }] of (rule.from ?? []).entries()) {
    const field = present(source ?? {}, BEFORE_IDENTITY)[0]
    if (field !== undefined) findings.error(CODE, `${at}/from/${index}/source/${field}`, message(field))
  }
  for (const [index, { key }] of (rule.when ?? []).entries()) {
    if (/^(?:source\.(?:namespace|serviceAccount|principal|trustDomain)$|request\.auth\.)/.test(key)) {
      findings.error(CODE, `${at}/when/${index}/key`, message(key))
    }
  }
}

const HTTP_OPERATIONS = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths']
const HTTP_SOURCES = ['requestPrincipals', 'notRequestPrincipals']

function usesOnlyHTTP(rule: Rule): boolean {
  const used = [
    ...(rule.from ?? []).flatMap(({ source }) =>
      Object.keys(source ?? {}).map((field) => HTTP_SOURCES.includes(field)),
    ),
    ...(rule.to ?? []).flatMap(({ operation }) =>
      Object.keys(operation ?? {}).map((field) => HTTP_OPERATIONS.includes(field)),
    ),
    ...(rule.when ?? []).map(({ key }) => key.startsWith('request.')),
  ]
  return used.length > 0 && used.every(Boolean)
}

function isEmpty(fields: Readonly<Record<string, unknown>>): boolean {
  return Object.values(fields).every((value) => Array.isArray(value) && value.length === 0)
}

function checkNoEmptyText(
  findings: Findings,
  at: string,
  fields: { readonly [field: string]: readonly string[] | undefined },
): void {
  for (const [field, values] of Object.entries(fields)) {
    const index = values?.indexOf('') ?? -1
    if (index !== -1) findings.error(CODE, `${at}/${field}/${index}`, `an entry of ${field} is empty`)
  }
}
