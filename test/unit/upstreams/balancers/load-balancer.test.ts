import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLoadBalancer } from '../../../../src/upstreams/balancers/load-balancer.ts'
import { cluster, countPicks, deps, endpoints, isPlausible, outlierDetection, POLICIES, seeded } from './balancing.ts'

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 })
const seed = fc.integer({ min: 0, max: 2 ** 30 })

for (const [name, facts] of Object.entries(POLICIES)) {
  const plan = cluster(facts)
  const ejecting = cluster({ ...facts, outlierDetection: outlierDetection(0) })
  const isHashed = plan.consistentHash !== undefined

  test(`${name}: no endpoints, no pick`, () => {
    assert.equal(createLoadBalancer(plan, [], deps()).pick(7), null)
    assert.equal(createLoadBalancer(plan, [], deps()).pick(null), null)
  })

  test(`${name}: one endpoint is picked always, with a hash and without`, () => {
    const [only] = endpoints({ weight: 3 })
    const balancer = createLoadBalancer(plan, [only!], deps())
    for (const hash of [null, 0, 1, 2 ** 32 - 1]) assert.equal(balancer.pick(hash), only)
  })

  test(`${name}: all ejected and no panic threshold, no pick`, () => {
    const among = endpoints({ ejected: true }, { ejected: true })
    assert.equal(createLoadBalancer(ejecting, among, deps()).pick(7), null)
  })

  test(`${name}: below the panic threshold ejected endpoints are used too`, () => {
    const among = endpoints({ ejected: true }, { ejected: true }, {})
    const panicking = cluster({ ...facts, outlierDetection: outlierDetection(0.5) })
    for (const count of countPicks(panicking, among, 600)) assert.ok(count > 100, String(count))
    const calm = cluster({ ...facts, outlierDetection: outlierDetection(0.3) })
    assert.deepEqual(countPicks(calm, among, 600), [0, 0, 600])
  })

  test(`${name}: without outlier detection nothing counts as ejected`, () => {
    const among = endpoints({ ejected: true }, { ejected: true })
    for (const count of countPicks(plan, among, 200)) assert.ok(count > 50, String(count))
  })

  test(`${name}: an endpoint with the least of all weights does not starve`, () => {
    const among = endpoints({ weight: 1 }, { weight: 400 }, { weight: 400 })
    for (const count of countPicks(plan, among, 20_000)) assert.ok(count > 0)
  })

  test(`${name} picks healthy endpoints only, every one of them, whatever the weights`, () => {
    const facts = fc.array(fc.record({ weight: fc.integer({ min: 1, max: 5 }), ejected: fc.boolean() }), {
      minLength: 1,
      maxLength: 10,
    })
    fc.assert(
      fc.property(facts, seed, (drawn, start) => {
        const among = endpoints(...drawn)
        const healthy = among.filter((endpoint) => !endpoint.ejected).length
        const counts = countPicks(ejecting, among, 600, { seed: start })
        if (healthy === 0) return counts.every((count) => count === 0)
        return counts.every((count, i) => count > 0 === !among[i]!.ejected)
      }),
      { numRuns: 50 },
    )
  })

  test(`${name}: shares follow the weights`, () => {
    fc.assert(
      fc.property(weights, seed, fc.boolean(), (drawn, start, hashes) => {
        const among = endpoints(...drawn.map((weight) => ({ weight })))
        const picks = 3000
        const counts = countPicks(plan, among, picks, { seed: start, hashes })
        const total = drawn.reduce((sum, weight) => sum + weight, 0)
        const greatest = Math.max(...drawn)
        return counts.every((count, i) => {
          const share = drawn[i]! / total
          // Where a ring's points fall is chance as well: n points cover 1/√n more or less than they should.
          const points = (1024 * drawn[i]!) / greatest
          const extra = isHashed ? (picks * share) ** 2 / points : 0
          return isPlausible(count, picks, share, extra)
        })
      }),
      { numRuns: 50 },
    )
  })
}

