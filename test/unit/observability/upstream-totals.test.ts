import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityOf } from '../../../src/observability/mesh-identity.ts'
import { createMetricsAggregator, mergeSnapshots } from '../../../src/observability/metrics-aggregator.ts'
import { type MetricsSnapshot, snapshotOf, type UpstreamSnapshot } from '../../../src/observability/metrics-snapshot.ts'
import { createMetricsPage } from '../../../src/observability/metrics.ts'

const FACTS = {
  version: '1',
  generation: 1,
  rejectedObjects: 0,
  policies: [],
  keySets: [],
  reloads: {},
  listeners: [],
  certificates: [],
  acmeOrders: null,
  now: 0,
  process: null,
}

function upstream(ejections: number, pending: number, ejected: UpstreamSnapshot['ejected'] = []): UpstreamSnapshot {
  const byReason = (count: number) => ({ consecutive_5xx: count, consecutive_gateway_failure: 0 })
  const overflow = { connections: 0, pending, requests: 0, retries: 0 }
  return { ejections: byReason(ejections), ejectionsOverflow: byReason(1), overflow, ejected }
}

function snapshot(startedMs: number, counts?: UpstreamSnapshot): MetricsSnapshot {
  return snapshotOf({ startedMs, series: [], overflowed: 0 }, counts === undefined ? {} : { upstream: counts })
}

test('ejections and limits that were met are added up, and do not go backwards with a worker', async () => {
  const aggregator = createMetricsAggregator({ now: () => 0 })
  aggregator.update('1', snapshot(1, upstream(2, 5, [['gone', 1]])))
  aggregator.update('2', snapshot(1, upstream(1, 0, [['a', 2]])))
  aggregator.update('2', snapshot(1, upstream(4, 1, [['a', 1]])))
  aggregator.update('3', snapshot(1))
  aggregator.remove('1')
  aggregator.update('1', snapshot(2, upstream(1, 1)))
  assert.deepEqual(aggregator.totals().upstream, {
    ejections: { consecutive_5xx: 7, consecutive_gateway_failure: 0 },
    ejectionsOverflow: { consecutive_5xx: 3, consecutive_gateway_failure: 0 },
    overflow: { connections: 0, pending: 7, requests: 0, retries: 0 },
    ejected: new Map([['a', 1]]),
  })
  const identity = { ...identityOf({ app: 'edge' }, 'istio-system', 'edge'), principal: 'unknown' }
  const { text } = createMetricsPage({ identity, aggregator, facts: () => FACTS })
  const lines = (await text()).split('\n').filter((line) => line.startsWith('sluice_upstream_'))
  assert.deepEqual(lines.filter((line) => !line.startsWith('sluice_upstream_connections')).toSorted(), [
    'sluice_upstream_ejections_active{cluster="a"} 1',
    'sluice_upstream_ejections_overflow_total{reason="consecutive_5xx"} 3',
    'sluice_upstream_ejections_overflow_total{reason="consecutive_gateway_failure"} 0',
    'sluice_upstream_ejections_total{reason="consecutive_5xx"} 7',
    'sluice_upstream_ejections_total{reason="consecutive_gateway_failure"} 0',
    'sluice_upstream_overflow_total{kind="connections"} 0',
    'sluice_upstream_overflow_total{kind="pending"} 7',
    'sluice_upstream_overflow_total{kind="requests"} 0',
    'sluice_upstream_overflow_total{kind="retries"} 0',
  ])
})

test('ejected endpoints of a cluster are as many as the worker with the most says, and clusters are bounded', () => {
  const many = Array.from({ length: 103 }, (_, index) => [`c${index}`, index < 3 ? 1 : 2] as const)
  const snapshots = [snapshot(1, upstream(0, 0, many)), snapshot(1, upstream(0, 0, [['c102', 9]]))]
  const { ejected } = mergeSnapshots(snapshots, { now: () => 0 }).upstream
  assert.equal(ejected.size, 101)
  assert.equal(ejected.get('c102'), 9)
  assert.equal(ejected.get('c3'), 2)
  assert.equal(ejected.get('overflow'), 3, 'those with the fewest')
})

test('what policies on trial would have done is added up over workers, with Istio’s labels', async () => {
  const aggregator = createMetricsAggregator({ now: () => 0 })
  const requests = { startedMs: 1, series: [], overflowed: 0 }
  aggregator.update('1', snapshotOf(requests, { dryRun: { 'deny denied': 2 } }))
  aggregator.update('1', snapshotOf(requests, { dryRun: { 'deny denied': 3 } }))
  aggregator.update('2', snapshotOf(requests, { dryRun: { 'deny denied': 1, 'allow allowed': 4 } }))
  const identity = { ...identityOf({ app: 'edge' }, 'istio-system', 'edge'), principal: 'unknown' }
  const { text } = createMetricsPage({ identity, aggregator, facts: () => FACTS })
  assert.deepEqual(
    (await text()).split('\n').filter((line) => line.startsWith('envoy_http_rbac')),
    [
      'envoy_http_rbac{authz_dry_run_action="deny",authz_dry_run_result="denied"} 4',
      'envoy_http_rbac{authz_dry_run_action="allow",authz_dry_run_result="allowed"} 4',
    ],
  )
})
