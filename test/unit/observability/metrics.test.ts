import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityOf, type MeshIdentity } from '../../../src/observability/mesh-identity.ts'
import { METRICS } from '../../../src/observability/metric-table.ts'
import { createMetricsAggregator, mergeSnapshots } from '../../../src/observability/metrics-aggregator.ts'
import { snapshotOf, type MetricsSnapshot } from '../../../src/observability/metrics-snapshot.ts'
import { createMetricsPage, type GatewayFacts } from '../../../src/observability/metrics.ts'
import { createProcessProbe } from '../../../src/observability/process-probe.ts'
import { createRequestMetrics, type RequestMetrics } from '../../../src/observability/request-metrics.ts'
import { makeExchange, type ExchangeFacts } from '../exchange/make-exchange.ts'

const HOUR = 3_600_000
const IDENTITY: MeshIdentity = { ...identityOf({ app: 'edge' }, 'istio-system', 'edge'), principal: 'unknown' }
const FACTS: GatewayFacts = {
  version: '1.2.3',
  generation: 7,
  rejectedObjects: 2,
  policies: [{ kind: 'AuthorizationPolicy', namespace: 'a', name: 'b', state: 'proven', because: 'c' }],
  keySets: [{ uri: 'https://issuer.test/keys', ageSeconds: 12, successes: 3, failures: 1 }],
  reloads: { success: 5, failure: 1 },
  listeners: [
    { port: 80, up: true },
    { port: 443, up: false },
  ],
  certificates: [{ name: 'edge/shop', notAfter: 90_000 }],
  acmeOrders: { success: 2, failure: 1, deferred: 0 },
  now: 30_000,
  process: null,
}

const TO_A: ExchangeFacts = {
  upstream: { serviceHost: 'a.mesh.test', serviceName: 'a.mesh.test', serviceNamespace: 'default' },
}

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads the text format strictly: every line is a comment, empty, or a sample. */
function parse(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    if (line === '' || line.startsWith('#')) return []
    const match = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.ok(match, `no sample: ${line}`)
    const labels = [...(match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)]
    assert.equal(labels.map(([all]) => all).join(','), match[2] ?? '')
    return [
      {
        name: match[1]!,
        labels: Object.fromEntries(labels.map(([, name, value]) => [name!, value!])),
        value: Number(match[3]!.replace('+Inf', 'Infinity')),
      },
    ]
  })
}

function page(snapshots: readonly MetricsSnapshot[], facts: GatewayFacts = FACTS, now = () => 0): Promise<string> {
  const aggregator = createMetricsAggregator({ now })
  for (const [index, snapshot] of snapshots.entries()) aggregator.update(String(index + 1), snapshot)
  return createMetricsPage({ identity: IDENTITY, aggregator, facts: () => facts }).text()
}

