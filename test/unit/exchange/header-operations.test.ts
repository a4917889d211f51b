import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHeaderOperations } from '../../../src/exchange/header-operations.ts'
import type { HeaderOperations } from '../../../src/plan/route.ts'
import { makeExchange } from './make-exchange.ts'

const BEFORE = ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', '3']

const cases: Record<string, { operations: Partial<HeaderOperations>; after: string[] }> = {
  'set replaces every line of a name, at the place of the first': {
    operations: { set: [['x-a', 'new']] },
    after: ['accept', '*/*', 'x-a', 'new', 'x-b', '3'],
  },
  'set adds a name that is not there': {
    operations: { set: [['x-c', 'new']] },
    after: [...BEFORE, 'x-c', 'new'],
  },
  'add gives another line': {
    operations: { add: [['x-a', '3']] },
    after: [...BEFORE, 'x-a', '3'],
  },
  'remove takes every line': {
    operations: { remove: ['x-a'] },
    after: ['accept', '*/*', 'x-b', '3'],
  },
  'removes come first, so that a set of the same name stays': {
    operations: { remove: ['x-a'], set: [['x-a', 'new']] },
    after: ['accept', '*/*', 'x-b', '3', 'x-a', 'new'],
  },
  'values see what removes left': {
    operations: { remove: ['x-b'], set: [['x-seen', '[%REQ(x-b)%]']] },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-seen', '[]'],
  },
  'values are computed before any of them is set': {
    operations: {
      set: [
        ['x-b', 'new'],
        ['x-old', '%REQ(x-b)%'],
      ],
      add: [['x-older', '%REQ(x-b)%']],
    },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', 'new', 'x-old', '3', 'x-older', '3'],
  },
  'of two sets of one name the later one wins': {
    operations: {
      set: [
        ['x-b', 'first'],
        ['x-b', 'second'],
      ],
    },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', 'second'],
  },
  'adds come after sets': {
    operations: { add: [['x-b', 'added']], set: [['x-b', 'set']] },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', 'set', 'x-b', 'added'],
  },
  'a value that turns out empty changes nothing': {
    operations: { set: [['x-b', '%REQ(not-there)%']], add: [['x-c', '%REQ(not-there)%']] },
    after: BEFORE,
  },
  'a percent sign is written twice': {
    operations: { set: [['x-b', '100%%']] },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', '100%'],
  },
  'names are in lower case whatever the plan has': {
    operations: { set: [['X-B', 'new']], remove: ['X-A'] },
    after: ['accept', '*/*', 'x-b', 'new'],
  },
  'an operation whose value is no format is left out, the others are done': {
    operations: {
      set: [
        ['x-a', '%NOT_THERE%'],
        ['x-b', 'new'],
      ],
    },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', 'new'],
  },
  'the environment of the gateway is not for routes': {
    operations: { set: [['x-b', '[%ENVIRONMENT(PATH)%]']] },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', '[]'],
  },
  'a value cannot bring a line of its own': {
    operations: { set: [['x-b', 'a\r\nx-evil: b']] },
    after: ['accept', '*/*', 'x-a', '1', 'x-a', '2', 'x-b', 'ax-evil: b'],
  },
}

for (const [name, { operations, after }] of Object.entries(cases)) {
  test(`compileHeaderOperations: ${name}`, () => {
    const exchange = makeExchange({ headers: [...BEFORE] })
    compileHeaderOperations({ remove: [], set: [], add: [], ...operations })?.(exchange.headers, exchange)
    assert.deepEqual(exchange.headers, after)
  })
}

test('compileHeaderOperations: operations of a response see the request and the response that is being edited', () => {
  const exchange = makeExchange({ headers: ['x-tenant', 'blue'], responseHeaders: null })
  const response = ['x-up', 'a']
  const edit = compileHeaderOperations({
    remove: [],
    set: [['x-copy', '%RESP(x-up)% %REQ(x-tenant)% %UPSTREAM_HOST% %RESPONSE_CODE%']],
    add: [],
  })
  edit?.(
    response,
    makeExchange({ headers: exchange.headers, upstream: { endpoint: '127.0.0.1:1' }, responseHeaders: null }),
  )
  assert.deepEqual(response, ['x-up', 'a', 'x-copy', 'a blue 127.0.0.1:1 200'])
})

test('compileHeaderOperations: nothing to do is null, so that nobody calls it', () => {
  assert.equal(compileHeaderOperations(undefined), null)
  assert.equal(compileHeaderOperations({ remove: [], set: [], add: [] }), null)
  assert.equal(compileHeaderOperations({ remove: [], set: [['x', '']], add: [] }), null)
})
