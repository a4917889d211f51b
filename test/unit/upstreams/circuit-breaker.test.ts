import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CircuitBreakersPlan } from '../../../src/plan/cluster.ts'
import { CircuitBreaker } from '../../../src/upstreams/circuit-breaker.ts'
import { createUpstreamCounters } from '../../../src/upstreams/counters.ts'
import { BreakerEndpoint, type Connection, Request } from './breaker-endpoint.ts'

const REFUSED = { reason: 'remote-connection-failure', detail: 'Connection refused' } as const

function bench(plan: CircuitBreakersPlan, endpoints = 1) {
  const counters = createUpstreamCounters()
  const breaker = new CircuitBreaker<Connection>(plan, counters)
  const all = Array.from({ length: endpoints }, () => new BreakerEndpoint(breaker))
  return { breaker, counters, endpoint: all[0]!, other: all[1] ?? all[0]! }
}

/** As many requests at once as names. */
function burst(endpoint: BreakerEndpoint, ...names: string[]): Request[] {
  return names.map((name) => new Request(name).start(endpoint))
}

function outcomes(requests: readonly Request[]): string {
  return requests.map(({ outcome }) => outcome).join(' ')
}

const bursts: Record<string, { plan: CircuitBreakersPlan; connected: boolean; expect: string }> = {
  'without limits all are sent': { plan: {}, connected: false, expect: 'sent sent sent sent' },
  'a request is pending while its connection is made': {
    plan: { maxConnections: 1, maxPendingRequests: 1 },
    connected: false,
    expect: 'sent overflow overflow overflow',
  },
  'once the connection stands, its request is not pending any more': {
    plan: { maxConnections: 1, maxPendingRequests: 1 },
    connected: true,
    expect: 'sent waiting overflow overflow',
  },
  'pending requests are limited where connections are not': {
    plan: { maxPendingRequests: 2 },
    connected: false,
    expect: 'sent sent overflow overflow',
  },
  'beyond the connections they wait': {
    plan: { maxConnections: 2 },
    connected: false,
    expect: 'sent sent waiting waiting',
  },
  'beyond the requests they are refused': {
    plan: { maxRequests: 3 },
    connected: true,
    expect: 'sent sent sent overflow',
  },
  'who waits does not count as a request': {
    plan: { maxConnections: 1, maxRequests: 1 },
    connected: true,
    expect: 'sent waiting waiting waiting',
  },
}

for (const [name, { plan, connected, expect }] of Object.entries(bursts)) {
  test(`four requests at once: ${name}`, () => {
    const { endpoint } = bench(plan)
    const requests = ['1', '2', '3', '4'].map((each) => {
      const request = new Request(each).start(endpoint)
      if (connected && request.connection !== null) endpoint.connected(request.connection)
      return request
    })
    assert.equal(outcomes(requests), expect)
  })
}

test('who waits is served in order by the connection that becomes free, also where one request at a time is allowed', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1, maxRequests: 1 })
  const requests = burst(endpoint, '1', '2', '3')
  const connection = requests[0]!.connection!
  endpoint.connected(connection)
  endpoint.answer(connection)
  assert.equal(outcomes(requests), 'done sent waiting')
  assert.equal(requests[1]!.connection, connection)
  endpoint.answer(connection)
  endpoint.answer(connection)
  assert.equal(outcomes(requests), 'done done done')
  assert.deepEqual(endpoint.idle, [connection])
  const { overflow, ...now } = breaker.stats()
  assert.deepEqual(now, { connections: 1, pending: 0, requests: 0, retries: 0 })
  assert.deepEqual(overflow, { connections: 2, pending: 0, requests: 0, retries: 0 })
})

test('a connection that is closed makes room for another, with or without its request', () => {
  const { endpoint } = bench({ maxConnections: 1 })
  const requests = burst(endpoint, '1', '2', '3')
  endpoint.connected(requests[0]!.connection!)
  endpoint.answer(requests[0]!.connection!, false)
  assert.equal(outcomes(requests), 'done sent waiting')
  const second = requests[1]!.connection!
  endpoint.connected(second)
  endpoint.close(second, null)
  assert.equal(outcomes(requests), 'done failed sent')
})

