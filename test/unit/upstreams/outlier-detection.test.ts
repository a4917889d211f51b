import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { OutlierDetectionPlan } from '../../../src/plan/cluster.ts'
import { createUpstreamCounters } from '../../../src/upstreams/counters.ts'
import {
  grpcToHttpStatus,
  mayEject,
  OutlierDetector,
  type OutlierDetectorDeps,
} from '../../../src/upstreams/outlier-detection.ts'

const SECOND = 1000

/** Istio's defaults, but for the share of endpoints that may be out. */
const PLAN: OutlierDetectionPlan = {
  consecutive5xx: 5,
  consecutiveGatewayErrors: 0,
  splitLocalOrigin: false,
  consecutiveLocalOriginFailures: 5,
  intervalMs: 10 * SECOND,
  baseEjectionMs: 30 * SECOND,
  maxEjectionMs: 300 * SECOND,
  maxEjectionFraction: 1,
  minHealthFraction: 0,
}

interface Host {
  readonly key: string
}

const A: Host = { key: 'a' }
const B: Host = { key: 'b' }

/** What an endpoint answers: a status, a gRPC status, or nothing. */
type Event = number | `grpc ${string}` | 'failure'

class Bench {
  now = 0
  changes = 0
  readonly logs: string[] = []
  readonly counters = createUpstreamCounters()
  readonly detector: OutlierDetector<Host>

  constructor(plan: Partial<OutlierDetectionPlan>, hosts: readonly Host[], deps: Partial<OutlierDetectorDeps> = {}) {
    this.detector = new OutlierDetector<Host>(
      { ...PLAN, ...plan },
      {
        now: () => this.now,
        onChange: () => this.changes++,
        counters: this.counters,
        log: (_level, message, facts) => this.logs.push(`${message} ${String(facts['endpoint'])}`),
        ...deps,
      },
    )
    this.detector.setEndpoints(hosts)
  }

  feed(host: Host, ...events: readonly Event[]): void {
    for (const event of events) {
      if (event === 'failure') this.detector.onLocalFailure(host)
      else if (typeof event === 'number') this.detector.onResponse(host, event, null)
      else this.detector.onResponse(host, 200, event.slice('grpc '.length))
    }
  }

  /** As the cluster's timer does. */
  until(time: number, stepMs = 500): void {
    while (this.now < time) {
      this.now = Math.min(time, this.now + stepMs)
      this.detector.sweep(this.now)
    }
  }

  get out(): string[] {
    return this.detector.stats().ejected.map(({ key }) => key)
  }
}

const times = (count: number, ...events: Event[]): Event[] => Array.from({ length: count }, () => events).flat()

