/**
 * The compiled closures decide as a plain reading of the rules does, whatever the rules and whatever the request. The
 * reading here is of the resource itself, written to be obviously right and not to be fast.
 */
import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { compile } from '../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import { compileAuthorization } from '../../src/filters/authorization.ts'
import { parseObject } from '../../src/resources/parse.ts'
import type {
  AuthorizationPolicy,
  Condition,
  Operation,
  Rule,
  Source,
} from '../../src/resources/authorization-policy.ts'
import { EMPTY_SNAPSHOT } from '../../src/resources/snapshot.ts'
import { type Facts, makeRequest } from '../unit/filters/authorization/make-rules.ts'

/** Few and alike, so that values and requests meet often. */
const WORDS = ['a', 'ab', 'b', 'A', 'a.b', 'ba']
const PATHS = ['/', '/a', '/a/', '/a/b', '/a//b', '/a/b/c', '/ab', '/b/a', '/A', '/a/b/c/d.x']
const PATH_VALUES = ['/a', '/a/*', '*b', '*', '/{*}', '/a/{*}', '/{*}/b', '/a/{**}', '/{*}/b/{**}', '/{**}/c', '/{**}']
const ADDRESSES = ['10.0.0.1', '10.0.1.1', '192.0.2.1', '2001:db8::1', '2001:db8:1::1', '::1']
const BLOCKS = ['10.0.0.0/8', '10.0.0.0/24', '10.0.0.1', '0.0.0.0/0', '2001:db8::/32', '2001:db8:1::/48', '::/0', '::1']
const HEADERS = ['x-a', 'x-b']

const value = fc.oneof(
  fc.constantFrom(...WORDS),
  fc.constantFrom(...WORDS).map((word) => `${word}*`),
  fc.constantFrom(...WORDS).map((word) => `*${word}`),
  fc.constant('*'),
)
/** With and without ports, suffixes within suffixes: hosts are looked up before they are compared. */
const HOSTS = ['a', 'A', 'b.a', 'c.b.a', 'B.a', 'a:80', 'b.a:8443', '[::1]', '[::1]:80', 'c.b.a:']
const HOST_VALUES = ['a', 'B.A', '*.a', '*.b.a', '*a', 'a:*', 'b.a:*', 'b.a:8*', 'a:80', '*:80', 'b*', '*', '[::1]*']
const hostValue = fc.oneof(value, fc.constantFrom(...HOST_VALUES))
const some = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 3 })
/** One field, or several. */
const fields = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc.oneof(
    { weight: 2, arbitrary: singleField(model) },
    {
      weight: 1,
      arbitrary: fc
        .record(model, { requiredKeys: [] })
        .filter((record) => Object.keys(record).length > 0) as fc.Arbitrary<Partial<T>>,
    },
  )

function singleField<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  const keys = Object.keys(model) as (keyof T)[]
  return fc.constantFrom(...keys).chain((key) => model[key].map((own) => ({ [key]: own }) as unknown as Partial<T>))
}

const principal = fc.oneof(
  fc.constant('*'),
  fc.tuple(value, value).map(([issuer, subject]) => `${issuer}/${subject}`),
  fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...WORDS)).map((halves) => halves.join('/')),
  value,
)

const source: fc.Arbitrary<Source> = fields({
  requestPrincipals: some(principal),
  notRequestPrincipals: some(principal),
  ipBlocks: some(fc.constantFrom(...BLOCKS)),
  notIpBlocks: some(fc.constantFrom(...BLOCKS)),
  remoteIpBlocks: some(fc.constantFrom(...BLOCKS)),
  notRemoteIpBlocks: some(fc.constantFrom(...BLOCKS)),
  principals: some(fc.constant('*')),
  notPrincipals: some(fc.constant('*')),
})

const operation: fc.Arbitrary<Operation> = fields({
  hosts: some(hostValue),
  notHosts: some(hostValue),
  methods: some(value),
  notMethods: some(value),
  paths: some(fc.constantFrom(...PATH_VALUES)),
  notPaths: some(fc.constantFrom(...PATH_VALUES)),
  ports: some(fc.constantFrom('80', '81')),
  notPorts: some(fc.constantFrom('80', '81')),
})

const textKeys = [
  ...HEADERS.map((name) => `request.headers[${name}]`),
  'request.auth.presenter',
  'request.auth.audiences',
]
const claimKeys = ['request.auth.claims[c]', 'request.auth.claims[o][c]']
const condition: fc.Arbitrary<Condition> = fc
  .tuple(
    fc.constantFrom(...textKeys, ...claimKeys, 'source.namespace'),
    fc.constantFrom('values', 'notValues', 'both'),
    some(value),
    some(value),
  )
  .map(([key, which, values, notValues]) => ({
    key,
    ...(which === 'notValues' ? {} : { values }),
    ...(which === 'values' ? {} : { notValues }),
  }))

