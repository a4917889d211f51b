import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Exchange } from '../../../../src/exchange/exchange.ts'
import type { HashKey } from '../../../../src/plan/cluster.ts'
import { compileHashKey } from '../../../../src/upstreams/balancers/hash-key.ts'
import { murmur3 } from '../../../../src/upstreams/balancers/murmur3.ts'
import { type ExchangeFacts, makeExchange } from '../../exchange/make-exchange.ts'

const header: HashKey = { kind: 'header', name: 'X-User' }
const query: HashKey = { kind: 'query', name: 'user' }
const cookie = { kind: 'cookie', name: 'session', path: '/', ttlMs: null, attributes: [] } as const satisfies HashKey

/** The text whose hash a request gets; null: none. */
const cases: Record<string, { key: HashKey; facts: ExchangeFacts; hashed: string | null }> = {
  'a header, whatever the case of its name': { key: header, facts: { headers: ['x-user', 'ann'] }, hashed: 'ann' },
  'a header that is absent': { key: header, facts: { headers: ['x-users', 'ann'] }, hashed: null },
  'a header that is empty': { key: header, facts: { headers: ['x-user', ''] }, hashed: '' },
  'the Host': { key: { kind: 'header', name: 'Host' }, facts: { authority: 'a.test:80' }, hashed: 'a.test:80' },
  'a pseudo-header': { key: { kind: 'header', name: ':path' }, facts: { path: '/a?b' }, hashed: '/a?b' },
  'a cookie among others': {
    key: cookie,
    facts: { headers: ['cookie', 'a=1; session=abc; b=2'] },
    hashed: 'abc',
  },
  'a cookie of a second line': {
    key: cookie,
    facts: { headers: ['cookie', 'a=1', 'accept', '*/*', 'cookie', 'session=abc'] },
    hashed: 'abc',
  },
  'a cookie in quotes, without them': { key: cookie, facts: { headers: ['cookie', 'session="abc"'] }, hashed: 'abc' },
  'the first of two cookies': { key: cookie, facts: { headers: ['cookie', 'session=a; session=b'] }, hashed: 'a' },
  'a cookie with an equals sign in it': { key: cookie, facts: { headers: ['cookie', 'session=a=b'] }, hashed: 'a=b' },
  'a cookie whose name only ends alike': { key: cookie, facts: { headers: ['cookie', 'xsession=abc'] }, hashed: null },
  'a cookie whose case differs': { key: cookie, facts: { headers: ['cookie', 'Session=abc'] }, hashed: null },
  'a cookie that is empty': { key: cookie, facts: { headers: ['cookie', 'session=; b=1'] }, hashed: null },
  'no cookie, and none is to be set': { key: cookie, facts: {}, hashed: null },
  'the client address without its port': {
    key: { kind: 'source-ip' },
    facts: { clientAddress: '192.0.2.7:4444' },
    hashed: '192.0.2.7',
  },
  'an IPv6 client': {
    key: { kind: 'source-ip' },
    facts: { clientAddress: '[2001:db8::7]:4444' },
    hashed: '[2001:db8::7]',
  },
  'an unknown client': { key: { kind: 'source-ip' }, facts: { clientAddress: '' }, hashed: null },
  'a query parameter': { key: query, facts: { query: '?a=1&user=ann&b=2' }, hashed: 'ann' },
  'the first of two query parameters': { key: query, facts: { query: '?user=ann&user=bob' }, hashed: 'ann' },
  'a query parameter as it stands, percent sequences included': {
    key: query,
    facts: { query: '?user=%61nn' },
    hashed: '%61nn',
  },
  'a query parameter without a value': { key: query, facts: { query: '?user&b=1' }, hashed: '' },
  'a query parameter whose name only begins alike': { key: query, facts: { query: '?users=1' }, hashed: null },
  'a query parameter whose case differs': { key: query, facts: { query: '?User=ann' }, hashed: null },
  'a name within a value': { key: query, facts: { query: '?a=user=ann' }, hashed: null },
  'an empty query': { key: query, facts: { query: '?' }, hashed: null },
  'no query': { key: query, facts: { query: '' }, hashed: null },
}

for (const [name, { key, facts, hashed }] of Object.entries(cases)) {
  test(`hash key: ${name}`, () => {
    const exchange = makeExchange(facts)
    assert.equal(compileHashKey(key)(exchange), hashed === null ? null : murmur3(hashed, 0))
    assert.equal(exchange.responseEdits, null)
  })
}

