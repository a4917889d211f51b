import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileLocation } from '../../../src/filters/jwt-locations.ts'
import type { JwtLocationPlan } from '../../../src/plan/jwt.ts'
import { makeExchange, type RequestFacts } from '../routing/exchanges.ts'

interface Case {
  readonly at: JwtLocationPlan
  readonly request: RequestFacts
  readonly token: string | undefined
  /** What is left of the request's headers, or of its path, where the token was taken out. */
  readonly left?: readonly string[] | string
}

const authorization: JwtLocationPlan = { kind: 'header', name: 'authorization', prefix: 'Bearer ' }
const param: JwtLocationPlan = { kind: 'param', name: 'token' }
const cookie: JwtLocationPlan = { kind: 'cookie', name: 'session' }

const cases: Record<string, Case> = {
  'what follows the prefix': {
    at: authorization,
    request: { headers: ['a', '1', 'authorization', 'Bearer x.y.z'] },
    token: 'x.y.z',
    left: ['a', '1'],
  },
  'the prefix may stand anywhere in the value': {
    at: authorization,
    request: { headers: ['authorization', 'Token Bearer  x.y.z'] },
    token: 'x.y.z',
    left: [],
  },
  'the prefix in another case is none': {
    at: authorization,
    request: { headers: ['authorization', 'bearer x.y.z'] },
    token: undefined,
    left: ['authorization', 'bearer x.y.z'],
  },
  'other credentials are no token and stay': {
    at: authorization,
    request: { headers: ['authorization', 'Basic eA=='] },
    token: undefined,
    left: ['authorization', 'Basic eA=='],
  },
  'a line with the prefix counts, and no line of that header stays beside it': {
    at: authorization,
    request: { headers: ['authorization', 'Basic eA==', 'authorization', 'Bearer x', 'authorization', 'Bearer y'] },
    token: 'x',
    left: [],
  },
  'without a prefix the whole value is the token': {
    at: { kind: 'header', name: 'x-token', prefix: '' },
    request: { headers: ['x-token', 'x.y.z'] },
    token: 'x.y.z',
    left: [],
  },
  'a header without a value holds a token that is none': {
    at: { kind: 'header', name: 'x-token', prefix: '' },
    request: { headers: ['x-token', ''] },
    token: '',
  },
  'a query parameter; the others stay as they were sent': {
    at: param,
    request: { path: '/p?a=%2f&token=x.y.z&b=c+d' },
    token: 'x.y.z',
    left: '/p?a=%2f&b=c+d',
  },
  'the only query parameter goes with its question mark': {
    at: param,
    request: { path: '/p?token=x' },
    token: 'x',
    left: '/p',
  },
  'names and values of query parameters are decoded': {
    at: param,
    request: { path: '/p?%74oken=a%2eb' },
    token: 'a.b',
    left: '/p',
  },
  'of several the first counts, and none stays': {
    at: param,
    request: { path: '/p?token=x&token=y&a' },
    token: 'x',
    left: '/p?a',
  },
  'a parameter without a value holds a token that is none': { at: param, request: { path: '/p?token' }, token: '' },
  'a broken percent sequence stands for itself': {
    at: param,
    request: { path: '/p?%=1&token=%zz' },
    token: '%zz',
    left: '/p?%=1',
  },
  'no such parameter': { at: param, request: { path: '/p?tokens=x' }, token: undefined, left: '/p?tokens=x' },
  'no query': { at: param, request: { path: '/p' }, token: undefined, left: '/p' },
  'a cookie, which stays': {
    at: cookie,
    request: { headers: ['cookie', 'theme=dark; session=x.y.z; a=b'] },
    token: 'x.y.z',
    left: ['cookie', 'theme=dark; session=x.y.z; a=b'],
  },
  'a cookie on a line of its own': {
    at: cookie,
    request: { headers: ['cookie', 'theme=dark', 'cookie', 'session=x'] },
    token: 'x',
  },
  'a cookie in quotes': { at: cookie, request: { headers: ['cookie', 'session="x"'] }, token: 'x' },
  'a cookie of another name': { at: cookie, request: { headers: ['cookie', 'sessions=x'] }, token: undefined },
}

for (const [name, { at, request, token, left }] of Object.entries(cases)) {
  test(`compileLocation: ${name}`, () => {
    const exchange = makeExchange(request)
    const location = compileLocation(at)
    assert.equal(location.find(exchange), token)
    location.remove(exchange)
    if (left !== undefined) assert.deepEqual(typeof left === 'string' ? exchange.path : exchange.headers, left)
    assert.equal(exchange.path, exchange.pathname + exchange.query)
  })
}