test('round-robin takes every endpoint in turn, starting anywhere', () => {
  const among = endpoints({}, {}, {})
  const starts = new Set<string>()
  for (let start = 0; start < 20; start++) {
    const balancer = createLoadBalancer(cluster({ loadBalancer: 'round-robin' }), among, deps(start))
    const keys = Array.from({ length: 6 }, () => balancer.pick(null)!.key)
    assert.deepEqual(keys.slice(0, 3), keys.slice(3))
    assert.equal(new Set(keys).size, 3)
    starts.add(keys[0]!)
  }
  assert.equal(starts.size, 3)
})

test('round-robin with weights is smooth: at 2 to 1 no endpoint is taken three times in a row', () => {
  const among = endpoints({ weight: 2 }, { weight: 1 })
  for (let start = 0; start < 20; start++) {
    const balancer = createLoadBalancer(cluster({ loadBalancer: 'round-robin' }), among, deps(start))
    const turns = Array.from({ length: 30 }, () => among.indexOf(balancer.pick(null)!)).join('')
    assert.ok(!turns.includes('000') && !turns.includes('11'), turns)
  }
})

test('round-robin with weights is exact: no share is off by more than a turn', () => {
  const counts = countPicks(
    cluster({ loadBalancer: 'round-robin' }),
    endpoints({ weight: 5 }, { weight: 3 }, { weight: 2 }),
    1000,
  )
  for (const [i, expected] of [500, 300, 200].entries()) assert.ok(Math.abs(counts[i]! - expected) <= 1, String(counts))
})

test('least-request spares the endpoint with more requests in flight', () => {
  const [busy, free] = countPicks(cluster(), endpoints({ active: 5 }, {}), 4000)
  // Both draws fall on the busy one in a quarter of all cases.
  assert.ok(isPlausible(busy!, 4000, 0.25) && busy! + free! === 4000, String(busy))
})

test('least-request reads the requests in flight at each pick', () => {
  const [first, second] = endpoints({}, {})
  const balancer = createLoadBalancer(cluster(), [first!, second!], deps())
  const picked = () => Array.from({ length: 400 }, () => balancer.pick(null)).filter((one) => one === first).length
  first!.active = 9
  assert.ok(isPlausible(picked(), 400, 0.25))
  first!.active = 0
  second!.active = 9
  assert.ok(isPlausible(picked(), 400, 0.75))
})

test('least-request with unequal weights gives weight / (active + 1) turns', () => {
  const among = endpoints({ weight: 3, active: 5 }, { weight: 1 })
  const [heavy, light] = countPicks(cluster(), among, 3000)
  assert.ok(Math.abs(heavy! - 1000) <= 2 && Math.abs(light! - 2000) <= 2, String([heavy, light]))
})

test('least-request under load keeps the requests in flight even', () => {
  const among = endpoints(...Array.from({ length: 10 }, () => ({})))
  const random = seeded(3)
  const balancer = createLoadBalancer(cluster(), among, deps())
  const running: (typeof among)[number][] = []
  for (let i = 0; i < 5000; i++) {
    const endpoint = balancer.pick(null)!
    endpoint.active++
    running.push(endpoint)
    if (running.length > 100) running.splice(Math.floor(random() * running.length), 1)[0]!.active--
  }
  for (const { active } of among) assert.ok(active >= 5 && active <= 15, String(among.map((one) => one.active)))
})

test('a priority with 60 % of its endpoints healthy keeps 84 % of the requests, by chance or by hash', () => {
  const among = endpoints(
    ...Array.from({ length: 10 }, (_, i) => ({ priority: 0, ejected: i >= 6 })),
    ...Array.from({ length: 5 }, () => ({ priority: 1 })),
  )
  for (const [name, facts] of Object.entries(POLICIES)) {
    const plan = cluster({ ...facts, outlierDetection: outlierDetection(0) })
    const counts = countPicks(plan, among, 10_000)
    const kept = counts.slice(0, 10).reduce((sum, count) => sum + count, 0)
    assert.ok(isPlausible(kept, 10_000, 0.84), `${name}: ${kept}`)
    // What spills over is spread over all of the next priority.
    for (const count of counts.slice(10)) assert.ok(count > 200, `${name}: ${String(counts)}`)
  }
})