test('who leaves the queue is skipped and makes room in it', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1, maxPendingRequests: 2 })
  const first = new Request('1').start(endpoint)
  endpoint.connected(first.connection!)
  const [second, third, fourth] = burst(endpoint, '2', '3', '4')
  assert.equal(outcomes([second!, third!, fourth!]), 'waiting waiting overflow')
  second!.cancel()
  const fifth = new Request('5').start(endpoint)
  assert.equal(fifth.outcome, 'waiting')
  endpoint.answer(first.connection!)
  assert.equal(outcomes([third!, fifth]), 'sent waiting')
  third!.cancel()
  assert.equal(fifth.outcome, 'sent')
  assert.equal(breaker.stats().requests, 1)
})

test('a request that is given up while its connection is made frees both', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1, maxPendingRequests: 1 })
  const first = new Request('1').start(endpoint)
  assert.equal(breaker.stats().pending, 1)
  first.cancel()
  const { overflow: _, ...now } = breaker.stats()
  assert.deepEqual(now, { connections: 0, pending: 0, requests: 0, retries: 0 })
  assert.equal(new Request('2').start(endpoint).outcome, 'sent')
})

test('a connection that cannot be made fails all that wait for the endpoint, and nobody else', () => {
  const { endpoint, other } = bench({ maxConnections: 2 }, 2)
  const here = burst(endpoint, '1', '2', '3')
  const there = burst(other, '4', '5')
  assert.equal(outcomes([...here, ...there]), 'sent sent waiting sent waiting')
  endpoint.close(here[0]!.connection!, REFUSED)
  assert.equal(outcomes(here), 'failed sent failed')
  // Three connections stood by two endpoints and a limit of two: one less leaves no room.
  assert.equal(outcomes(there), 'sent waiting')
  endpoint.close(here[1]!.connection!, REFUSED)
  assert.equal(outcomes(there), 'sent sent')
})

test('what a failure makes try again at the same endpoint is a new request', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1 })
  const retried = new Request('retried')
  class Retrying extends Request {
    override onConnectFailure(): void {
      super.onConnectFailure()
      retried.start(endpoint)
    }
  }
  const [first] = burst(endpoint, '1')
  new Retrying('2').start(endpoint)
  const third = new Request('3').start(endpoint)
  endpoint.close(first!.connection!, REFUSED)
  assert.equal(outcomes([third, retried]), 'failed sent')
  assert.equal(breaker.stats().connections, 1)
})

test('an endpoint without a connection gets one over the limit; idle ones elsewhere are left alone', () => {
  const { breaker, counters, endpoint, other } = bench({ maxConnections: 1 }, 2)
  const [first] = burst(endpoint, '1')
  endpoint.connected(first!.connection!)
  endpoint.answer(first!.connection!)
  const there = burst(other, '2', '3')
  assert.equal(outcomes(there), 'sent waiting')
  assert.equal(endpoint.idle.length, 1)
  assert.equal(breaker.stats().connections, 2)
  assert.equal(counters.overflow.connections, 2)
  endpoint.close(endpoint.idle[0]!, null)
  assert.equal(outcomes(there), 'sent waiting', 'the limit is still met')
})

test('an endpoint that loses its only connection gets another one for who waits, also over the limit', () => {
  const { endpoint, other } = bench({ maxConnections: 1, maxRequests: 2 }, 2)
  const [first] = burst(endpoint, '1')
  const there = burst(other, '2', '3', '4')
  assert.equal(outcomes(there), 'sent waiting waiting')
  other.connected(there[0]!.connection!)
  other.close(there[0]!.connection!, null)
  assert.equal(outcomes([first!, ...there]), 'sent failed sent waiting')
})

test('when the last one leaves a queue, a place that becomes free stays free', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1 })
  const [first, second] = burst(endpoint, '1', '2')
  second!.cancel()
  endpoint.connected(first!.connection!)
  endpoint.answer(first!.connection!, false)
  assert.equal(breaker.stats().connections, 0)
})

