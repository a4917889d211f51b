import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseObject } from '../../../src/resources/parse.ts'
import { type RuleCase, testRules } from './rule-cases.ts'

const selector = { matchLabels: { app: 'gateway' } }
const rules = (rule: object, change: object = {}) => ({ rules: [rule], ...change })
const source = (change: object, more: object = {}) => rules({ from: [{ source: change }] }, more)
const operation = (change: object, more: object = {}) => rules({ to: [{ operation: change }] }, more)
const when = (condition: object, more: object = {}) => rules({ when: [condition] }, more)
const custom = { action: 'CUSTOM', provider: { name: 'opa' } }

const authorizationPolicy: Record<string, RuleCase> = {
  'DENY has rules': { bad: { action: 'DENY' }, good: { action: 'DENY', rules: [{}] }, at: '/spec' },
  'CUSTOM has a provider': { bad: { action: 'CUSTOM', rules: [{}] }, good: { ...custom, rules: [{}] }, at: '/spec' },
  'ALLOW has no provider': { bad: { provider: { name: 'opa' } }, good: {}, at: '/spec/provider' },
  'a rule is not null': { bad: { rules: [null] }, good: { rules: [{}] }, at: '/spec/rules/0' },
  'from is not empty': { bad: rules({ from: [] }), good: rules({}), at: '/spec/rules/0/from' },
  'to is not empty': { bad: rules({ to: [] }), good: rules({}), at: '/spec/rules/0/to' },
  'a source has a field': { bad: source({}), good: source({ principals: ['*'] }), at: '/spec/rules/0/from/0' },
  'an operation has a field': {
    bad: rules({ to: [{}] }),
    good: operation({ methods: ['GET'] }),
    at: '/spec/rules/0/to/0',
  },
  'no text is empty': {
    bad: source({ namespaces: [''] }),
    good: source({ namespaces: ['a'] }),
    at: '/spec/rules/0/from/0/source/namespaces/0',
  },
  'an IP block is one': {
    bad: source({ ipBlocks: ['a'] }),
    good: source({ ipBlocks: ['10.0.0.0/8'] }),
    at: '/spec/rules/0/from/0/source/ipBlocks/0',
  },
  'a port is one': {
    bad: operation({ ports: ['http'] }),
    good: operation({ ports: ['80'] }),
    at: '/spec/rules/0/to/0/operation/ports/0',
  },
  'a path template does not mix with wildcards': {
    bad: operation({ paths: ['/a/{*}/*'] }),
    good: operation({ paths: ['/a/{*}/b', '/a/{**}'] }),
    at: '/spec/rules/0/to/0/operation/paths/0',
  },
  'a path template has no other braces': {
    bad: operation({ paths: ['/{id}'] }),
    good: operation({ paths: ['/{*}'] }),
    at: '/spec/rules/0/to/0/operation/paths/0',
  },
  '{**} is last': {
    bad: operation({ paths: ['/{**}/{*}'] }),
    good: operation({ paths: ['/{*}/{**}'] }),
    at: '/spec/rules/0/to/0/operation/paths/0',
  },
  'service accounts exclude principals': {
    bad: source({ serviceAccounts: ['a'], principals: ['b'] }),
    good: source({ serviceAccounts: ['ns/a'] }),
    at: '/spec/rules/0/from/0/source/serviceAccounts',
  },
  'a service account has no wildcard': {
    bad: source({ serviceAccounts: ['*'] }),
    good: source({ serviceAccounts: ['a'] }),
    at: '/spec/rules/0/from/0/source/serviceAccounts/0',
  },
  'there are 16 service accounts at most': {
    bad: source({ serviceAccounts: Array.from({ length: 17 }, (_, index) => `a${index}`) }),
    good: source({ serviceAccounts: Array.from({ length: 16 }, (_, index) => `a${index}`) }),
    at: '/spec/rules/0/from/0/source/serviceAccounts',
  },
  'a condition has a known key': {
    bad: when({ key: 'request.body', values: ['a'] }),
    good: when({ key: 'request.headers[x-a]', values: ['a'] }),
    at: '/spec/rules/0/when/0/key',
  },
  'a condition has values': {
    bad: when({ key: 'source.ip' }),
    good: when({ key: 'source.ip', notValues: ['10.0.0.1'] }),
    at: '/spec/rules/0/when/0',
  },
  'an address in a condition is one': {
    bad: when({ key: 'remote.ip', values: ['a'] }),
    good: when({ key: 'connection.sni', values: ['a'] }),
    at: '/spec/rules/0/when/0/values/0',
  },
  'CUSTOM comes before identities': {
    bad: source({ principals: ['a'] }, custom),
    good: source({ ipBlocks: ['10.0.0.0/8'] }, custom),
    at: '/spec/rules/0/from/0/source/principals',
  },
  'CUSTOM comes before claims': {
    bad: when({ key: 'request.auth.claims[sub]', values: ['a'] }, custom),
    good: when({ key: 'request.headers[a]', values: ['a'] }, custom),
    at: '/spec/rules/0/when/0/key',
  },
  'a DENY by HTTP alone denies all TCP': {
    bad: operation({ paths: ['/admin'] }, { action: 'DENY' }),
    good: operation({ paths: ['/admin'], ports: ['80'] }, { action: 'DENY' }),
    at: '/spec/rules/0',
    severity: 'warning',
  },
  'selector and targetRefs exclude each other': {
    bad: { selector, targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'a' }] },
    good: { targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'a' }] },
    at: '/spec/targetRefs/0',
  },
  'a target is of a known kind': {
    bad: { targetRefs: [{ kind: 'Pod', name: 'a' }] },
    good: { targetRefs: [{ kind: 'Service', group: 'core', name: 'a' }] },
    at: '/spec/targetRefs/0/kind',
  },
  'a selector has no wildcards': {
    bad: { selector: { matchLabels: { app: '*' } } },
    good: { selector },
    at: '/spec/selector/matchLabels/app',
  },
}

