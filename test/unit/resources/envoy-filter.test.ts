import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from 'js-yaml'
import { readEnvoyFilter } from '../../../src/resources/envoy-filter.ts'
import { parseObject } from '../../../src/resources/parse.ts'

const METADATA = 'metadata: { name: limit, namespace: shop }'

function read(yaml: string) {
  const { policy, notes } = readEnvoyFilter(
    load(`apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n${METADATA}\n${yaml}`) as Record<
      string,
      unknown
    >,
  )
  return { policy, rules: (policy?.['spec'] as { rules: unknown[] } | undefined)?.rules, notes }
}

const filter = (config: string, match = '') => `
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    ${match}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value: ${config.replaceAll(/\s*\n\s*/g, ' ')}
`
const ON =
  'filter_enabled: { default_value: { numerator: 100 } }, filter_enforced: { default_value: { numerator: 100 } }'

test('a bucket for every request is a limit without a key', () => {
  const { policy, rules, notes } = read(
    filter(`{ token_bucket: { max_tokens: 10, tokens_per_fill: 10, fill_interval: 60s }, ${ON} }`),
  )
  assert.deepEqual(rules, [{ name: 'rule-0', limit: { requests: 10, per: '60s' } }])
  assert.deepEqual(notes, [])
  const { resource, problems } = parseObject(policy)
  assert.ok(resource !== undefined)
  assert.deepEqual(problems, [])
})

test('tokens beyond one filling are a burst, and the difference is said', () => {
  const { rules, notes } = read(
    filter(
      `{ tokenBucket: { maxTokens: 50, tokensPerFill: 10, fillInterval: 1s }, status: { code: ServiceUnavailable }, ${ON} }`,
    ),
  )
  assert.deepEqual(rules, [{ name: 'rule-0', status: 503, limit: { requests: 10, per: '1s', burst: 40 } }])
  assert.equal(notes.length, 1)
})

test('a filter that is not enforced is a trial', () => {
  const { rules, notes } = read(filter('{ token_bucket: { max_tokens: 1, fill_interval: 1s } }'))
  assert.deepEqual(rules, [{ name: 'rule-0', shadow: true, limit: { requests: 1, per: '1s' } }])
  assert.match(notes.join(), /does nothing in Istio/)
})

test('a patch for a virtual host limits its host', () => {
  const { rules } = read(
    filter(
      `{ token_bucket: { max_tokens: 1, fill_interval: 1s }, ${ON} }`,
      'match: { routeConfiguration: { vhost: { name: "shop.example:80" } } }',
    ),
  )
  assert.deepEqual(rules, [
    { name: 'rule-0', match: [{ authority: { prefix: 'shop.example' }, port: 80 }], limit: { requests: 1, per: '1s' } },
  ])
})

test('descriptors become keys and matches by the actions that make them', () => {
  const { rules } = read(`${filter(`{
    token_bucket: { max_tokens: 100, tokens_per_fill: 100, fill_interval: 1s }, ${ON},
    descriptors: [
      { entries: [{ key: client, value: mobile }, { key: remote_address }], token_bucket: { max_tokens: 5, tokens_per_fill: 5, fill_interval: 1s } },
      { entries: [{ key: path, value: /login }], token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s } },
    ] }`)}
  - applyTo: VIRTUAL_HOST
    patch:
      value:
        rate_limits:
        - actions:
          - request_headers: { header_name: x-client, descriptor_key: client }
          - request_headers: { header_name: ":path", descriptor_key: path }
`)
  assert.deepEqual(rules, [
    {
      name: 'rule-0',
      match: [{ headers: { 'x-client': { exact: 'mobile' } } }],
      key: [{ clientIP: {} }],
      limit: { requests: 5, per: '1s' },
    },
    { name: 'rule-1', match: [{ uri: { exact: '/login' } }], limit: { requests: 2, per: '60s' } },
    { name: 'rule-2', limit: { requests: 100, per: '1s' } },
  ])
})

test('an entry that nothing here makes is said, and its limit is not applied to everything', () => {
  const { rules, notes } = read(
    filter(
      `{ descriptors: [{ entries: [{ key: tenant }], token_bucket: { max_tokens: 1, fill_interval: 1s } }], token_bucket: { max_tokens: 9, tokens_per_fill: 9, fill_interval: 1s }, ${ON} }`,
    ),
  )
  assert.equal(rules?.length, 1)
  assert.match(notes.join(), /"tenant" has no counterpart/)
})

test('the warning about an EnvoyFilter holds the policy', () => {
  const { problems } = parseObject(
    load(
      `apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n${METADATA}\n${filter(`{ token_bucket: { max_tokens: 1, fill_interval: 1s }, ${ON} }`)}`,
    ),
  )
  assert.equal(problems[0]?.code, 'kind/no-effect')
  assert.match(problems[0]?.remedy ?? '', /"kind":"RateLimitPolicy"/)
})

for (const spec of [
  'spec: 1',
  'spec: { configPatches: [null, 1, { patch: { value: { token_bucket: [] } } }] }',
  'other: x',
]) {
  test(`an EnvoyFilter of any shape is read: ${spec}`, () => {
    assert.equal(read(spec).policy, null)
  })
}
