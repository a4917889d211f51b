import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteMatch } from '../../../src/plan/route.ts'
import { compileConditions, compileMatch } from '../../../src/routing/match.ts'
import { compileLinear, matchLinear } from '../../../src/routing/linear.ts'
import {
  anyPath,
  exact,
  makeExchange,
  makeRoute,
  makeVirtualHost,
  prefix,
  regex,
  type RequestFacts,
} from './exchanges.ts'

interface Case {
  readonly match: Partial<RouteMatch>
  readonly takes: readonly RequestFacts[]
  readonly refuses: readonly RequestFacts[]
}

const paths = (...texts: string[]): RequestFacts[] => texts.map((path) => ({ path }))
const headers = (...lists: string[][]): RequestFacts[] => lists.map((list) => ({ headers: list }))

const cases: Record<string, Case> = {
  'an absent path takes every path': { match: { path: anyPath }, takes: paths('/', '/a?b', '*'), refuses: [] },
  'an exact path is compared byte by byte and without the query': {
    match: { path: exact('/a%2Fb') },
    takes: paths('/a%2Fb', '/a%2Fb?c=d', '/a%2Fb?'),
    refuses: paths('/a%2fb', '/a/b', '/a%2Fb/', '/A%2Fb'),
  },
  'an exact path may ignore case': {
    match: { path: exact('/Foo', true) },
    takes: paths('/foo', '/FOO', '/Foo?X'),
    refuses: paths('/foo/', '/fo', '/bar'),
  },
  'case is that of ASCII letters only': {
    match: { path: prefix('/k', true) },
    takes: paths('/K', '/kk'),
    refuses: paths('/\u212a'),
  },
  'a prefix compares text, not segments': {
    match: { path: prefix('/foo') },
    takes: paths('/foo', '/foo/bar', '/foobar', '/foo?x'),
    refuses: paths('/fo', '/Foo', '/bar/foo', '/?/foo'),
  },
  'a prefix may ignore case': {
    match: { path: prefix('/Foo', true) },
    takes: paths('/foobar', '/FOO/x'),
    refuses: paths('/fo', '/bar'),
  },
  'an empty prefix takes every path': { match: { path: prefix('') }, takes: paths('/', '/a'), refuses: [] },
  'a regex matches the whole path without the query': {
    match: { path: regex('/v[0-9]+/a') },
    takes: paths('/v1/a', '/v12/a?b'),
    refuses: paths('/v1/ab', '/x/v1/a', '/v/a'),
  },
  'an expression that is not RE2 matches nothing': {
    match: { path: regex('/(?=a).*') },
    takes: [],
    refuses: paths('/', '/a', '/(?=a).*'),
  },
  'a method is compared with its case': {
    match: { method: { kind: 'exact', value: 'POST' } },
    takes: [{ method: 'POST' }],
    refuses: [{ method: 'GET' }, { method: 'post' }],
  },
  'a method may be one of several by a regex': {
    match: { method: { kind: 'regex', value: 'GET|PURGE' } },
    takes: [{ method: 'GET' }, { method: 'PURGE' }],
    refuses: [{ method: 'GETS' }],
  },
  'a scheme is that of the request': {
    match: { scheme: { kind: 'exact', value: 'https' } },
    takes: [{ scheme: 'https' }],
    refuses: [{ scheme: 'http' }],
  },
  'an authority is compared as received, port and case included': {
    match: { authority: { kind: 'exact', value: 'a.example:8080' } },
    takes: [{ authority: 'a.example:8080' }],
    refuses: [{ authority: 'a.example' }, { authority: 'A.example:8080' }],
  },
  'an authority may be matched by its beginning': {
    match: { authority: { kind: 'prefix', value: 'a.' } },
    takes: [{ authority: 'a.example' }],
    refuses: [{ authority: 'b.example' }],
  },
  'repeated headers are one value joined by a comma': {
    match: { headers: [{ name: 'x-a', match: { kind: 'exact', value: '1,2' }, invert: false }] },
    takes: headers(['x-a', '1', 'x-b', '3', 'x-a', '2']),
    refuses: headers(['x-a', '1'], ['x-a', '2', 'x-a', '1'], []),
  },
  'a header value keeps its case': {
    match: { headers: [{ name: 'x-a', match: { kind: 'exact', value: 'B' }, invert: false }] },
    takes: headers(['x-a', 'B']),
    refuses: headers(['x-a', 'b']),
  },
  'a present header may be empty': {
    match: { headers: [{ name: 'x-a', match: { kind: 'present' }, invert: false }] },
    takes: headers(['x-a', ''], ['x-a', '1']),
    refuses: headers([], ['x-ab', '1']),
  },
  'a missing header fails every test of its value, that for emptiness too': {
    match: { headers: [{ name: 'x-a', match: { kind: 'prefix', value: '' }, invert: false }] },
    takes: headers(['x-a', '']),
    refuses: headers([]),
  },
  'an inverted header counts as the empty text where it is missing': {
    match: { headers: [{ name: 'x-a', match: { kind: 'exact', value: '1' }, invert: true }] },
    takes: headers([], ['x-a', '2'], ['x-a', '']),
    refuses: headers(['x-a', '1']),
  },
  'an inverted expression that takes the empty text refuses a missing header': {
    match: { headers: [{ name: 'x-a', match: { kind: 'regex', value: '.*' }, invert: true }] },
    takes: [],
    refuses: headers([], ['x-a', '1']),
  },
  'an inverted presence means absence': {
    match: { headers: [{ name: 'x-a', match: { kind: 'present' }, invert: true }] },
    takes: headers([], ['x-b', '1']),
    refuses: headers(['x-a', ''], ['x-a', '1']),
  },
  'an inverted expression that is not RE2 lets nothing through': {
    match: { headers: [{ name: 'x-a', match: { kind: 'regex', value: '(' }, invert: true }] },
    takes: [],
    refuses: headers([], ['x-a', '1']),
  },
  'pseudo-headers and host are headers too': {
    match: {
      headers: [
        { name: ':method', match: { kind: 'exact', value: 'PUT' }, invert: false },
        { name: ':path', match: { kind: 'exact', value: '/a?b' }, invert: false },
        { name: ':scheme', match: { kind: 'exact', value: 'http' }, invert: false },
        { name: 'host', match: { kind: 'prefix', value: 'example' }, invert: false },
      ],
    },
    takes: [{ method: 'PUT', path: '/a?b' }],
    refuses: [{ method: 'PUT', path: '/a' }, { path: '/a?b' }],
  },
  'a query parameter is its first value, as it was sent': {
    match: { queryParams: [{ name: 'a', match: { kind: 'exact', value: 'x%20y+z' }, invert: false }] },
    takes: paths('/?a=x%20y+z', '/?b&a=x%20y+z&a=2'),
    refuses: paths('/?a=x y z', '/?a=2&a=x%20y+z', '/', '/?A=x%20y+z', '/?%61=x%20y+z'),
  },
  'an empty value is the same with and without its sign': {
    match: { queryParams: [{ name: 'k', match: { kind: 'exact', value: '' }, invert: false }] },
    takes: paths('/?k', '/?k=', '/?x=1&k'),
    refuses: paths('/', '/?', '/?kk', '/?k=1'),
  },
  'a present query parameter may have any value': {
    match: { queryParams: [{ name: 'k', match: { kind: 'present' }, invert: false }] },
    takes: paths('/?k', '/?k=1', '/?a&k=b=c'),
    refuses: paths('/', '/?K', '/?a=k'),
  },
  'everything after the first sign is the value': {
    match: { queryParams: [{ name: 'k', match: { kind: 'exact', value: 'a=b?c' }, invert: false }] },
    takes: paths('/?k=a=b?c'),
    refuses: paths('/?k=a'),
  },
  'all conditions must hold': {
    match: {
      path: prefix('/a'),
      method: { kind: 'exact', value: 'GET' },
      headers: [{ name: 'x-a', match: { kind: 'present' }, invert: false }],
      queryParams: [{ name: 'q', match: { kind: 'regex', value: '[0-9]' }, invert: false }],
    },
    takes: [{ path: '/a?q=1', headers: ['x-a', ''] }],
    refuses: [
      { path: '/b?q=1', headers: ['x-a', ''] },
      { path: '/a?q=1', headers: ['x-a', ''], method: 'POST' },
      { path: '/a?q=1' },
      { path: '/a?q=x', headers: ['x-a', ''] },
    ],
  },
}