const peerAuthentication: Record<string, RuleCase> = {
  'portLevelMtls needs a selector': {
    bad: { portLevelMtls: { '80': { mode: 'STRICT' } } },
    good: { selector, portLevelMtls: { '80': { mode: 'STRICT' } } },
    at: '/spec/portLevelMtls',
  },
  'portLevelMtls is not empty': { bad: { selector, portLevelMtls: {} }, good: { selector }, at: '/spec/portLevelMtls' },
  'a port is in range': {
    bad: { selector, portLevelMtls: { '0': {} } },
    good: { selector, portLevelMtls: { '65535': {} } },
    at: '/spec/portLevelMtls/0',
  },
}

const jwt = (change: object) => ({ jwtRules: [{ issuer: 'a', ...change }] })
const requestAuthentication: Record<string, RuleCase> = {
  'a rule has an issuer or a key set': {
    bad: { jwtRules: [{}] },
    good: { jwtRules: [{ jwksUri: 'https://a.com' }] },
    at: '/spec/jwtRules/0',
  },
  'an audience is not empty': {
    bad: jwt({ audiences: [''] }),
    good: jwt({ audiences: ['a'] }),
    at: '/spec/jwtRules/0/audiences/0',
  },
  'jwksUri is a URL': {
    bad: jwt({ jwksUri: 'keys.json' }),
    good: jwt({ jwksUri: 'http://a.com/keys' }),
    at: '/spec/jwtRules/0/jwksUri',
  },
  'jwks is JSON': {
    bad: jwt({ jwks: 'a' }),
    good: jwt({ jwks: '{"keys":[{"kty":"RSA"}]}' }),
    at: '/spec/jwtRules/0/jwks',
  },
  'jwks has no private key': {
    bad: jwt({ jwks: '{"keys":[{"kty":"RSA","d":"x"}]}' }),
    good: jwt({ jwks: '{"keys":[{"kty":"RSA"}]}' }),
    at: '/spec/jwtRules/0/jwks',
    severity: 'warning',
  },
  'a header has a name': {
    bad: jwt({ fromHeaders: [{ name: '' }] }),
    good: jwt({ fromHeaders: [{ name: 'x-jwt' }] }),
    at: '/spec/jwtRules/0/fromHeaders/0/name',
  },
  'a claim is not empty': {
    bad: jwt({ outputClaimToHeaders: [{ header: 'a', claim: '' }] }),
    good: jwt({ outputClaimToHeaders: [{ header: 'a', claim: 'sub' }] }),
    at: '/spec/jwtRules/0/outputClaimToHeaders/0/claim',
  },
}

const telemetry: Record<string, RuleCase> = {
  'sampling is a percentage': {
    bad: { tracing: [{ randomSamplingPercentage: 101 }] },
    good: { tracing: [{ randomSamplingPercentage: 0.5 }] },
    at: '/spec/tracing/0/randomSamplingPercentage',
  },
  'UPSERT needs a value': {
    bad: { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'UPSERT' } } }] }] },
    good: { metrics: [{ overrides: [{ tagOverrides: { a: { value: 'request.host' } } }] }] },
    at: '/spec/metrics/0/overrides/0/tagOverrides/a',
  },
  'REMOVE has no value': {
    bad: { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'REMOVE', value: 'b' } } }] }] },
    good: { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'REMOVE' } } }] }] },
    at: '/spec/metrics/0/overrides/0/tagOverrides/a/value',
  },
  'a provider has a name': {
    bad: { accessLogging: [{ providers: [{ name: '' }] }] },
    good: { accessLogging: [{ providers: [{ name: 'envoy' }] }] },
    at: '/spec/accessLogging/0/providers/0/name',
  },
  'an override is not null': {
    bad: { metrics: [{ overrides: [null] }] },
    good: { metrics: [{ overrides: [] }] },
    at: '/spec/metrics/0/overrides/0',
  },
}