function total(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number {
  return samples
    .filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((sum, { value }) => sum + value, 0)
}

function metrics(options: { maxSeries?: number; idleMs?: number; now?: () => number } = {}): RequestMetrics {
  return createRequestMetrics({ now: () => 0, ...options })
}

test('a request is counted with all of Istio’s labels', async () => {
  const requests = metrics()
  requests.record(
    makeExchange({
      upstream: {
        serviceHost: 'reviews.shop.svc.cluster.local',
        serviceName: 'reviews',
        serviceNamespace: 'shop',
        endpointLabels: { app: 'reviews', version: 'v2', 'service.istio.io/workload-name': 'reviews-v2' },
      },
      startedAt: 0,
    }),
    12,
  )
  const samples = parse(await page([snapshotOf(requests.snapshot())]))
  const [counted, ...others] = samples.filter(({ name }) => name === 'istio_requests_total')
  assert.equal(others.length, 0)
  assert.deepEqual(counted, {
    name: 'istio_requests_total',
    value: 1,
    labels: {
      reporter: 'source',
      source_workload: 'edge',
      source_canonical_service: 'edge',
      source_canonical_revision: 'latest',
      source_workload_namespace: 'istio-system',
      source_app: 'edge',
      source_version: 'unknown',
      source_cluster: 'unknown',
      source_principal: 'unknown',
      destination_workload: 'reviews-v2',
      destination_workload_namespace: 'shop',
      destination_app: 'reviews',
      destination_version: 'v2',
      destination_canonical_service: 'reviews',
      destination_canonical_revision: 'v2',
      destination_cluster: 'unknown',
      destination_principal: 'unknown',
      destination_service: 'reviews.shop.svc.cluster.local',
      destination_service_name: 'reviews',
      destination_service_namespace: 'shop',
      request_protocol: 'http',
      response_code: '200',
      grpc_response_status: '',
      response_flags: '-',
      connection_security_policy: 'unknown',
    },
  })
})

test('a request without an upstream is counted as unknown, never under the Host that its client chose', async () => {
  const requests = metrics()
  requests.record(makeExchange({ authority: 'evil.test', status: 404, flags: 'NR', startedAt: 0 }), 1)
  const text = await page([snapshotOf(requests.snapshot())])
  assert.doesNotMatch(text, /evil/)
  const labels = { destination_service: 'unknown', response_code: '404', response_flags: 'NR' }
  assert.equal(total(parse(text), 'istio_requests_total', labels), 1)
})

test('durations and sizes are cumulative histograms with Envoy’s buckets', async () => {
  const requests = metrics()
  for (const durationMs of [0.5, 0.6, 7, 4_000_000]) {
    requests.record(
      makeExchange({ ...TO_A, startedAt: 0, requestHeadBytes: 200, bytesReceived: 5000, bytesSent: 50 }),
      durationMs,
    )
  }
  const samples = parse(await page([snapshotOf(requests.snapshot())], FACTS, () => 4_000_000))
  const bucket = (le: string) => total(samples, 'istio_request_duration_milliseconds_bucket', { le })
  assert.deepEqual(['0.5', '1', '5', '10', '3600000', '+Inf'].map(bucket), [1, 2, 2, 3, 3, 4])
  assert.equal(total(samples, 'istio_request_duration_milliseconds_sum'), 4_000_008.1)
  assert.equal(total(samples, 'istio_request_duration_milliseconds_count'), 4)
  assert.equal(total(samples, 'istio_request_bytes_sum'), 20_800)
  assert.equal(total(samples, 'istio_request_bytes_bucket', { le: '5000' }), 0)
  assert.equal(total(samples, 'istio_request_bytes_bucket', { le: '10000' }), 4)
  assert.equal(total(samples, 'istio_response_bytes_bucket', { le: '50' }), 4)
})

test('codes, flags, protocols and gRPC statuses are series of their own; made-up gRPC statuses share one', () => {
  const requests = metrics()
  const facts: ExchangeFacts[] = [
    {},
    { status: 503 },
    { status: 503, flags: 'UF' },
    { grpc: true, grpcStatus: '0' },
    { grpc: true, grpcStatus: '14' },
    { grpc: true },
    { grpc: true, grpcStatus: 'made up 1' },
    { grpc: true, grpcStatus: 'made up 2' },
  ]
  for (const each of [...facts, ...facts]) requests.record(makeExchange({ ...TO_A, ...each, startedAt: 0 }), 1)
  const { series } = requests.snapshot()
  assert.deepEqual(
    series.map(({ labels, values }) => [...labels.slice(-5, -1), values[0]].join(' ')).sort(),
    [
      'grpc 200  - 2',
      'grpc 200 0 - 2',
      'grpc 200 14 - 2',
      'grpc 200 unknown - 4',
      'http 200  - 2',
      'http 503  - 2',
      'http 503  UF 2',
    ].sort(),
  )
})

test('labels with the same content are one series, whichever object they are', () => {
  const requests = metrics()
  for (let i = 0; i < 3; i += 1) {
    requests.record(
      makeExchange({ upstream: { ...TO_A.upstream, endpointLabels: { version: 'v1' } }, startedAt: 0 }),
      1,
    )
  }
  requests.record(makeExchange({ ...TO_A, startedAt: 0 }), 1)
  assert.deepEqual(
    requests.snapshot().series.map(({ values }) => values[0]),
    [3, 1],
  )
})

test('a service that changes its name keeps its host and gets a series of its own', () => {
  const requests = metrics()
  for (const serviceName of ['one', 'two', 'one']) {
    requests.record(makeExchange({ upstream: { ...TO_A.upstream, serviceName }, startedAt: 0 }), 1)
  }
  assert.deepEqual(
    requests.snapshot().series.map(({ labels, values }) => [labels[9], values[0]]),
    [
      ['one', 2],
      ['two', 1],
    ],
  )
})

test('beyond the bound requests are counted in one series named overflow, and no request is lost', async () => {
  const requests = metrics({ maxSeries: 10 })
  for (let status = 200; status < 230; status += 1) requests.record(makeExchange({ ...TO_A, status, startedAt: 0 }), 1)
  for (let host = 0; host < 5; host += 1) {
    requests.record(makeExchange({ upstream: { serviceHost: `h${host}.test` }, startedAt: 0 }), 1)
  }
  const snapshot = requests.snapshot()
  assert.equal(snapshot.series.length, 11)
  assert.equal(snapshot.overflowed, 25)
  const samples = parse(await page([snapshotOf(snapshot)]))
  assert.equal(total(samples, 'istio_requests_total'), 35)
  assert.equal(total(samples, 'istio_requests_total', { destination_service: 'overflow' }), 25)
  assert.equal(total(samples, 'sluice_metrics_overflow_total'), 25)
})

test('a series without a request for an hour is dropped and makes room for another', () => {
  let now = 0
  const requests = metrics({ maxSeries: 2, now: () => now })
  const record = (host: string) => requests.record(makeExchange({ upstream: { serviceHost: host }, startedAt: now }), 0)
  const hosts = () => requests.snapshot().series.map(({ labels }) => labels[8])
  record('old.test')
  now = HOUR / 2
  record('kept.test')
  now = HOUR + 1
  record('new.test')
  assert.deepEqual(hosts(), ['kept.test', 'new.test'])
  record('kept.test')
  now = 2 * HOUR
  assert.deepEqual(hosts(), ['kept.test', 'new.test'])
  now = 3 * HOUR
  assert.deepEqual(hosts(), [])
  record('kept.test')
  assert.deepEqual(
    requests.snapshot().series.map(({ values }) => values[0]),
    [1],
  )
})

test('idle series can be kept for ever', () => {
  let now = 0
  const requests = metrics({ idleMs: Number.POSITIVE_INFINITY, now: () => now })
  requests.record(makeExchange({ startedAt: 0 }), 1)
  now = 1000 * HOUR
  assert.equal(requests.snapshot().series.length, 1)
})

test('snapshots survive a structured clone and JSON alike', () => {
  const requests = metrics()
  requests.record(makeExchange({ ...TO_A, startedAt: 0 }), 1)
  const snapshot = snapshotOf(requests.snapshot())
  assert.deepEqual(structuredClone(snapshot), snapshot)
  assert.deepEqual(JSON.parse(JSON.stringify(snapshot)), snapshot)
})

test('mergeSnapshots adds up what workers counted', () => {
  const workers = [1, 2].map((requests) => {
    const worker = metrics()
    for (let i = 0; i < requests; i += 1) worker.record(makeExchange({ ...TO_A, startedAt: 0 }), 10)
    if (requests === 2) worker.record(makeExchange({ status: 404, startedAt: 0 }), 1)
    return snapshotOf(worker.snapshot(), { downstreamConnections: requests, accessLogDropped: 3 })
  })
  const merged = mergeSnapshots(workers, { now: () => 0 })
  assert.deepEqual(
    merged.series.map(({ values }) => [values[0], values[1]]),
    [
      [3, 30],
      [1, 1],
    ],
  )
  assert.equal(merged.downstreamConnections, 3)
  assert.equal(merged.accessLogDropped, 6)
})

test('no counter goes backwards when a worker dies, is replaced, or drops an idle series', () => {
  let now = 1
  const aggregator = createMetricsAggregator({ now: () => now })
  const count = () => aggregator.totals().series.reduce((sum, { values }) => sum + values[0]!, 0)
  const record = (worker: RequestMetrics) => worker.record(makeExchange({ ...TO_A, startedAt: now }), 0)
  const report = (name: string, worker: RequestMetrics, downstreamConnections = 1) =>
    aggregator.update(name, snapshotOf(worker.snapshot(), { downstreamConnections }))

  const first = metrics({ now: () => now })
  const second = metrics({ now: () => now })
  record(first)
  record(first)
  record(second)
  report('1', first)
  report('2', second)
  report('1', first)
  assert.equal(count(), 3)

  aggregator.remove('1')
  assert.equal(count(), 3)
  assert.equal(aggregator.totals().downstreamConnections, 1)

  now = 2
  const replacement = metrics({ now: () => now })
  record(replacement)
  report('1', replacement)
  assert.equal(count(), 4)

  // The second worker has had no such request for an hour, the replacement has.
  now = HOUR + 10
  record(replacement)
  report('2', second)
  report('1', replacement)
  assert.equal(count(), 5)
  record(second)
  report('2', second)
  assert.equal(count(), 6)

  now = 3 * HOUR
  report('1', replacement)
  report('2', second)
  assert.equal(count(), 0, 'after an hour without a request in any worker the series is gone')
})

test('label sets of all workers together are bounded too', () => {
  const aggregator = createMetricsAggregator({ maxSeries: 3, now: () => 0 })
  for (const name of ['1', '2']) {
    const worker = metrics()
    for (let i = 0; i < 3; i += 1) {
      worker.record(makeExchange({ upstream: { serviceHost: `${name}-${i}.test` }, startedAt: 0 }), 1)
    }
    aggregator.update(name, snapshotOf(worker.snapshot()))
  }
  const { series, overflowed } = aggregator.totals()
  assert.equal(series.length, 4)
  assert.equal(overflowed, 3)
  assert.equal(
    series.reduce((sum, { values }) => sum + values[0]!, 0),
    6,
  )
})

test('the page names every metric of the table with its help and type', async () => {
  const text = await page([])
  for (const [name, { type, help }] of Object.entries(METRICS)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name)
  }
  assert.ok(text.endsWith('\n'))
})

