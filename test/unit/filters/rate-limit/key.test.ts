import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Exchange } from '../../../../src/exchange/exchange.ts'
import { compileKey } from '../../../../src/filters/rate-limit/key.ts'
import type { RateLimitKeyPlan } from '../../../../src/plan/rate-limit.ts'
import { makeExchange } from '../../routing/exchanges.ts'

function keyOf(key: readonly RateLimitKeyPlan[], change: Partial<Exchange>, missing: 'skip' | 'limit' = 'skip') {
  return compileKey({ key, missing })(Object.assign(makeExchange(), change))
}

const token = (claims: Record<string, unknown>) => ({
  issuer: '',
  subject: '',
  audiences: [],
  presenter: '',
  claims,
})
const header: RateLimitKeyPlan = { kind: 'header', name: 'x-key' }
const query: RateLimitKeyPlan = { kind: 'query', name: 'key' }
const cookie: RateLimitKeyPlan = { kind: 'cookie', name: 'key' }
const claim: RateLimitKeyPlan = { kind: 'claim', path: ['org', 'id'] }
const address = (ipv6Bits: number, ipv4Bits = 32): RateLimitKeyPlan => ({ kind: 'clientIP', ipv4Bits, ipv6Bits })

const SAME: Record<string, [RateLimitKeyPlan, Partial<Exchange>, Partial<Exchange>]> = {
  'the port of a client does not count': [
    address(128),
    { clientAddress: '192.0.2.1:1' },
    { clientAddress: '192.0.2.1:2' },
  ],
  'addresses of one IPv6 network are one client where prefixLength says so': [
    address(64),
    { clientAddress: '[2001:db8:0:1::1]:1' },
    { clientAddress: '[2001:db8:0:1:ffff::9]:1' },
  ],
  'a prefix need not end between bytes': [
    address(128, 20),
    { clientAddress: '192.0.16.1:1' },
    { clientAddress: '192.0.31.1:1' },
  ],
  'a parameter is the same however it is spelt': [query, { query: '?key=a%20b' }, { query: '?x=1&k%65y=a+b' }],
  'requests that repeat a header share one bucket, whatever they say': [
    header,
    { headers: ['x-key', 'a', 'x-key', 'b'] },
    { headers: ['x-key', 'a', 'x-key', 'c'] },
  ],
  'requests that repeat a parameter share one bucket': [query, { query: '?key=a&key=b' }, { query: '?key=a&key=c' }],
}

for (const [name, [plan, one, other]] of Object.entries(SAME)) {
  test(`the same bucket: ${name}`, () => {
    assert.notEqual(keyOf([plan], one), null)
    assert.equal(keyOf([plan], one), keyOf([plan], other))
  })
}

const DIFFERENT: Record<string, [readonly RateLimitKeyPlan[], Partial<Exchange>, Partial<Exchange>]> = {
  'two networks': [[address(64)], { clientAddress: '[2001:db8:0:1::1]:1' }, { clientAddress: '[2001:db8:0:2::1]:1' }],
  'IPv4 addresses are whole clients beside IPv6 networks': [
    [address(64)],
    { clientAddress: '192.0.2.1:1' },
    { clientAddress: '192.0.2.2:1' },
  ],
  'values that differ after 60 KB': [
    [header],
    { headers: ['x-key', `${'a'.repeat(61_440)}1`] },
    { headers: ['x-key', `${'a'.repeat(61_440)}2`] },
  ],
  'an attribute cannot reach into the next one': [
    [header, cookie],
    { headers: ['x-key', 'a1=b', 'cookie', 'key=c'] },
    { headers: ['x-key', 'a', 'cookie', 'key=1=bc'] },
  ],
}

for (const [name, [plan, one, other]] of Object.entries(DIFFERENT)) {
  test(`different buckets: ${name}`, () => {
    assert.notEqual(keyOf(plan, one), keyOf(plan, other))
  })
}

const LACKING: Record<string, [RateLimitKeyPlan, Partial<Exchange>]> = {
  header: [header, { headers: ['x-other', 'a'] }],
  parameter: [query, { query: '?keys=a' }],
  cookie: [cookie, { headers: ['cookie', 'keys=a; other'] }],
  claim: [claim, { tokens: [token({ org: 'a' })] }],
  'claim of a prototype': [{ kind: 'claim', path: ['constructor'] }, { tokens: [token({})] }],
  'client certificate': [{ kind: 'peer' }, {}],
}

for (const [name, [plan, change]] of Object.entries(LACKING)) {
  test(`a request without the ${name} has no bucket, or shares one with its like`, () => {
    assert.equal(keyOf([plan], change), null)
    assert.equal(keyOf([address(128), plan], change), null)
    assert.notEqual(keyOf([plan], change, 'limit'), null)
  })
}

test('a value cannot pass for a missing one', () => {
  const missing = keyOf([header], {}, 'limit')
  assert.notEqual(keyOf([header], { headers: ['x-key', '-'] }, 'limit'), missing)
})

test('a claim may lie deeper, and be a number', () => {
  assert.equal(keyOf([claim], { tokens: [token({}), token({ org: { id: 7 } })] }), '=7')
})

test('keys are short, whatever clients send', () => {
  const long = keyOf([header], { headers: ['x-key', 'a'.repeat(61_440)] })
  assert.ok(long !== null && long.length <= 64)
})

test('without attributes there is one bucket', () => {
  assert.equal(keyOf([], {}), '')
})
