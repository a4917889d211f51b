/** The compiler's memory is an optimisation: whatever happened before, the result is that of a compiler without one. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { compile, createCompiler } from '../../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../../src/compile/options.ts'
import type { HTTPRoute } from '../../../src/resources/virtual-service.ts'
import type { AnyResource } from '../../../src/resources/snapshot.ts'
import {
  destinationRule,
  gateway,
  httpServer,
  httpsServer,
  resource,
  serviceEntry,
  snapshotOf,
  virtualService,
} from './snapshots.ts'

const few = { minLength: 1, maxLength: 3 }
const host = fc.constantFrom('a.test', 'b.test', '*.test', '*')
const service = fc.constantFrom('s1.mesh', 's2.mesh', 's3.mesh')
const namespace = fc.constantFrom('default', 'shop', 'istio-system')
const name = fc.constantFrom('one', 'two', 'three', 'four')
const exportTo = fc.constantFrom(undefined, ['.'], ['*'], ['istio-system'])

const rule: fc.Arbitrary<HTTPRoute> = fc.oneof(
  fc
    .record({
      prefix: fc.constantFrom('/', '/a', '/b'),
      host: service,
      subset: fc.constantFrom('', 'v1'),
      port: fc.constantFrom(0, 80, 81),
    })
    .map(({ prefix, host, subset, port }) => ({
      match: [{ uri: { prefix } }],
      route: [
        {
          destination: {
            host,
            ...(subset === '' ? {} : { subset }),
            ...(port === 0 ? {} : { port: { number: port } }),
          },
        },
      ],
    })),
  fc.constant({ redirect: { uri: '/x' } }),
  name.map((delegate) => ({ match: [{ uri: { prefix: '/a' } }], delegate: { name: delegate } })),
)

const anyResource: fc.Arbitrary<AnyResource> = fc.oneof(
  fc
    .record({ name, namespace, hosts: fc.uniqueArray(host, few), http: fc.array(rule, few), exportTo })
    .map(({ name, namespace, hosts, http, exportTo }) =>
      virtualService(name, hosts, http, { namespace, ...(exportTo === undefined ? {} : { spec: { exportTo } }) }),
    ),
  fc.record({ name, http: fc.array(rule, few) }).map(({ name, http }) => resource('VirtualService', name, { http })),
  fc
    .record({
      host: service,
      name,
      namespace,
      address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
      ports: fc.uniqueArray(fc.constantFrom(80, 81), few),
    })
    .map(({ host, name, namespace, address, ports }) =>
      serviceEntry(
        host,
        {
          endpoints: [{ address, labels: { version: 'v1', 'security.istio.io/tlsMode': 'istio' } }],
          ports: ports.map((number) => ({ number, name: `http-${number}`, protocol: 'HTTP' })),
        },
        { name, namespace },
      ),
    ),
  fc
    .record({
      host: service,
      name,
      namespace,
      simple: fc.constantFrom('RANDOM' as const, 'ROUND_ROBIN' as const),
      exportTo,
    })
    .map(({ host, name, namespace, simple, exportTo }) =>
      destinationRule(
        name,
        {
          host,
          trafficPolicy: { loadBalancer: { simple } },
          subsets: [{ name: 'v1', labels: { version: 'v1' } }],
          ...(exportTo === undefined ? {} : { exportTo }),
        },
        { namespace },
      ),
    ),
  fc
    .record({ host: service, name, credentialName: fc.constantFrom('one', 'configmap://default/one') })
    .map(({ host, name, credentialName }) =>
      destinationRule(name, { host, trafficPolicy: { tls: { mode: 'SIMPLE', credentialName } } }),
    ),
  fc
    .record({ data: fc.constantFrom('', 'YQ==', 'Yg=='), namespace: fc.constantFrom('istio-system', 'default') })
    .map(({ data, namespace }) =>
      resource('Secret', 'one', { type: 'Opaque', data: { 'ca.crt': data } }, { namespace }),
    ),
  fc.constantFrom('a', 'b').map((ca) => resource('ConfigMap', 'one', { data: { 'ca.crt': ca } })),
  fc
    .record({ namespace, mode: fc.constantFrom('DISABLE' as const, 'STRICT' as const), selects: fc.boolean() })
    .map(({ namespace, mode, selects }) =>
      resource(
        'PeerAuthentication',
        selects ? 'one' : 'all',
        { mtls: { mode }, ...(selects ? { selector: { matchLabels: { version: 'v1' } } } : {}) },
        { namespace },
      ),
    ),
  fc
    .record({ hosts: fc.uniqueArray(host, few), port: fc.constantFrom(80, 443), tls: fc.boolean() })
    .map(({ hosts, port, tls }) => gateway([tls ? httpsServer(hosts, 'secret', port) : httpServer(hosts, port)])),
)

test('an incremental compilation after any edits equals a fresh one', () => {
  const options = defaultCompileOptions()
  const step = fc.record({ set: fc.array(anyResource, { maxLength: 3 }), drop: fc.nat({ max: 20 }) })
  fc.assert(
    fc.property(
      fc.array(anyResource, { maxLength: 12 }),
      fc.array(step, { minLength: 1, maxLength: 6 }),
      (first, steps) => {
        const compiler = createCompiler(options)
        const objects = new Map<string, AnyResource>()
        const put = (list: readonly AnyResource[]) => {
          for (const one of list) objects.set(`${one.kind} ${one.metadata.namespace}/${one.metadata.name}`, one)
        }
        put([gateway(), ...first])
        compiler.compile(snapshotOf([...objects.values()]))
        for (const { set, drop } of steps) {
          const dropped = [...objects.keys()][drop]
          if (dropped !== undefined) objects.delete(dropped)
          put(set)
          const snapshot = snapshotOf([...objects.values()])
          assert.deepEqual(compiler.compile(snapshot), compile(snapshot, options))
          assert.deepEqual(compiler.analyze(snapshot), createCompiler(options).analyze(snapshot))
        }
      },
    ),
    { numRuns: 150 },
  )
})