const consecutive: Record<string, { plan?: Partial<OutlierDetectionPlan>; events: Event[]; by: string | null }> = {
  'one short of the limit is not enough': { events: times(4, 500), by: null },
  'the limit ejects at once': { events: times(5, 500), by: 'consecutive_5xx' },
  'any 5xx counts': { events: [500, 501, 502, 503, 599], by: 'consecutive_5xx' },
  'an answer below 500 ends the row': { events: [...times(4, 500), 499, ...times(4, 500)], by: null },
  'a status above 599 ends the row': { events: [...times(4, 500), 600, 500], by: null },
  'no answer counts as a 5xx': { events: [500, 'failure', 503, 'failure', 500], by: 'consecutive_5xx' },
  '0 switches 5xx off': { plan: { consecutive5xx: 0 }, events: times(50, 500), by: null },
  'gateway errors do not count by themselves by default': {
    plan: { consecutive5xx: 0 },
    events: times(50, 503),
    by: null,
  },
  'gateway errors are 502, 503, 504 and no answer': {
    plan: { consecutive5xx: 0, consecutiveGatewayErrors: 4 },
    events: [502, 503, 504, 'failure'],
    by: 'consecutive_gateway_failure',
  },
  'another 5xx ends the row of gateway errors': {
    plan: { consecutiveGatewayErrors: 3 },
    events: [503, 503, 500, 503],
    by: null,
  },
  'another 5xx ends the row of gateway errors and goes on with that of 5xx': {
    plan: { consecutiveGatewayErrors: 3 },
    events: [503, 503, 500, 503, 503],
    by: 'consecutive_5xx',
  },
  'where both are reached, it is a gateway failure': {
    plan: { consecutive5xx: 3, consecutiveGatewayErrors: 3 },
    events: times(3, 503),
    by: 'consecutive_gateway_failure',
  },
  'a gRPC status counts in place of HTTP’s 200': { events: times(5, 'grpc 13'), by: 'consecutive_5xx' },
  'gRPC UNAVAILABLE is a gateway error': {
    plan: { consecutive5xx: 0, consecutiveGatewayErrors: 2 },
    events: times(2, 'grpc 14'),
    by: 'consecutive_gateway_failure',
  },
  'a gRPC status of the caller’s fault ends the row': {
    events: [...times(4, 'grpc 13'), 'grpc 3', 'grpc 13'],
    by: null,
  },
  'errorStatuses take the place of 5xx': {
    plan: { errorStatuses: [429, 503] },
    events: [429, 503, 429, 503, 429],
    by: 'consecutive_5xx',
  },
  'a 5xx that is not among errorStatuses ends the row': {
    plan: { errorStatuses: [429] },
    events: [...times(4, 429), 500, 429],
    by: null,
  },
  'a listed status that is no gateway error ends the row of those': {
    plan: { errorStatuses: [429, 503], consecutive5xx: 0, consecutiveGatewayErrors: 3 },
    events: [503, 503, 429, 503],
    by: null,
  },
  'errorStatuses are for answers: no answer counts all the same': {
    plan: { errorStatuses: [429] },
    events: times(5, 'failure'),
    by: 'consecutive_5xx',
  },
  'split: no answer does not count as 5xx': {
    plan: { splitLocalOrigin: true, consecutiveLocalOriginFailures: 0 },
    events: times(50, 'failure'),
    by: null,
  },
  'split: no answer has its own count': {
    plan: { splitLocalOrigin: true, consecutiveLocalOriginFailures: 3, consecutive5xx: 0 },
    events: times(3, 'failure'),
    by: 'consecutive_local_origin_failure',
  },
  'split: any answer ends the row of local failures, an error too': {
    plan: { splitLocalOrigin: true, consecutiveLocalOriginFailures: 3 },
    events: ['failure', 'failure', 500, 'failure', 'failure'],
    by: null,
  },
  'split: a local failure does not end the row of 5xx': {
    plan: { splitLocalOrigin: true },
    events: [...times(4, 500), 'failure', 500],
    by: 'consecutive_5xx',
  },
}

for (const [name, { plan = {}, events, by }] of Object.entries(consecutive)) {
  test(`errors in a row: ${name}`, () => {
    const bench = new Bench(plan, [A, B])
    bench.feed(A, ...events)
    assert.equal(bench.detector.isEjected(A), by !== null)
    assert.equal(bench.detector.isEjected(B), false)
    const { enforced, totalEjections } = bench.detector.stats()
    const reasons = Object.entries(enforced).flatMap(([reason, count]) => times(count, 0).map(() => reason))
    assert.deepEqual(reasons, by === null ? [] : [by])
    assert.equal(totalEjections, reasons.length)
    assert.deepEqual(bench.counters.ejections, enforced)
    assert.equal(bench.changes, reasons.length)
  })
}

test('a gRPC status counts as the HTTP status of the reference, anything unknown as 500', () => {
  const expected = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]
  assert.deepEqual(
    expected.map((_, status) => grpcToHttpStatus(String(status))),
    expected,
  )
  for (const text of ['17', '-1', '', 'x', '1.5']) assert.equal(grpcToHttpStatus(text), 500, text)
})

const shares: [maxPercent: number, ejected: number, total: number, alwaysOne: boolean, may: boolean][] = [
  // Everything.
  [100, 0, 1, false, true],
  [100, 0, 2, false, true],
  [100, 1, 2, false, true],
  // Istio's default of 10 % with few endpoints.
  [10, 0, 1, false, false],
  [10, 0, 2, false, false],
  [10, 0, 9, false, false],
  [10, 0, 10, false, true],
  [10, 1, 10, false, false],
  [10, 1, 19, false, false],
  [10, 1, 20, false, true],
  // Releases that always let the first one go.
  [10, 0, 1, true, true],
  [10, 0, 2, true, true],
  [10, 1, 2, true, false],
  [10, 1, 10, true, false],
  // The boundary is exact.
  [50, 0, 2, false, true],
  [49, 0, 2, false, false],
  [50, 1, 3, false, false],
  [33, 0, 3, false, false],
  [34, 0, 3, false, true],
  [29, 28, 100, false, true],
  [28, 28, 100, false, false],
  [30, 2, 10, false, true],
]

for (const [percent, ejected, total, alwaysOne, may] of shares) {
  const rule = alwaysOne ? ', and always one' : ''
  test(`with ${percent} %${rule}, ${ejected} of ${total} out: one more may ${may ? '' : 'not '}go`, () => {
    assert.equal(mayEject(ejected, total, percent / 100, alwaysOne), may)
  })
}

