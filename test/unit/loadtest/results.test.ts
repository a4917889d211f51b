import assert from 'node:assert/strict'
import { test } from 'node:test'
import { median } from '../../../loadtest/lib/statistics.ts'
import { perRequest } from '../../../loadtest/peers/bench.ts'
import { formatReport, makeReport } from '../../../loadtest/peers/report.ts'
import { type Measurement, ratios, splitByErrors, summarise } from '../../../loadtest/peers/results.ts'

function measured(cpuMicrosPerRequest: number, other: Partial<Measurement> = {}): Measurement {
  const load = { requests: 1000, requestsPerSecond: 500, p50Ms: 1, p99Ms: 2, errors: 0 }
  return { ...load, cpuMicrosPerRequest, rssBytes: 2e6, pssBytes: 1e6, ...other }
}

const medians: Record<string, { of: readonly number[]; is: number }> = {
  'of an odd number is the middle one': { of: [9, 1, 5], is: 5 },
  'of an even number is the mean of the middle two': { of: [1, 9, 4, 2], is: 3 },
  'of one is that one': { of: [7], is: 7 },
  'of none is no number': { of: [], is: Number.NaN },
}

for (const [name, { of, is }] of Object.entries(medians)) test(`the median ${name}`, () => assert.equal(median(of), is))

test('CPU time is divided by the requests that the load generator counted', () => {
  const usage = { rssBytes: 3, pssBytes: 2, processes: 1 }
  const result = perRequest({ ...usage, cpuSeconds: 1 }, { ...usage, cpuSeconds: 3 }, 100_000)
  assert.deepEqual(result, { cpuMicrosPerRequest: 20, rssBytes: 3, pssBytes: 2 })
})

test('each quantity has a median of its own, and errors are summed', () => {
  const rounds = [measured(10, { p99Ms: 9 }), measured(30, { p99Ms: 1, errors: 2 }), measured(20, { p99Ms: 5 })]
  const { cpuMicrosPerRequest, p99Ms, errors } = summarise(rounds)
  assert.deepEqual({ cpuMicrosPerRequest, p99Ms, errors }, { cpuMicrosPerRequest: 20, p99Ms: 5, errors: 2 })
})

test('ratios are taken within a round, so that a slow round cancels', () => {
  const all = [
    { peer: 'sluice', rounds: [measured(20), measured(200), measured(22)] },
    { peer: 'nginx', rounds: [measured(10), measured(100), measured(10)] },
  ]
  const [ratio, ...rest] = ratios(all, (peer) => peer === 'sluice')
  assert.deepEqual(rest, [])
  assert.deepEqual(ratio, { subject: 'sluice', peer: 'nginx', cpu: 2, requestsPerSecond: 1, memory: 1 })
})

test('a peer with an error in any round, or without a request, has no numbers', () => {
  const all = [
    { peer: 'sound', rounds: [measured(1), measured(1)] },
    { peer: 'fails once', rounds: [measured(1), measured(1, { errors: 1 })] },
    { peer: 'serves nothing', rounds: [measured(1), measured(Number.POSITIVE_INFINITY, { requests: 0 })] },
  ]
  const { sound, faulty } = splitByErrors(all)
  assert.deepEqual(
    [sound, faulty].map((list) => list.map(({ peer }) => peer)),
    [['sound'], ['fails once', 'serves nothing']],
  )
})

const CONTEXT = {
  machine: { cpu: 'a CPU', cores: 2, kernel: '6' },
  options: { rounds: 1, seconds: 1, connections: 1 },
  versionOf: () => '1.2.3',
}

test('the report leaves a faulty peer out of medians and ratios, and says why', () => {
  const measuredPeers = [
    { peer: 'sluice', rounds: [measured(20)] },
    { peer: 'nginx', rounds: [measured(10)] },
    { peer: 'caddy', rounds: [measured(5, { errors: 3 })] },
  ]
  const leftOut = [{ peer: 'haproxy', reason: 'needs the Debian package haproxy' }]
  const report = makeReport({ measured: measuredPeers, leftOut, upstreamBusiest: 0.5 }, CONTEXT)
  assert.deepEqual(
    report.peers.map(({ peer }) => peer),
    ['sluice', 'nginx'],
  )
  assert.deepEqual(
    report.ratios.map(({ peer, cpu }) => [peer, cpu]),
    [['nginx', 2]],
  )
  assert.deepEqual(report.warnings, [])
  const text = formatReport(report)
  assert.match(text, /sluice \/ nginx .* 2\.00/)
  assert.match(text, /left out: haproxy: needs the Debian package haproxy\nleft out: caddy: 3 errors, so no numbers/)
  assert.doesNotMatch(text, /sluice \/ caddy/)
})

test('an upstream that fills a core is said to be the bottleneck', () => {
  const report = makeReport(
    { measured: [{ peer: 'nginx', rounds: [measured(1)] }], leftOut: [], upstreamBusiest: 0.97 },
    CONTEXT,
  )
  assert.match(report.warnings.join(), /97 % of a core/)
})
