import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headerValue } from '../../../src/exchange/headers.ts'
import { compilePathRewrite, compileRewrite } from '../../../src/forwarding/rewrite.ts'
import type { PathRewrite } from '../../../src/plan/route.ts'
import { makeExchange } from '../routing/exchanges.ts'

const cases: Record<string, { rewrite: PathRewrite; paths: Record<string, string> }> = {
  'a prefix is replaced as text': {
    rewrite: { kind: 'prefix', length: 4, replacement: '/' },
    paths: { '/foo': '/', '/foo/bar': '//bar', '/foobar': '/bar', '/foo%2Fbar': '/%2Fbar' },
  },
  'the whole path is replaced': {
    rewrite: { kind: 'full', replacement: '/new' },
    paths: { '/a': '/new', '/a/b': '/new' },
  },
  'every match of an expression is replaced, with its groups': {
    rewrite: { kind: 'regex', regex: '/v([0-9]+)', substitution: '/version-\\1' },
    paths: { '/v1/x/v22': '/version-1/x/version-22', '/x': '/x' },
  },
  'a request line cannot be cut by configuration': {
    rewrite: { kind: 'full', replacement: '/a b\r\nx: \u00e9' },
    paths: { '/': '/a%20b%0D%0Ax:%20%C3%A9' },
  },
}

for (const [name, { rewrite, paths }] of Object.entries(cases)) {
  test(`compilePathRewrite: ${name}`, () => {
    const rewritten = compilePathRewrite(rewrite)
    for (const [path, expected] of Object.entries(paths)) assert.equal(rewritten(path), expected)
  })
}

test('compilePathRewrite: an expression that is not RE2 is refused', () => {
  assert.throws(() => compilePathRewrite({ kind: 'regex', regex: '(', substitution: '' }), /cannot rewrite by "\("/)
})

test('compileRewrite: nothing to rewrite is null', () => {
  assert.equal(compileRewrite(undefined, undefined), null)
})

test('compileRewrite: the query is kept and the old path is told', () => {
  const exchange = makeExchange({ path: '/foo/x?a=b', headers: ['x-envoy-original-path', '/forged'] })
  compileRewrite({ kind: 'prefix', length: 4, replacement: '/bar' }, undefined)?.(exchange)
  assert.equal(exchange.path, '/bar/x?a=b')
  assert.equal(exchange.pathname, '/bar/x')
  assert.equal(exchange.query, '?a=b')
  assert.deepEqual(exchange.headers, ['x-envoy-original-path', '/foo/x?a=b'])
  assert.equal(exchange.authority, 'example.com')
})

test('compileRewrite: a new host is told the old one', () => {
  const exchange = makeExchange({ authority: 'example.com:8080' })
  compileRewrite(undefined, 'internal.example')?.(exchange)
  assert.equal(exchange.authority, 'internal.example')
  assert.equal(headerValue(exchange.headers, 'x-envoy-original-host'), 'example.com:8080')
  assert.equal(headerValue(exchange.headers, 'x-envoy-original-path'), undefined)
})

test("compileRewrite: nothing is told with Envoy's headers off", () => {
  const exchange = makeExchange({ path: '/a', envoyDebugHeaders: false })
  compileRewrite({ kind: 'full', replacement: '/b' }, 'internal.example')?.(exchange)
  assert.equal(exchange.path, '/b')
  assert.deepEqual(exchange.headers, [])
})

test('compileRewrite: a path that came out empty is not used', () => {
  const exchange = makeExchange({ path: '/a?b' })
  compileRewrite({ kind: 'regex', regex: '/a', substitution: '' }, undefined)?.(exchange)
  assert.equal(exchange.path, '/a?b')
})