test('an outlier that may not go stays, is counted, and is looked at anew after as many errors', () => {
  const bench = new Bench({ maxEjectionFraction: 0.1 }, [A, B])
  bench.feed(A, ...times(9, 500))
  assert.equal(bench.detector.stats().overflowed.consecutive_5xx, 1)
  bench.feed(A, 500)
  assert.equal(bench.detector.stats().overflowed.consecutive_5xx, 2)
  assert.equal(bench.counters.ejectionsOverflow.consecutive_5xx, 2)
  assert.deepEqual([bench.detector.isEjected(A), bench.changes, bench.logs.length], [false, 0, 0])

  const always = new Bench({ maxEjectionFraction: 0.1 }, [A, B], { alwaysEjectOneHost: true })
  always.feed(A, ...times(5, 500))
  always.feed(B, ...times(5, 500))
  assert.deepEqual(always.out, ['a'])
})

test('an ejected endpoint comes back at the first sweep after its time, with clean counts', () => {
  const bench = new Bench({ consecutiveGatewayErrors: 5, consecutive5xx: 10 }, [A, B])
  bench.until(3 * SECOND)
  bench.feed(A, 500, 500, 500, 500, ...times(5, 503))
  assert.deepEqual(bench.detector.stats().ejected, [{ key: 'a', until: 33 * SECOND, ejections: 1 }])
  bench.until(39.5 * SECOND)
  assert.equal(bench.detector.isEjected(A), true, 'its time is over, the interval is not')
  bench.until(40 * SECOND)
  assert.equal(bench.detector.isEjected(A), false)
  assert.deepEqual([bench.changes, bench.logs], [2, ['endpoint ejected a', 'endpoint back in use a']])
  // 9 errors in a row were counted when it went; the next one would be the 10th.
  bench.feed(A, 500)
  assert.equal(bench.detector.isEjected(A), false)

  const late = new Bench({ consecutiveGatewayErrors: 5 }, [A])
  late.feed(A, ...times(5, 503), ...times(4, 503))
  late.until(30 * SECOND)
  late.feed(A, 503)
  assert.equal(late.detector.isEjected(A), false, 'nor what came while it was out')
})

test('answers that were on their way when it was ejected do not prolong it', () => {
  const bench = new Bench({}, [A, B])
  bench.feed(A, ...times(5, 500))
  bench.until(10 * SECOND)
  bench.feed(A, ...times(20, 500))
  assert.deepEqual(bench.detector.stats().ejected, [{ key: 'a', until: 30 * SECOND, ejections: 1 }])
  assert.equal(bench.changes, 1)
})

test('each ejection lasts a base longer than the one before, up to the maximum', () => {
  const bench = new Bench({ maxEjectionMs: 100 * SECOND, intervalMs: 10 * SECOND }, [A])
  const lengths: number[] = []
  for (let i = 0; i < 6; i++) {
    bench.feed(A, ...times(5, 500))
    const { until } = bench.detector.stats().ejected[0]!
    lengths.push((until - bench.now) / SECOND)
    // It fails again as soon as it is back.
    bench.until(until)
  }
  assert.deepEqual(lengths, [30, 60, 90, 100, 100, 100])
  assert.equal(bench.detector.stats().totalEjections, 6)
  // The multiplier stops at 5, one step beyond the maximum: three intervals of use bring it to 2.
  bench.until(bench.now + 30 * SECOND)
  bench.feed(A, ...times(5, 500))
  assert.equal(bench.detector.stats().ejected[0]!.until - bench.now, 90 * SECOND)
})

test('the multiplier shrinks by one at each interval of use after the one of its return', () => {
  const bench = new Bench({ intervalMs: 10 * SECOND }, [A])
  const eject = (): number => {
    bench.feed(A, ...times(5, 500))
    const { until } = bench.detector.stats().ejected[0]!
    return until - bench.now
  }
  assert.equal(eject(), 30 * SECOND)
  bench.until(30 * SECOND)
  assert.equal(eject(), 60 * SECOND, 'back, and out again at once')
  bench.until(90 * SECOND)
  bench.until(100 * SECOND)
  assert.equal(eject(), 60 * SECOND, 'two ejections, one interval of use')
  bench.until(160 * SECOND)
  bench.until(180 * SECOND)
  assert.equal(eject(), 30 * SECOND, 'two, two intervals of use')
  bench.until(210 * SECOND)
  bench.until(500 * SECOND)
  assert.equal(eject(), 30 * SECOND, 'never below the base')
})