test('hash key: all values of a header count, in whatever order', () => {
  const hash = compileHashKey(header)
  const both = hash(makeExchange({ headers: ['x-user', 'ann', 'x-user', 'bob'] }))
  assert.equal(hash(makeExchange({ headers: ['x-user', 'bob', 'accept', '*/*', 'x-user', 'ann'] })), both)
  assert.notEqual(hash(makeExchange({ headers: ['x-user', 'ann'] })), both)
  assert.notEqual(hash(makeExchange({ headers: ['x-user', 'bob'] })), both)
})

/** The set-cookie line that a request leaves behind, with its value replaced by `…`. */
function setCookie(exchange: Exchange): { line: string; value: string } {
  const headers = ['content-length', '0']
  for (const edit of exchange.responseEdits ?? []) edit(headers, exchange)
  assert.equal(headers.length, 4)
  assert.equal(headers[2], 'set-cookie')
  const value = /="([0-9a-f]{16})"/.exec(headers[3]!)![1]!
  return { line: headers[3]!.replace(value, '…'), value }
}

const lines: Record<string, { key: Partial<typeof cookie> | object; line: string }> = {
  'with its age and path': { key: { ttlMs: 60_000 }, line: 'session="…"; Max-Age=60; Path=/; HttpOnly' },
  'for the session at 0': { key: { ttlMs: 0 }, line: 'session="…"; Path=/; HttpOnly' },
  'in whole seconds': { key: { ttlMs: 1999 }, line: 'session="…"; Max-Age=1; Path=/; HttpOnly' },
  'without a path': { key: { ttlMs: 1000, path: '' }, line: 'session="…"; Max-Age=1; HttpOnly' },
  'with more attributes, in order': {
    key: {
      ttlMs: 0,
      attributes: [
        ['SameSite', 'Strict'],
        ['Secure', ''],
      ],
    },
    line: 'session="…"; Path=/; SameSite=Strict; Secure; HttpOnly',
  },
}

for (const [name, { key, line }] of Object.entries(lines)) {
  test(`hash key: a missing cookie is set ${name}`, () => {
    const hash = compileHashKey({ ...cookie, ...key } as HashKey)
    const exchange = makeExchange({ localAddress: '198.51.100.1:80' })
    const chosen = hash(exchange)
    const set = setCookie(exchange)
    assert.equal(set.line, line)
    // The next request, with the cookie, goes to the same endpoint.
    const next = makeExchange({ headers: ['cookie', `session="${set.value}"`], clientAddress: '203.0.113.1:1' })
    assert.equal(hash(next), chosen)
    assert.equal(next.responseEdits, null)
  })
}

test('hash key: an empty cookie is set anew', () => {
  const exchange = makeExchange({ headers: ['cookie', 'session='] })
  assert.notEqual(compileHashKey({ ...cookie, ttlMs: 0 })(exchange), null)
  assert.equal(setCookie(exchange).line, 'session="…"; Path=/; HttpOnly')
})

test('hash key: requests of one connection get one cookie, other connections and other clients other ones', () => {
  const hash = compileHashKey({ ...cookie, ttlMs: 0 })
  const value = (facts: ExchangeFacts) => {
    const exchange = makeExchange(facts)
    hash(exchange)
    return setCookie(exchange).value
  }
  assert.equal(value({}), value({}))
  assert.notEqual(value({}), value({ peerAddress: '192.0.2.7:4445' }))
  assert.notEqual(value({}), value({ clientAddress: '203.0.113.9:0' }))
})

test('hash key: no request makes it throw, and every hash is an unsigned 32-bit number', () => {
  const keys: HashKey[] = [header, query, cookie, { ...cookie, ttlMs: 0 }, { kind: 'source-ip' }]
  const hashes = keys.map(compileHashKey)
  const text = fc.string({ unit: 'binary-ascii' })
  fc.assert(
    fc.property(text, text, text, (one, two, three) => {
      const headers = ['x-user', one, 'cookie', two, 'cookie', `session=${three}`]
      for (const compute of hashes) {
        const hash = compute(makeExchange({ headers, query: `?${one}`, clientAddress: three }))
        assert.ok(hash === null || (Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32))
      }
    }),
  )
})
