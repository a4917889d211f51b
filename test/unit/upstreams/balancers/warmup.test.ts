import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLoadBalancer } from '../../../../src/upstreams/balancers/load-balancer.ts'
import { warmthOf } from '../../../../src/upstreams/balancers/warmup.ts'
import { cluster, endpoints, seeded } from './balancing.ts'

const warmup = { durationMs: 60_000, minimumFraction: 0.1, aggression: 1 }

const cases: Record<string, { plan?: Partial<typeof warmup>; ageMs: number; gives: number }> = {
  'a new endpoint has the least part': { ageMs: 0, gives: 0.1 },
  'it grows with its age': { ageMs: 30_000, gives: 0.5 },
  'the least part holds until its age is worth more': { ageMs: 3000, gives: 0.1 },
  'a higher aggression starts faster': { plan: { aggression: 2 }, ageMs: 15_000, gives: 0.5 },
  'a lower one slower': { plan: { aggression: 0.5 }, ageMs: 30_000, gives: 0.25 },
  'it is whole at the end': { ageMs: 60_000, gives: 1 },
  'and stays so': { ageMs: Infinity, gives: 1 },
  'no least part: never quite nothing': { plan: { minimumFraction: 0 }, ageMs: 0, gives: 0.001 },
}

for (const [name, { plan, ageMs, gives }] of Object.entries(cases)) {
  test(`warmup: ${name}`, () => {
    assert.ok(Math.abs(warmthOf({ ...warmup, ...plan }, ageMs) - gives) < 1e-12)
  })
}

for (const loadBalancer of ['round-robin', 'least-request'] as const) {
  test(`${loadBalancer}: a new endpoint gets a tenth at first, half of a share half-way, a whole one in the end`, () => {
    let now = 1_000_000
    const among = endpoints({}, {}, { addedAt: now })
    const deps = { random: seeded(), now: () => now }
    const balancer = createLoadBalancer(cluster({ loadBalancer, warmup }), among, deps)
    const shareNow = () =>
      Array.from({ length: 3000 }, () => balancer.pick(null)).filter((picked) => picked === among[2]).length / 3000
    const near = (share: number, expected: number) => assert.ok(Math.abs(share - expected) < 0.06, `${share}`)
    near(shareNow(), 0.1 / 2.1)
    now += 30_000
    near(shareNow(), 0.5 / 2.5)
    now += 30_000
    near(shareNow(), 1 / 3)
    now += 3_600_000
    near(shareNow(), 1 / 3)
  })

  test(`${loadBalancer}: a new endpoint is not forgotten while requests are few and its weight grows`, () => {
    let now = 0
    const among = endpoints({}, { addedAt: 0 })
    const deps = { random: seeded(), now: () => now }
    const plan = cluster({ loadBalancer, warmup: { ...warmup, minimumFraction: 0 } })
    const balancer = createLoadBalancer(plan, among, deps)
    let picked = 0
    for (; now < 60_000; now += 200) if (balancer.pick(null) === among[1]) picked++
    // The mean of age / (1 + age) over the warm-up, of 300 requests: 92.
    assert.ok(picked > 75 && picked < 110, `${picked}`)
  })
}

test('endpoints that all are new at the same time share as their weights say', () => {
  const among = endpoints({ weight: 2, addedAt: 5 }, { weight: 1, addedAt: 5 })
  const deps = { random: seeded(), now: () => 10 }
  const balancer = createLoadBalancer(cluster({ loadBalancer: 'round-robin', warmup }), among, deps)
  const first = Array.from({ length: 300 }, () => balancer.pick(null)).filter((picked) => picked === among[0]).length
  assert.ok(Math.abs(first - 200) <= 1, `${first}`)
})