const parts = {
  from: some(source.map((one) => ({ source: one }))),
  to: some(operation.map((one) => ({ operation: one }))),
  when: some(condition),
}
const rule: fc.Arbitrary<Rule> = fc.record(parts, { requiredKeys: [] })
/** So simple that whatever is wrong with one condition decides. */
const simpleRule: fc.Arbitrary<Rule> = fc.oneof(
  source.map((one): Rule => ({ from: [{ source: one }] })),
  operation.map((one): Rule => ({ to: [{ operation: one }] })),
  condition.map((one): Rule => ({ when: [one] })),
)

const policy = fc.record({
  action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
  rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
  isTrial: fc.boolean(),
})
type Policy = typeof policy extends fc.Arbitrary<infer P> ? P : never

const claim = fc.oneof(
  fc.constantFrom<unknown>(...WORDS, '', 1, true, null),
  fc.array(fc.constantFrom<unknown>(...WORDS, 1), { maxLength: 2 }),
)
const token = fc.record(
  {
    iss: fc.constantFrom(...WORDS),
    sub: fc.constantFrom(...WORDS),
    aud: fc.array(fc.constantFrom(...WORDS), { maxLength: 2 }),
    azp: fc.constantFrom(...WORDS),
    c: claim,
    o: fc.oneof(claim, fc.record({ c: claim })),
  },
  { requiredKeys: [] },
)
const address = fc.constantFrom(...ADDRESSES).map((text) => (text.includes(':') ? `[${text}]:1` : `${text}:1`))
const facts: fc.Arbitrary<Facts> = fc.record({
  method: fc.constantFrom(...WORDS),
  authority: fc.constantFrom(...WORDS, ...HOSTS),
  path: fc.tuple(fc.constantFrom(...PATHS), fc.constantFrom('', '?/a')).map((parts) => parts.join('')),
  headers: fc
    .array(fc.tuple(fc.constantFrom(...HEADERS), fc.constantFrom(...WORDS, '')), { maxLength: 2 })
    .map((pairs) => pairs.flat()),
  peer: address,
  client: address,
  tokens: fc.array(token, { maxLength: 1 }),
})

const requests = fc.array(facts, { minLength: 1, maxLength: 12 })

test('compiled policies decide as a plain reading of them does', () => {
  fc.assert(fc.property(fc.array(policy, { maxLength: 4 }), requests, compare), { numRuns: 500 })
})

test('a compiled condition holds where a plain reading of it says so', () => {
  const simplePolicy = simpleRule.map((one): Policy[] => [{ action: 'DENY', rules: [one], isTrial: false }])
  fc.assert(fc.property(simplePolicy, requests, compare), { numRuns: 3000 })
})

function compare(policies: readonly Policy[], all: readonly Facts[]): void {
  const filter = compileAuthorization(planOf(policies), { onAuthorizationEvent: null })
  for (const request of all) {
    const exchange = makeRequest(request)
    assert.equal(filter?.(exchange)?.details ?? 'allowed', decide(policies, exchange))
  }
}

function planOf(policies: readonly Policy[]) {
  const resources = policies.map(({ action, rules, isTrial }, index) => {
    const annotations = isTrial ? { 'istio.io/dry-run': 'true' } : {}
    const metadata = { name: `p${index}`, namespace: 'istio-system', annotations }
    const object = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata,
      spec: { action, rules },
    }
    const { resource, problems } = parseObject(object)
    assert.ok(resource !== undefined, JSON.stringify(problems))
    return resource as AuthorizationPolicy
  })
  const snapshot = { ...EMPTY_SNAPSHOT, authorizationPolicies: resources }
  const { plan } = compile(snapshot, defaultCompileOptions())
  assert.deepEqual(plan.mesh.closedBy, [])
  return plan.policies.authorization
}

function decide(policies: readonly Policy[], exchange: Exchange): string {
  const inForce = policies.map((one, index) => ({ ...one, index })).filter(({ isTrial }) => !isTrial)
  for (const { action, rules, index } of inForce) {
    if (action !== 'DENY') continue
    const at = rules.findIndex((one) => ruleMatches(one, exchange))
    if (at !== -1) return `rbac_access_denied_matched_policy[ns[istio-system]-policy[p${index}]-rule[${at}]]`
  }
  const allowing = inForce.filter(({ action }) => action === 'ALLOW')
  if (allowing.length === 0 || allowing.some(({ rules }) => rules.some((one) => ruleMatches(one, exchange)))) {
    return 'allowed'
  }
  return 'rbac_access_denied_matched_policy[none]'
}