test('the page tells what the gateway is and has in force', async () => {
  const process = {
    residentMemoryBytes: 1e8,
    heapUsedBytes: 5e7,
    cpuSeconds: 1.5,
    eventLoopDelay: { mean: 0.01, p99: 0.02, max: 0.03 },
  }
  const samples = parse(await page([snapshotOf(metrics().snapshot(), { process })], { ...FACTS, process }))
  assert.equal(total(samples, 'istio_build', { component: 'proxy', tag: '1.2.3' }), 1)
  assert.equal(total(samples, 'sluice_config_generation'), 7)
  assert.equal(total(samples, 'sluice_config_rejected_objects'), 2)
  assert.equal(total(samples, 'sluice_config_reloads_total', { result: 'success' }), 5)
  assert.deepEqual(
    samples.filter(({ name }) => name === 'sluice_listener_up').map(({ labels, value }) => [labels['port'], value]),
    [
      ['80', 1],
      ['443', 0],
    ],
  )
  assert.equal(total(samples, 'sluice_certificate_expiry_seconds', { certificate: 'edge/shop' }), 60)
  assert.equal(total(samples, 'sluice_acme_orders_total', { result: 'success' }), 2)
  assert.equal(total(samples, 'process_resident_memory_bytes', { worker: '1' }), 1e8)
  assert.equal(total(samples, 'process_resident_memory_bytes', { worker: 'primary' }), 1e8)
  assert.equal(total(samples, 'nodejs_eventloop_lag_max_seconds', { worker: '1' }), 0.03)
})

test('scrapes that come together are answered by one reading; one that failed is not remembered', async () => {
  let readings = 0
  const aggregator = createMetricsAggregator({ now: () => 0 })
  const { text } = createMetricsPage({
    identity: IDENTITY,
    aggregator,
    facts: () => {
      readings += 1
      if (readings === 1) throw new Error('not now')
      return FACTS
    },
  })
  await assert.rejects(text(), /not now/)
  const [one, two] = await Promise.all([text(), text()])
  assert.equal(one, two)
  assert.equal(readings, 2)
})

test('a process tells its memory, its CPU time and how late its event loop is', async () => {
  const probe = createProcessProbe(1)
  // Long enough for a sample of the event loop's delay on a busy machine too.
  await new Promise((resolve) => setTimeout(resolve, 200))
  const { residentMemoryBytes, heapUsedBytes, cpuSeconds, eventLoopDelay } = probe.read()
  probe.close()
  assert.ok(residentMemoryBytes > heapUsedBytes && heapUsedBytes > 0 && cpuSeconds > 0)
  assert.ok(eventLoopDelay.max > 0 && eventLoopDelay.mean > 0 && eventLoopDelay.max < 60)
})