test('endpoints that stay keep counts and ejections; those that go free their share', () => {
  const bench = new Bench({ maxEjectionFraction: 0.5 }, [A, B])
  bench.feed(A, ...times(5, 500))
  bench.feed(B, ...times(4, 500))
  bench.detector.setEndpoints([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
  assert.equal(bench.changes, 1, 'who gives the endpoints knows that they changed')
  assert.equal(bench.detector.isEjected({ key: 'a' }), true)
  bench.detector.setEndpoints([B, { key: 'c' }])
  assert.deepEqual(bench.out, [])
  bench.feed(B, 500)
  assert.deepEqual(bench.out, ['b'])
  bench.detector.setEndpoints([A, B])
  assert.equal(bench.detector.isEjected(A), false, 'who comes anew begins anew')
  bench.feed({ key: 'gone' }, ...times(9, 500), ...times(9, 'failure'))
  assert.equal(bench.detector.isEjected({ key: 'gone' }), false)
  assert.deepEqual(bench.out, ['b'])
})

test('a new plan keeps the state: a shorter time ends an ejection earlier, a lower limit is met by the next error', () => {
  const bench = new Bench({}, [A, B])
  bench.feed(A, ...times(5, 500))
  bench.feed(B, ...times(4, 500))
  bench.detector.setPlan({ ...PLAN, consecutive5xx: 2, baseEjectionMs: 5 * SECOND, intervalMs: SECOND })
  bench.feed(B, 500)
  assert.deepEqual(bench.out, ['a', 'b'])
  bench.until(4.5 * SECOND)
  assert.deepEqual(bench.out, ['a', 'b'])
  bench.until(5 * SECOND)
  assert.deepEqual(bench.out, [])
})

test('a timer that is a little late each time loses no interval', () => {
  const bench = new Bench({ intervalMs: SECOND, baseEjectionMs: SECOND }, [A])
  bench.feed(A, ...times(5, 500))
  bench.until(1.1 * SECOND, 1100)
  assert.deepEqual(bench.out, [])
})

test('intervals that were missed are not made up for by sweeps in a row', () => {
  const bench = new Bench({ intervalMs: SECOND, baseEjectionMs: SECOND }, [A])
  for (let i = 0; i < 3; i++) {
    bench.feed(A, ...times(5, 500))
    bench.until(bench.detector.stats().ejected[0]!.until)
  }
  bench.now += 1000 * SECOND
  for (let i = 0; i < 20; i++) bench.detector.sweep(bench.now + i)
  bench.feed(A, ...times(5, 500))
  // One step down from three, and one up.
  assert.equal(bench.detector.stats().ejected[0]!.until - bench.now, 3 * SECOND)
})

test('whatever happens, never more than the maximum are out, and everybody comes back', () => {
  const hosts = ['a', 'b', 'c', 'd', 'e', 'f'].map((key): Host => ({ key }))
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ host: fc.nat(5), event: fc.constantFrom<Event>(200, 500, 503, 'failure') }) },
    { weight: 1, arbitrary: fc.record({ advanceMs: fc.integer({ min: 1, max: 20_000 }) }) },
    { weight: 1, arbitrary: fc.record({ present: fc.subarray(hosts, { minLength: 1 }) }) },
  )
  const plans = fc.record({
    consecutive5xx: fc.integer({ min: 0, max: 3 }),
    consecutiveGatewayErrors: fc.integer({ min: 0, max: 3 }),
    splitLocalOrigin: fc.boolean(),
    consecutiveLocalOriginFailures: fc.integer({ min: 1, max: 3 }),
    maxEjectionFraction: fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100),
  })
  fc.assert(
    fc.property(plans, fc.array(step, { maxLength: 100, size: 'max' }), (plan, steps) => {
      const bench = new Bench(plan, hosts)
      let present: readonly Host[] = hosts
      /** The share when the last one went; fewer endpoints afterwards bring nobody back. */
      let before = 0
      for (const each of steps) {
        if ('event' in each) bench.feed(hosts[each.host]!, each.event)
        else if ('advanceMs' in each) bench.until(bench.now + each.advanceMs)
        else bench.detector.setEndpoints((present = each.present))
        const out = bench.out
        assert.deepEqual(
          out.toSorted(),
          hosts.filter((host) => bench.detector.isEjected(host)).map(({ key }) => key),
        )
        assert.ok(out.every((key) => present.some((host) => host.key === key)))
        if (out.length > before && 'event' in each) {
          assert.ok(out.length / present.length <= plan.maxEjectionFraction, `${out.length} of ${present.length}`)
        }
        before = out.length
      }
      bench.until(bench.now + PLAN.maxEjectionMs + PLAN.intervalMs, PLAN.intervalMs)
      assert.deepEqual(bench.out, [])
    }),
    { numRuns: 100 },
  )
})
