import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CorsPlan } from '../../../src/plan/route.ts'
import { compileFilters } from '../../../src/filters/order.ts'
import { makeExchange, makeRoute } from '../routing/exchanges.ts'

const cors: CorsPlan = {
  allowOrigins: [{ kind: 'exact', value: '*' }],
  allowCredentials: false,
  forwardUnmatchedPreflights: true,
}
const fault = { abort: { fraction: 1, httpStatus: 503 } }
const deps = { random: () => 0, setTimeout, compileRateLimits: () => () => undefined }

test('compileFilters: a route without policies has no filters', () => {
  assert.equal(compileFilters(makeRoute(0), deps), null)
})

test('compileFilters: a fault hits preflights too', () => {
  const filters = compileFilters(makeRoute(0, {}, { cors, fault }), deps)
  assert.equal(filters?.length, 2)
  const preflight = makeExchange({
    method: 'OPTIONS',
    headers: ['origin', 'https://a.example', 'access-control-request-method', 'GET'],
  })
  assert.deepEqual(filters[0]!(preflight), {
    status: 503,
    body: 'fault filter abort',
    flag: 'FI',
    details: 'fault_filter_abort',
  })
})

test('compileFilters: a route that does not forward has no CORS', () => {
  const action = { kind: 'redirect', status: 301, authority: 'b.example' } as const
  assert.equal(compileFilters(makeRoute(0, {}, { cors, action }), deps), null)
})