test('a place that becomes free goes to the queues of all endpoints in turn', () => {
  const breaker = new CircuitBreaker<Connection>({ maxConnections: 4 })
  const [a, b, c] = [new BreakerEndpoint(breaker), new BreakerEndpoint(breaker), new BreakerEndpoint(breaker)]
  const busy = burst(a, '1', '2')
  const atB = burst(b, '3', '4', '5', '6')
  const atC = burst(c, '7', '8', '9')
  assert.equal(outcomes([...atB, ...atC]), 'sent sent waiting waiting sent waiting waiting')
  for (const { connection } of busy) {
    a.connected(connection!)
    a.answer(connection!)
  }
  a.close(a.idle[0]!, null)
  assert.equal(outcomes([...atB, ...atC]), 'sent sent waiting waiting sent waiting waiting', 'from five to four')
  a.close(a.idle[0]!, null)
  assert.equal(outcomes([...atB, ...atC]), 'sent sent sent waiting sent waiting waiting')
  b.connected(atB[0]!.connection!)
  b.close(atB[0]!.connection!, null)
  assert.equal(outcomes(atC), 'sent sent waiting', 'c before b again')
})

test('limits that are raised let go who waits; none at all lets go everybody', () => {
  const { breaker, endpoint } = bench({ maxConnections: 1 })
  const requests = burst(endpoint, '1', '2', '3', '4')
  breaker.setPlan({ maxConnections: 2 })
  assert.equal(outcomes(requests), 'sent sent waiting waiting')
  breaker.setPlan({ maxConnections: 1 })
  assert.equal(outcomes(requests), 'sent sent waiting waiting')
  breaker.setPlan({})
  assert.equal(outcomes(requests), 'sent sent sent sent')
})

test('a breaker that comes later counts what there is', () => {
  const breaker = new CircuitBreaker<Connection>({ maxConnections: 4, maxRequests: 4 })
  const gate = breaker.gate(() => assert.fail(), { connecting: 1, busy: 2, idle: 1 })
  const { overflow: _, ...now } = breaker.stats()
  assert.deepEqual(now, { connections: 4, pending: 1, requests: 3, retries: 0 })
  assert.equal(gate.checkout(new Request('1')).kind, 'queued')
})

const retries: Record<string, { plan: CircuitBreakersPlan; active: number; allowed: number }> = {
  'no limit': { plan: { maxConnections: 100 }, active: 0, allowed: 20 },
  'a number': { plan: { maxRetries: 2 }, active: 50, allowed: 2 },
  'a budget is a share of the requests, rounded down': {
    plan: { retryBudget: { fraction: 0.2, minConcurrency: 3 } },
    active: 24,
    allowed: 4,
  },
  'a budget has a minimum': {
    plan: { retryBudget: { fraction: 0.2, minConcurrency: 3 } },
    active: 10,
    allowed: 3,
  },
  'a budget takes the place of the number': {
    plan: { maxRetries: 1, retryBudget: { fraction: 0.5, minConcurrency: 0 } },
    active: 4,
    allowed: 2,
  },
  'requests that wait count for the budget as well': {
    plan: { maxConnections: 2, retryBudget: { fraction: 0.5, minConcurrency: 0 } },
    active: 10,
    allowed: 5,
  },
}

for (const [name, { plan, active, allowed }] of Object.entries(retries)) {
  test(`retries at a time: ${name}`, () => {
    const { breaker, counters, endpoint } = bench(plan)
    for (let i = 0; i < active; i++) new Request(String(i)).start(endpoint)
    let started = 0
    while (started < 20 && breaker.tryStartRetry()) started++
    assert.equal(started, allowed)
    assert.equal(counters.overflow.retries, allowed < 20 ? 1 : 0)
    if (started === 0) return
    breaker.endRetry()
    assert.equal(breaker.tryStartRetry(), true)
  })
}