const limit = { requests: 10, per: '1s' }
const limited = (change: object) => ({ rules: [{ limit, ...change }] })
const rateLimitPolicy: Record<string, RuleCase> = {
  'it has rules': { bad: {}, good: limited({}), at: '/spec' },
  'a rule has a limit': {
    bad: { rules: [{ name: 'a' }] },
    good: { rules: [{ name: 'a' }], defaults: { limit } },
    at: '/spec/rules/0',
  },
  'a limit lets something through': {
    bad: limited({ limit: { requests: 0, per: '1s' } }),
    good: limited({}),
    at: '/spec/rules/0/limit/requests',
  },
  'a limit is for a time': {
    bad: limited({ limit: { requests: 1, per: '0s' } }),
    good: limited({}),
    at: '/spec/rules/0/limit/per',
  },
  'rule names differ': {
    bad: {
      rules: [
        { name: 'a', limit },
        { name: 'a', limit },
      ],
    },
    good: {
      rules: [
        { name: 'a', limit },
        { name: 'b', limit },
      ],
    },
    at: '/spec/rules/1/name',
  },
  'a key is one attribute': {
    bad: limited({ key: [{ clientIP: {}, header: 'a' }] }),
    good: limited({ key: [{ clientIP: {} }, { header: 'a' }] }),
    at: '/spec/rules/0/key/0',
  },
  'a match follows the rules of a VirtualService': {
    bad: limited({ match: [{ uri: { regex: '(' } }] }),
    good: limited({ match: [{ uri: { regex: '()' } }] }),
    at: '/spec/rules/0/match/0/uri/regex',
  },
  'a refusal is an error': {
    bad: limited({ status: 200 }),
    good: limited({ status: 503 }),
    at: '/spec/rules/0/status',
  },
  'a period ends within a year': {
    bad: limited({ limit: { requests: 1, per: '8761h' } }),
    good: limited({ limit: { requests: 1, per: '8760h' } }),
    at: '/spec/rules/0/limit/per',
  },
  'a limit is not negative': {
    bad: limited({ limit: { requests: -1, per: '1s' } }),
    good: limited({ limit: { requests: 4_294_967_295, per: '1s' } }),
    at: '/spec/rules/0/limit/requests',
  },
  'no kind of key is unknown': {
    bad: limited({ key: [{ clientIp: {} }] }),
    good: limited({ key: [{ clientIP: { prefixLength: 64 } }] }),
    at: '/spec/rules/0/key/0',
  },
  'an IPv6 prefix has up to 128 bits': {
    bad: limited({ key: [{ clientIP: { prefixLength: 129 } }] }),
    good: limited({ key: [{ clientIP: { prefixLength: 128 } }] }),
    at: '/spec/rules/0/key/0/clientIP/prefixLength',
  },
  'an IPv4 prefix has up to 32 bits': {
    bad: limited({ key: [{ clientIP: { ipv4PrefixLength: 0 } }] }),
    good: limited({ key: [{ clientIP: { ipv4PrefixLength: 24 } }] }),
    at: '/spec/rules/0/key/0/clientIP/ipv4PrefixLength',
  },
  'a limit is not matched by Gateways': {
    bad: limited({ match: [{ gateways: ['gw'] }] }),
    good: limited({ match: [{ port: 80 }] }),
    at: '/spec/rules/0/match/0/gateways',
  },
  'one request costs no more than the limit': {
    bad: limited({ hits: 2, limit: { requests: 1, per: '1s' } }),
    good: limited({ hits: 2, limit: { requests: 1, per: '1s', burst: 1 } }),
    at: '/spec/rules/0/hits',
  },
  'a request costs something': {
    bad: limited({ hits: 0 }),
    good: limited({ hits: 1 }),
    at: '/spec/rules/0/hits',
  },
  'hits is a number or a header': {
    bad: limited({ hits: 'x-cost' }),
    good: limited({ hits: { header: 'x-cost' } }),
    at: '/spec/rules/0/hits',
  },
}

testRules({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', cases: authorizationPolicy })
testRules({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', cases: peerAuthentication })
testRules({ apiVersion: 'security.istio.io/v1', kind: 'RequestAuthentication', cases: requestAuthentication })
testRules({ apiVersion: 'telemetry.istio.io/v1', kind: 'Telemetry', cases: telemetry })
testRules({ apiVersion: 'sluice.dev/v1alpha1', kind: 'RateLimitPolicy', cases: rateLimitPolicy })

test('AuthorizationPolicy: a dry run is for ALLOW and DENY', () => {
  const policy = (action: string) =>
    parseObject({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'a', annotations: { 'istio.io/dry-run': 'true' } },
      spec: { action, rules: [{}] },
    }).resource
  assert.ok(policy('DENY'))
  assert.equal(policy('AUDIT'), undefined)
})

test('AuthorizationPolicy: an empty spec is ALLOW without rules, which denies everything', () => {
  for (const spec of [{}, null, undefined]) {
    const { resource } = parseObject({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'a' },
      spec,
    })
    assert.deepEqual(resource?.spec, {})
  }
})
