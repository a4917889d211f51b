import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CorsPlan } from '../../../src/plan/route.ts'
import { compileCors } from '../../../src/filters/cors.ts'
import { makeExchange } from '../routing/exchanges.ts'

const ORIGIN = 'https://app.example'

function plan(more: Partial<CorsPlan> = {}): CorsPlan {
  return {
    allowOrigins: [{ kind: 'exact', value: ORIGIN }],
    allowCredentials: false,
    forwardUnmatchedPreflights: true,
    ...more,
  }
}

function preflight(origin = ORIGIN, more: readonly string[] = []) {
  return makeExchange({
    method: 'OPTIONS',
    headers: ['origin', origin, 'access-control-request-method', 'PUT', ...more],
  })
}

const full: Partial<CorsPlan> = {
  allowMethods: 'GET,PUT',
  allowHeaders: 'x-a,x-b',
  exposeHeaders: 'x-c',
  maxAge: '86400',
  allowCredentials: true,
}

test('compileCors: an allowed preflight is answered with what is configured, its origin echoed', () => {
  assert.deepEqual(compileCors(plan(full))(preflight()), {
    status: 200,
    headers: [
      'access-control-allow-origin',
      ORIGIN,
      'access-control-allow-credentials',
      'true',
      'access-control-allow-methods',
      'GET,PUT',
      'access-control-allow-headers',
      'x-a,x-b',
      'access-control-max-age',
      '86400',
      'access-control-expose-headers',
      'x-c',
    ],
    details: 'cors_response',
  })
})

test('compileCors: a preflight is told nothing that is not configured', () => {
  assert.deepEqual(compileCors(plan())(preflight()), {
    status: 200,
    headers: ['access-control-allow-origin', ORIGIN],
    details: 'cors_response',
  })
})

test('compileCors: the origin is echoed, never a star', () => {
  const filter = compileCors(plan({ allowOrigins: [{ kind: 'exact', value: '*' }] }))
  assert.deepEqual(filter(preflight('https://other.example')), {
    status: 200,
    headers: ['access-control-allow-origin', 'https://other.example'],
    details: 'cors_response',
  })
})

test('compileCors: a star in a list echoes what was asked for', () => {
  const filter = compileCors(plan({ allowMethods: 'GET,*', allowHeaders: '*' }))
  assert.deepEqual(filter(preflight(ORIGIN, ['access-control-request-headers', 'x-z'])), {
    status: 200,
    headers: [
      'access-control-allow-origin',
      ORIGIN,
      'access-control-allow-methods',
      'PUT',
      'access-control-allow-headers',
      'x-z',
    ],
    details: 'cors_response',
  })
  assert.deepEqual(filter(preflight()), {
    status: 200,
    headers: ['access-control-allow-origin', ORIGIN, 'access-control-allow-methods', 'PUT'],
    details: 'cors_response',
  })
})

test('compileCors: a preflight from elsewhere is forwarded', () => {
  const exchange = preflight('https://evil.example')
  assert.equal(compileCors(plan(full))(exchange), undefined)
  assert.equal(exchange.responseEdits, null)
})

test('compileCors: or answered without its origin, where unmatched preflights are ignored', () => {
  const reply = compileCors(plan({ forwardUnmatchedPreflights: false, maxAge: '60' }))(
    preflight('https://evil.example'),
  )
  assert.deepEqual(reply, { status: 200, headers: ['access-control-max-age', '60'], details: 'cors_response' })
})

const notPreflights: Record<string, Parameters<typeof makeExchange>[0]> = {
  'a GET with the headers of one': {
    method: 'GET',
    headers: ['origin', ORIGIN, 'access-control-request-method', 'PUT'],
  },
  'an OPTIONS without a requested method': { method: 'OPTIONS', headers: ['origin', ORIGIN] },
  'an OPTIONS with an empty one': {
    method: 'OPTIONS',
    headers: ['origin', ORIGIN, 'access-control-request-method', ''],
  },
}

for (const [name, facts] of Object.entries(notPreflights)) {
  test(`compileCors: ${name} is an actual request`, () => {
    const exchange = makeExchange(facts)
    assert.equal(compileCors(plan(full))(exchange), undefined)
    assert.equal(exchange.responseEdits?.length, 1)
  })
}

test('compileCors: the answer of an actual request gets its headers, the origin overwritten', () => {
  const exchange = makeExchange({ headers: ['origin', ORIGIN] })
  assert.equal(compileCors(plan(full))(exchange), undefined)
  const headers = ['access-control-allow-origin', '*', 'vary', 'accept', 'access-control-expose-headers', 'x-upstream']
  for (const edit of exchange.responseEdits!) edit(headers, exchange)
  assert.deepEqual(headers, [
    'access-control-allow-origin',
    ORIGIN,
    'vary',
    'accept',
    'access-control-expose-headers',
    'x-c',
    'access-control-allow-credentials',
    'true',
  ])
})

for (const [name, headers] of Object.entries({
  'from elsewhere': ['origin', 'https://evil.example'],
  'without an origin': [],
  'with an empty origin': ['origin', ''],
})) {
  test(`compileCors: an actual request ${name} is left alone`, () => {
    const exchange = makeExchange({ headers })
    assert.equal(compileCors(plan(full))(exchange), undefined)
    assert.equal(exchange.responseEdits, null)
  })
}

test('compileCors: any matcher may allow an origin, each of the whole of it', () => {
  const filter = compileCors(
    plan({
      allowOrigins: [
        { kind: 'prefix', value: 'https://a.' },
        { kind: 'regex', value: 'https://[a-z]+\\.b' },
        { kind: 'regex', value: '(' },
      ],
    }),
  )
  const isAllowed = (origin: string): boolean => {
    const exchange = makeExchange({ headers: ['origin', origin] })
    void filter(exchange)
    return exchange.responseEdits !== null
  }
  assert.deepEqual(['https://a.x', 'https://x.b'].map(isAllowed), [true, true])
  assert.deepEqual(['http://a.x', 'https://x.b.evil', 'https://xyb', '('].map(isAllowed), [false, false, false, false])
})
