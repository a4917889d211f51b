import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ClusterPlan } from '../../../../src/plan/cluster.ts'
import { createLoadBalancer } from '../../../../src/upstreams/balancers/load-balancer.ts'
import { murmur3 } from '../../../../src/upstreams/balancers/murmur3.ts'
import { cluster, deps, endpoints, outlierDetection, POLICIES, type TestEndpoint } from './balancing.ts'

const KEYS = 10_000

/** Where each of many users goes. */
function owners(plan: ClusterPlan, among: readonly TestEndpoint[], seed?: number): string[] {
  const balancer = createLoadBalancer(plan, among, deps(seed))
  return Array.from({ length: KEYS }, (_, i) => balancer.pick(murmur3(`user-${i}`, 0))!.key)
}

const some = (count: number) => endpoints(...Array.from({ length: count }, () => ({})))

for (const name of ['ring', 'maglev']) {
  const plan = cluster({ ...POLICIES[name], outlierDetection: outlierDetection(0) })

  test(`${name}: a hash has one endpoint, in every worker and in whatever order endpoints come`, () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(some(8), { minLength: 2 }), fc.nat(), (among, seed) => {
        const sorted = [...among].sort((a, b) => (a.key < b.key ? -1 : 1))
        assert.deepEqual(owners(plan, among, seed), owners(plan, sorted, seed + 1))
      }),
      { numRuns: 5 },
    )
  })

  for (const count of [2, 5, 10, 50]) {
    test(`${name}: one of ${count} endpoints that goes, or comes, moves about 1/${count} of the hashes`, () => {
      const all = some(count)
      const gone = all[count >>> 1]!
      const before = owners(plan, all)
      const after = owners(
        plan,
        all.filter((endpoint) => endpoint !== gone),
      )
      const moved = before.filter((key, i) => key !== after[i]).length
      const own = before.filter((key) => key === gone.key).length
      assert.ok(Math.abs(own - KEYS / count) < (0.25 * KEYS) / count, `${own} were its own`)
      assert.ok(moved - own <= (name === 'ring' ? 0 : (0.3 * KEYS) / count), `${moved - own} more moved`)
    })
  }

  test(`${name}: an ejection moves the hashes of the ejected endpoint only, and to all of the others`, () => {
    const all = some(6)
    const before = owners(plan, all)
    const out = all[2]!
    const after = owners(
      plan,
      all.map((endpoint) => (endpoint === out ? { ...endpoint, ejected: true } : endpoint)),
    )
    const heirs = new Set<string>()
    for (const [i, key] of before.entries()) {
      if (key === out.key) heirs.add(after[i]!)
      else assert.equal(after[i], key)
    }
    assert.equal(heirs.size, 5)
    assert.ok(!heirs.has(out.key))
  })

  test(`${name}: each further attempt gives another endpoint than the one before`, () => {
    const balancer = createLoadBalancer(plan, some(3), deps())
    const seen = new Set<string>()
    for (let i = 0; i < 500; i++) {
      const picked = [0, 1, 2].map((attempt) => balancer.pick(murmur3(`user-${i}`, 0), attempt)!.key)
      assert.ok(picked[0] !== picked[1] && picked[1] !== picked[2], `user-${i}`)
      seen.add(picked.join())
    }
    // Retries of one endpoint's requests are spread over the others: all 3 × 2 × 2 ways occur.
    assert.equal(seen.size, 12)
  })

  test(`${name}: requests without a hash go everywhere`, () => {
    const balancer = createLoadBalancer(plan, some(4), deps())
    const seen = new Set(Array.from({ length: 100 }, () => balancer.pick(null)))
    assert.equal(seen.size, 4)
  })

  test(`${name}: what spills over to the next priority does not change when more does`, () => {
    const failing = (healthy: number) =>
      endpoints(
        ...Array.from({ length: 10 }, (_, i) => ({ ejected: i >= healthy })),
        ...Array.from({ length: 4 }, () => ({ priority: 1 })),
      )
    const next = new Set(failing(10).flatMap(({ key, plan: { priority } }) => (priority === 1 ? [key] : [])))
    const [few, more] = [owners(plan, failing(6)), owners(plan, failing(4))]
    assert.ok(few.some((key) => next.has(key)))
    for (const [i, key] of few.entries()) if (next.has(key)) assert.equal(more[i], key)
  })
}

test('ring: a hash past the last point belongs to the first', () => {
  const balancer = createLoadBalancer(cluster(POLICIES['ring']), some(3), deps())
  assert.equal(balancer.pick(2 ** 32 - 1), balancer.pick(0))
})

test('a small ring and a small table serve too, even with fewer slots than endpoints', () => {
  for (const algorithm of [
    { kind: 'ring', minimumSize: 1 },
    { kind: 'maglev', tableSize: 2 },
  ] as const) {
    const plan = cluster({ consistentHash: { key: { kind: 'source-ip' }, algorithm } })
    assert.ok(new Set(owners(plan, some(5))).size >= 2)
  }
})