for (const [name, { match, takes, refuses }] of Object.entries(cases)) {
  test(`compileMatch: ${name}`, () => {
    const matches = compileMatch({ path: anyPath, ...match })
    for (const facts of takes) assert.equal(matches(makeExchange(facts)), true, JSON.stringify(facts))
    for (const facts of refuses) assert.equal(matches(makeExchange(facts)), false, JSON.stringify(facts))
  })
}

test('compileConditions: a match of the path alone has none', () => {
  assert.equal(compileConditions({ path: prefix('/a') }), null)
  assert.equal(compileConditions({ path: prefix('/a'), headers: [], queryParams: [] }), null)
})

test('matchLinear: the first rule that matches wins, however specific a later one is', () => {
  const virtualHost = makeVirtualHost([
    makeRoute(0, { path: exact('/a'), method: { kind: 'exact', value: 'POST' } }),
    makeRoute(1, { path: prefix('/a') }),
    makeRoute(2, { path: exact('/a/b') }),
  ])
  const linear = compileLinear(virtualHost)
  for (const [facts, index] of [
    [{ path: '/a', method: 'POST' }, 0],
    [{ path: '/a' }, 1],
    [{ path: '/a/b' }, 1],
    [{ path: '/b' }, -1],
  ] as const) {
    assert.equal(matchLinear(virtualHost, makeExchange(facts)), index)
    assert.equal(linear(makeExchange(facts)), index)
  }
})