function ruleMatches({ from = [], to = [], when = [] }: Rule, exchange: Exchange): boolean {
  return (
    (from.length === 0 || from.some((entry) => sourceMatches(entry.source ?? {}, exchange))) &&
    (to.length === 0 || to.some((entry) => operationMatches(entry.operation ?? {}, exchange))) &&
    when.every((one) => conditionHolds(one, exchange))
  )
}

type Test = (value: string) => boolean

function both(values: readonly string[] | undefined, notValues: readonly string[] | undefined, matches: Test): boolean {
  return (values === undefined || values.some(matches)) && (notValues === undefined || !notValues.some(matches))
}

function sourceMatches(one: Source, { peerAddress, clientAddress, tokens }: Exchange): boolean {
  return (
    both(one.requestPrincipals, one.notRequestPrincipals, (text) => principalMatches(text, tokens[0])) &&
    both(one.ipBlocks, one.notIpBlocks, (block) => isInBlock(peerAddress, block)) &&
    both(one.remoteIpBlocks, one.notRemoteIpBlocks, (block) => isInBlock(clientAddress, block)) &&
    both(one.principals, one.notPrincipals, () => false)
  )
}

function operationMatches(one: Operation, { authority, method, pathname, listener }: Exchange): boolean {
  return (
    both(one.hosts, one.notHosts, (text) => textMatches(text.toLowerCase(), authority.toLowerCase())) &&
    both(one.methods, one.notMethods, (text) => textMatches(text, method)) &&
    both(one.paths, one.notPaths, (text) => pathMatches(text, pathname)) &&
    both(one.ports, one.notPorts, (text) => Number(text) === listener.port)
  )
}

function conditionHolds({ key, values, notValues }: Condition, { headers, tokens }: Exchange): boolean {
  const [token] = tokens
  const anyOf = (texts: readonly unknown[]) => (pattern: string) =>
    texts.some((text) => typeof text === 'string' && textMatches(pattern, text))
  switch (key) {
    case 'source.namespace':
      return both(values, notValues, () => false)
    case 'request.auth.presenter':
      return both(values, notValues, anyOf([token?.claims['azp']]))
    case 'request.auth.audiences':
      return both(values, notValues, anyOf(token?.audiences ?? []))
    case 'request.auth.claims[c]':
      return both(values, notValues, anyOf([token?.claims['c']].flat()))
    case 'request.auth.claims[o][c]': {
      const outer = token?.claims['o']
      const inner = typeof outer === 'object' && outer !== null && 'c' in outer ? outer.c : undefined
      return both(values, notValues, anyOf([inner].flat()))
    }
    default: {
      const name = key.slice('request.headers['.length, -1)
      const lines = headers.filter((_, index) => index % 2 === 1 && headers[index - 1] === name)
      return both(
        values,
        notValues,
        (pattern) => lines.length > 0 && (pattern === '*' || textMatches(pattern, lines.join(','))),
      )
    }
  }
}

function textMatches(pattern: string, text: string): boolean {
  if (pattern === '*') return text.length > 0
  if (pattern[0] === '*') return text.endsWith(pattern.slice(1))
  if (pattern.at(-1) === '*') return text.startsWith(pattern.slice(0, -1))
  return pattern === text
}

function pathMatches(pattern: string, path: string): boolean {
  if (!pattern.includes('{')) return textMatches(pattern, path)
  const expression = pattern.replaceAll('.', '\\.').replaceAll('{**}', '.*').replaceAll('{*}', '[^/]+')
  return new RegExp(`^${expression}$`, 's').test(path)
}

function principalMatches(text: string, identity: Exchange['tokens'][number] | undefined): boolean {
  const { issuer = '', subject = '' } = identity ?? {}
  if (issuer === '' || subject === '') return false
  const slash = text.lastIndexOf('/')
  if (slash === -1) {
    if (text === '*') return true
    if (text[0] === '*') return textMatches(text, subject)
    return text.endsWith('*') && textMatches(text, issuer)
  }
  const [left, right] = [text.slice(0, slash), text.slice(slash + 1)]
  if (text[0] === '*') return textMatches(left, issuer) && right === subject
  return left === issuer && (text.endsWith('*') ? textMatches(right, subject) : right === subject)
}

function isInBlock(addressAndPort: string, block: string): boolean {
  const text = addressAndPort.replace(/:1$/, '').replace(/[[\]]/g, '')
  const family = (one: string) => (one.includes(':') ? 'ipv6' : 'ipv4')
  if (family(text) !== family(block)) return false
  const list = new BlockList()
  const [net = '', bits] = block.split('/')
  list.addSubnet(net, Number(bits ?? (family(block) === 'ipv6' ? 128 : 32)), family(block))
  return list.check(text, family(text))
}