test('whatever happens, no limit is passed and nobody who waits is forgotten', () => {
  const limit = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined })
  const plans = fc
    .record({ maxConnections: limit, maxPendingRequests: limit, maxRequests: limit })
    .map((plan) => JSON.parse(JSON.stringify(plan)) as CircuitBreakersPlan)
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('start' as const), at: fc.nat(2) }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constantFrom('connect', 'answer', 'answer and close', 'break', 'refuse', 'cancel'),
        at: fc.nat(1000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('plan' as const), plan: plans }) },
  )
  fc.assert(
    fc.property(plans, fc.array(step, { maxLength: 60, size: 'max' }), (first, steps) => {
      let plan = first
      const breaker = new CircuitBreaker<Connection>(plan)
      const count = () => endpoints.reduce((sum, { all }) => sum + all.size, 0)
      const endpoints: BreakerEndpoint[] = Array.from({ length: 3 }, () => {
        return new BreakerEndpoint(breaker, (endpoint) => {
          assert.ok(endpoint.all.size === 0 || count() < (plan.maxConnections ?? Infinity), 'a connection too many')
          assert.equal(endpoint.idle.length, 0)
        })
      })
      const requests: Request[] = []
      const living = () => endpoints.flatMap(({ all }) => [...all])
      let before = { pending: 0, requests: 0 }

      const check = (raisedLimits: boolean) => {
        const { connections, pending, requests: active } = breaker.stats()
        const sent = requests.filter(({ outcome }) => outcome === 'sent')
        const waiting = requests.filter(({ outcome }) => outcome === 'waiting')
        const connecting = sent.filter(({ connection }) => !connection!.connected)
        assert.equal(connections, count())
        assert.equal(active, sent.length)
        assert.equal(pending, waiting.length + connecting.length)
        for (const endpoint of endpoints) {
          if (endpoint.gate.waiting === 0) continue
          assert.ok(endpoint.all.size > 0, 'it waits where nothing can become free')
          assert.equal(endpoint.idle.length, 0, 'it waits beside an idle connection')
          assert.ok(connections >= (plan.maxConnections ?? Infinity), 'it waits although there is room')
        }
        // Lower limits interrupt nothing, so only growth is judged.
        if (!raisedLimits && pending > before.pending) assert.ok(pending <= (plan.maxPendingRequests ?? Infinity))
        if (active > before.requests) assert.ok(active <= (plan.maxRequests ?? Infinity))
        before = { pending, requests: active }
      }

      for (const each of steps) {
        if (each.kind === 'start') {
          requests.push(new Request(String(requests.length)).start(endpoints[each.at]!))
        } else if (each.kind === 'plan') {
          plan = each.plan
          breaker.setPlan(plan)
        } else {
          act(each.kind, each.at, living(), requests)
        }
        check(each.kind === 'plan')
      }

      // Everything ends by itself: all connections stand, all answers come.
      for (let i = 0; i <= requests.length; i++) {
        for (const connection of living()) {
          if (!connection.connected) connection.endpoint.connected(connection)
          if (connection.request !== null) connection.endpoint.answer(connection, i % 2 === 0)
        }
      }
      assert.ok(requests.every(({ outcome }) => !['new', 'waiting', 'sent'].includes(outcome)))
      const { overflow: _, ...now } = breaker.stats()
      assert.deepEqual(now, { connections: count(), pending: 0, requests: 0, retries: 0 })
    }),
    { numRuns: 200 },
  )
})

/** Does something of its kind to one of those that it can be done to, if there is one. */
function act(kind: string, at: number, connections: readonly Connection[], requests: readonly Request[]): void {
  const one = (fits: (connection: Connection) => boolean) => {
    const fitting = connections.filter(fits)
    return fitting[at % Math.max(1, fitting.length)]
  }
  if (kind === 'cancel') {
    const open = requests.filter(({ outcome }) => outcome === 'waiting' || outcome === 'sent')
    open[at % Math.max(1, open.length)]?.cancel()
  } else if (kind === 'connect' || kind === 'refuse') {
    const connection = one(({ connected }) => !connected)
    if (kind === 'connect') connection?.endpoint.connected(connection)
    else connection?.endpoint.close(connection, REFUSED)
  } else if (kind === 'break') {
    const connection = one(({ connected }) => connected)
    connection?.endpoint.close(connection, null)
  } else {
    const connection = one(({ connected, request }) => connected && request !== null)
    connection?.endpoint.answer(connection, kind === 'answer')
  }
}
