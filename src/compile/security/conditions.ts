/**
 * Sources, operations and `when` of a rule → conditions.
 *
 * Source: istio: pilot/pkg/security/authz/model/model.go (`New`); semantics §5.7.
 */
import type { AddressAttribute, ConditionPlan, TextAttribute } from '../../plan/authorization.ts'
import type { Condition, Operation, Source } from '../../resources/authorization-policy.ts'
import type { MeshOptions } from '../options.ts'
import { spellPrincipal } from './trust-domain.ts'
import { readPath, readRequestPrincipal, readValue } from './values.ts'

/** What values are read with. */
export interface Reading {
  readonly mesh: Pick<MeshOptions, 'trustDomain' | 'trustDomainAliases'>
  /** Of the policy: where a service account without a namespace is. */
  readonly namespace: string
}

/** One attribute's values → its condition; `not`: none of the values may match. */
type Make = (values: readonly string[], not: boolean, reading: Reading) => ConditionPlan

const text =
  (attribute: TextAttribute): Make =>
  (values, not) => ({ kind: 'text', attribute, not, values: values.map(readValue) })

const address =
  (attribute: AddressAttribute): Make =>
  (values, not) => ({ kind: 'address', attribute, not, blocks: values.map(block) })

const requestPrincipal: Make = (values, not) => ({
  kind: 'request-principal',
  not,
  values: values.map(readRequestPrincipal),
})

const port: Make = (values, not) => ({ kind: 'port', not, ports: values.map(Number) })

const path: Make = (values, not) => ({ kind: 'path', not, values: values.map(readPath) })

const principal: Make = (values, not, { mesh }) => ({
  kind: 'text',
  attribute: 'source.principal',
  not,
  values: values.flatMap((value) => spellPrincipal(value, mesh)).map(readValue),
})

const serviceAccount: Make = (values, not, { namespace }) => ({
  kind: 'text',
  attribute: 'source.serviceAccount',
  not,
  values: values.map((value) => ({ kind: 'exact', value: value.includes('/') ? value : `${namespace}/${value}` })),
})

const SOURCE: readonly (readonly [keyof Source, keyof Source, Make])[] = [
  ['principals', 'notPrincipals', principal],
  ['requestPrincipals', 'notRequestPrincipals', requestPrincipal],
  ['namespaces', 'notNamespaces', text('source.namespace')],
  ['serviceAccounts', 'notServiceAccounts', serviceAccount],
  ['trustDomains', 'notTrustDomains', text('source.trustDomain')],
  ['ipBlocks', 'notIpBlocks', address('source.ip')],
  ['remoteIpBlocks', 'notRemoteIpBlocks', address('remote.ip')],
]

const OPERATION: readonly (readonly [keyof Operation, keyof Operation, Make])[] = [
  ['ports', 'notPorts', port],
  ['methods', 'notMethods', text('method')],
  ['hosts', 'notHosts', text('host')],
  ['paths', 'notPaths', path],
]

const KEYS = new Map<string, Make>([
  ['source.ip', address('source.ip')],
  ['remote.ip', address('remote.ip')],
  ['destination.ip', address('destination.ip')],
  ['destination.port', port],
  ['connection.sni', text('connection.sni')],
  ['source.principal', principal],
  ['source.namespace', text('source.namespace')],
  ['source.serviceAccount', serviceAccount],
  ['source.trustDomain', text('source.trustDomain')],
  ['request.auth.principal', requestPrincipal],
  ['request.auth.audiences', text('request.auth.audiences')],
  ['request.auth.presenter', text('request.auth.presenter')],
])

export function sourceConditions(source: Source, reading: Reading): ConditionPlan[] {
  return SOURCE.flatMap(([values, notValues, make]) => pair(make, source[values], source[notValues], reading))
}

export function operationConditions(operation: Operation, reading: Reading): ConditionPlan[] {
  return OPERATION.flatMap(([values, notValues, make]) => pair(make, operation[values], operation[notValues], reading))
}

/** @returns Null for a key that is not known: the rule then cannot be understood. */
export function whenConditions({ key, values, notValues }: Condition, reading: Reading): ConditionPlan[] | null {
  const make = KEYS.get(key) ?? bracketed(key)
  return make === null ? null : pair(make, values, notValues, reading)
}

/** Both may be given, and both have to hold. */
function pair(
  make: Make,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  reading: Reading,
): ConditionPlan[] {
  const conditions: ConditionPlan[] = []
  if (values !== undefined && values.length > 0) conditions.push(make(values, false, reading))
  if (notValues !== undefined && notValues.length > 0) conditions.push(make(notValues, true, reading))
  return conditions
}

/** `request.headers[NAME]`, `request.auth.claims[A][B]`, `experimental.envoy.filters.FILTER[KEY]` */
function bracketed(key: string): Make | null {
  const open = key.indexOf('[')
  if (open === -1 || !key.endsWith(']')) return null
  const inside = key.slice(open + 1, -1)
  switch (key.slice(0, open)) {
    case 'request.headers':
      return (values, not) => ({
        kind: 'header',
        name: inside.toLowerCase(),
        not,
        values: values.map(readValue),
      })
    case 'request.auth.claims':
      return (values, not) => ({ kind: 'claim', path: inside.split(']['), not, values: values.map(readValue) })
    default:
      return key.startsWith('experimental.envoy.filters.') ? text('metadata') : null
  }
}

/** With its prefix length, which for a plain address is all of it. */
function block(text: string): string {
  if (text.includes('/')) return text
  return text.includes(':') ? `${text}/128` : `${text}/32`
}
