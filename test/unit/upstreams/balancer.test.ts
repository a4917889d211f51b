import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBalancer } from '../../../src/upstreams/balancer.ts'
import { Endpoint } from '../../../src/upstreams/endpoint.ts'

const settings = { connectTimeoutMs: 1000, idleTimeoutMs: null, maxRequestsPerConnection: 0 }
const endpoints = (...weights: number[]) =>
  weights.map((weight, index) => new Endpoint({ address: `10.0.0.${index + 1}`, port: 80, weight }, settings))

/** A small linear congruential generator: the same numbers in every run. */
function seeded(): () => number {
  let state = 12345
  return () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31
}

function shares(balancer: ReturnType<typeof createBalancer>, picks: number): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < picks; i++) {
    const { key } = balancer()!
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

for (const policy of ['round-robin', 'random', 'least-request'] as const) {
  test(`${policy}: no endpoints, no pick; one endpoint, always that one`, () => {
    assert.equal(createBalancer(policy, [], seeded())(), null)
    const [only] = endpoints(1)
    assert.equal(createBalancer(policy, [only!], seeded())(), only)
  })
}

test('round-robin takes every endpoint in turn', () => {
  assert.deepEqual(shares(createBalancer('round-robin', endpoints(1, 1, 1), seeded()), 30), {
    '10.0.0.1:80': 10,
    '10.0.0.2:80': 10,
    '10.0.0.3:80': 10,
  })
})

test('round-robin with weights is smooth: no endpoint is taken three times in a row at 2 to 1', () => {
  const balancer = createBalancer('round-robin', endpoints(2, 1), seeded())
  const keys = Array.from({ length: 9 }, () => balancer()!.plan.address)
  assert.equal(keys.filter((key) => key === '10.0.0.1').length, 6)
  assert.ok(!/(1.){3}/.test(keys.map((key) => `${key.at(-1)}.`).join('')))
})

test('random follows the weights', () => {
  const counts = shares(createBalancer('random', endpoints(3, 1), seeded()), 4000)
  assert.ok(Math.abs(counts['10.0.0.1:80']! - 3000) < 150, JSON.stringify(counts))
})

test('least-request spares the endpoint with more requests in flight', () => {
  const [busy, free] = endpoints(1, 1)
  busy!.active = 5
  const counts = shares(createBalancer('least-request', [busy!, free!], seeded()), 4000)
  // Both draws fall on the busy one in a quarter of all cases.
  assert.ok(Math.abs(counts[busy!.key]! - 1000) < 150, JSON.stringify(counts))
})

test('least-request with unequal weights counts load against the weight', () => {
  const [heavy, light] = endpoints(3, 1)
  const idle = shares(createBalancer('least-request', [heavy!, light!], seeded()), 400)
  assert.equal(idle[heavy!.key], 300)
  heavy!.active = 5
  const loaded = shares(createBalancer('least-request', [heavy!, light!], seeded()), 300)
  assert.ok(loaded[heavy!.key]! < loaded[light!.key]!, JSON.stringify(loaded))
})
