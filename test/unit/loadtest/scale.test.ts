import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { median, percentile } from '../../../loadtest/lib/statistics.ts'
import { inUse } from '../../../loadtest/scale/context.ts'
import { formatReport, makeReport } from '../../../loadtest/scale/report.ts'
import { hostOf, virtualService } from '../../../loadtest/scale/resources.ts'
import { type Measured, targetsOf } from '../../../loadtest/scale/targets.ts'
import { parseObject } from '../../../src/resources/parse.ts'

const percentiles: Record<string, { of: readonly number[]; share: number; is: number }> = {
  'the 99th of a hundred is the 99th': { of: Array.from({ length: 100 }, (_, i) => i + 1), share: 0.99, is: 99 },
  'the 95th of twenty is the 19th': { of: Array.from({ length: 20 }, (_, i) => 20 - i), share: 0.95, is: 19 },
  'all of them is the largest': { of: [3, 9, 1], share: 1, is: 9 },
  'of one is that one': { of: [7], share: 0.5, is: 7 },
  'of none is no number': { of: [], share: 0.5, is: Number.NaN },
}

for (const [name, { of, share, is }] of Object.entries(percentiles)) {
  test(`a percentile: ${name}`, () => assert.equal(percentile(of, share), is))
}

test('one host in a hundred is in use, and never fewer than ten', () => {
  assert.deepEqual(inUse(10_000), { hosts: 100, stride: 100 })
  assert.deepEqual(inUse(500), { hosts: 10, stride: 50 })
  assert.deepEqual(inUse(10), { hosts: 10, stride: 1 })
})

test('the VirtualServices of the benchmark have nothing wrong and five rules, and a version changes one of them', () => {
  const [one, other] = [0, 1].map((version) => {
    const { resource, problems } = parseObject(loadAll(virtualService(3, version))[0])
    assert.deepEqual(problems, [])
    assert.ok(resource?.kind === 'VirtualService')
    return resource.spec
  })
  assert.deepEqual(one?.hosts, [hostOf(3)])
  assert.equal(one.http?.length, 5)
  const changed = one.http?.map((rule, index) => JSON.stringify(rule) !== JSON.stringify(other?.http?.[index]))
  assert.equal(changed?.filter(Boolean).length, 1)
})

const usage = { cpuSeconds: 1, rssBytes: 2 ** 29, pssBytes: 2 ** 28, processes: 2 }
const transfer = { seconds: 1, beforeBytes: 1, peakBytes: 2, afterBytes: 1 }
const window = { requests: 100, p50Ms: 1, p99Ms: 2, maxMs: 3 }
const load = { requests: 1, requestsPerSecond: 1, p50Ms: 1, p99Ms: 1, errors: 0 }
const subject = { count: 10, hosts: 10, workerMicros: 20, allMicros: 21, usage }
const rounds = [{ workerMicros: 20, allMicros: 21, load }]
const MEASURED: Measured = {
  start: { runsMs: [900, 700, 800], medianMs: median([900, 700, 800]) },
  large: [{ layout: 'files', count: 10_000, readMs: 2000, inForceMs: 1000, readyMs: 3500, usage }],
  reload: {
    requestsPerSecond: 300,
    changesMs: [80, 120],
    medianMs: 101,
    p95Ms: 120,
    quiet: window,
    afterChange: window,
    whileChanging: { ...window, p99Ms: 3 },
    failures: { ECONNRESET: 2 },
    usage,
  },
  routing: {
    few: { ...subject, rounds },
    many: { ...subject, count: 10_000, hosts: 100, rounds },
    ratio: 1.1,
    ratioOfAll: 1.15,
  },
  streaming: {
    bodyBytes: 2 ** 30,
    bytesPerSecond: 2 ** 27,
    down: { ...transfer, growthBytes: 2 ** 25 },
    up: { ...transfer, growthBytes: 2 ** 26 },
  },
}

test('targets are met up to their limit, and a request that failed is always too many', () => {
  const verdicts = targetsOf(MEASURED).map(({ name, met }) => [name, met])
  assert.deepEqual(verdicts, [
    ['start with the sample configuration', true],
    ['10000 VirtualServices (files) read, compiled and in force', true],
    ['a change of one file is served, median', false],
    ['p99 of other requests while changes go on / in quiet', true],
    ['requests that failed during changes', false],
    ['CPU of a request with 10000 VirtualServices / with 10', true],
    ['memory (PSS of all processes), 10000 VirtualServices', true],
    ['growth of a worker while a large body passes', false],
  ])
})

test('what was not measured is neither reported nor a target', () => {
  const machine = { cpu: 'a CPU', cores: 2, kernel: '6', node: '26', loadAverage: 0.5 }
  const context = { machine, count: 10_000, workers: 1 }
  const all = formatReport(makeReport(context, MEASURED))
  for (const text of [/median 800 ms/, /10000, files/, /2 × ECONNRESET/, /1024 MiB/, /MISSED/]) assert.match(all, text)
  const { start } = MEASURED
  const part = makeReport(context, start === undefined ? {} : { start })
  assert.equal(part.targets.length, 1)
  assert.doesNotMatch(formatReport(part), /VirtualServices|MiB/)
})
