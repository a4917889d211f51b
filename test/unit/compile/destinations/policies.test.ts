import assert from 'node:assert/strict'
import test from 'node:test'
import { compileConnectionPool } from '../../../../src/compile/destinations/connection-pool.ts'
import { identitiesOf } from '../../../../src/compile/destinations/identities.ts'
import { compileLoadBalancer } from '../../../../src/compile/destinations/load-balancer.ts'
import { readMeshDefaults } from '../../../../src/compile/destinations/mesh-defaults.ts'
import { compileOutlierDetection } from '../../../../src/compile/destinations/outlier-detection.ts'
import { defaultCompileOptions } from '../../../../src/compile/options.ts'
import type { MeshService } from '../../../../src/compile/services/service.ts'

const { mesh } = defaultCompileOptions()

test('rings: a size beyond what Envoy builds is not built either, and 0 is the default', () => {
  const sizeOf = (minimumRingSize: number) =>
    compileLoadBalancer({ consistentHash: { useSourceIp: true, ringHash: { minimumRingSize } } }).consistentHash
      ?.algorithm
  assert.deepEqual(sizeOf(1e15), { kind: 'ring', minimumSize: 8_388_608 })
  assert.deepEqual(sizeOf(0), { kind: 'ring', minimumSize: 1024 })
})

test('hash keys: names of headers are compared in lower case, those of cookies and parameters as they are', () => {
  const keyOf = (hash: object) => compileLoadBalancer({ consistentHash: hash }).consistentHash?.key
  assert.deepEqual(keyOf({ httpHeaderName: 'X-User' }), { kind: 'header', name: 'x-user' })
  assert.deepEqual(keyOf({ httpQueryParameterName: 'User' }), { kind: 'query', name: 'User' })
  assert.deepEqual(keyOf({ useSourceIp: false }), undefined)
})

test('ejections: what is left out, and what is given as 0, is not the same for consecutive errors alone', () => {
  const { consecutive5xx, intervalMs, maxEjectionFraction } = compileOutlierDetection({
    consecutive5xxErrors: 0,
    interval: '0s',
    maxEjectionPercent: 0,
  })
  assert.deepEqual([consecutive5xx, intervalMs, maxEjectionFraction], [0, 10_000, 0.1])
})

test('pools: a TCP idle timeout counts where HTTP has none, and 0s switches it off', () => {
  const idle = (http: string | undefined, tcp: string | undefined) =>
    compileConnectionPool(
      {
        http: http === undefined ? {} : { idleTimeout: http },
        tcp: tcp === undefined ? {} : { idleTimeout: tcp },
      },
      undefined,
      mesh,
      undefined,
    ).idleTimeoutMs
  assert.deepEqual(
    [idle('1s', '2s'), idle(undefined, '2s'), idle('0s', '2s'), idle(undefined, undefined)],
    [1000, 2000, null, 3_600_000],
  )
})

test('identities: an account counts in every trust domain of the mesh, once', () => {
  const endpoint = { address: '10.0.0.1', port: 80, weight: 1, labels: {}, serviceAccount: 'web' }
  const endpoints = new Map([
    [80, [endpoint, endpoint]],
    [81, [endpoint]],
  ])
  const service = { namespace: 'shop', endpoints, subjectAltNames: ['shop.internal'] } as unknown as MeshService
  assert.deepEqual(identitiesOf(service, { trustDomain: 'ops@mesh.test', trustDomainAliases: ['old.test'] }), [
    'shop.internal',
    'spiffe://old.test/ns/shop/sa/web',
    'spiffe://ops.mesh.test/ns/shop/sa/web',
  ])
})

test('mesh defaults: nothing is set by default', () => {
  assert.deepEqual(readMeshDefaults(mesh), {
    localityLbSetting: {},
    tcpKeepalive: undefined,
    trafficPolicy: {},
    problems: [],
  })
})

test('mesh defaults: each message is checked by itself, and named by its own path', () => {
  const { tcpKeepalive, trafficPolicy, problems } = readMeshDefaults({
    ...mesh,
    tcpKeepalive: { time: 10 },
    defaultTrafficPolicy: { outlierDetection: { interval: '1s' }, conectionPool: {} },
  })
  assert.equal(tcpKeepalive, undefined)
  assert.deepEqual(trafficPolicy, { outlierDetection: { interval: '1s' } })
  assert.deepEqual(
    problems.map(({ severity, origin }) => [severity, origin.pointer]),
    [
      ['error', '/tcpKeepalive/time'],
      ['warning', '/defaultTrafficPolicy/conectionPool'],
    ],
  )
})
