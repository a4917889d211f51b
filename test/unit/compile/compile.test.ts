import assert from 'node:assert/strict'
import test from 'node:test'
import { compile, createCompiler } from '../../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../../src/compile/options.ts'
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../src/resources/snapshot.ts'
import { destinationRule, gateway, resource, serviceEntry, snapshotOf, to, virtualService } from './snapshots.ts'

const options = defaultCompileOptions()
const http = [gateway(), serviceEntry('a.test'), serviceEntry('b.test')]
const app = virtualService('app', ['app.test'], [to('a.test')])
const other = virtualService('other', ['other.test'], [to('b.test')])

test('an empty snapshot compiles to a plan that opens nothing, with the defaults of the mesh', () => {
  assert.deepEqual(compile(EMPTY_SNAPSHOT, options), {
    plan: {
      mesh: {
        accessLog: null,
        pathNormalization: 'BASE',
        trustedProxies: 0,
        forwardClientCertDetails: 'SANITIZE_SET',
        serverHeader: 'istio-envoy',
        envoyDebugHeaders: true,
        attemptCountHeader: true,
        requestIdHeader: true,
        forwardedHostHeader: false,
        forwardedPortHeader: false,
        preserveHeaderCase: false,
        shadowHostSuffix: false,
        http10: false,
        requestBufferBytes: 1_048_576,
        closedBy: [],
      },
      policies: {
        jwt: [],
        authorization: { custom: [], audit: [], deny: [], allow: null, dryRun: { deny: [], allow: null } },
        authorizationPolicies: [],
      },
      rateLimits: {},
      listeners: {},
      routeTables: {},
      clusters: {},
      certificates: {},
      egress: null,
      egressHosts: {},
    },
    problems: [],
  })
})

test('a plan is plain data: printing and reading it gives the same', () => {
  const { plan } = compile(snapshotOf([...http, app, other]), options)
  assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan)
})

test('a cluster has every default filled in', () => {
  const { plan } = compile(snapshotOf([...http, app]), options)
  assert.deepEqual(plan.clusters, {
    'outbound|80||a.test': {
      name: 'outbound|80||a.test',
      host: 'a.test',
      port: 80,
      subset: '',
      service: { name: 'a.test', namespace: 'default' },
      discovery: { kind: 'static', endpoints: [{ address: '10.0.0.1', port: 80, weight: 1 }] },
      loadBalancer: 'least-request',
      protocol: 'http1',
      transport: { kind: 'plaintext' },
      connectTimeoutMs: 10_000,
      idleTimeoutMs: 3_600_000,
      maxRequestsPerConnection: 0,
    },
  })
})

function change(snapshot: Snapshot, fields: Partial<Snapshot>): Snapshot {
  return { ...snapshot, ...fields }
}

test('compiling the same snapshot again gives the same objects', () => {
  const compiler = createCompiler(options)
  const snapshot = snapshotOf([...http, app, other])
  const { plan: first } = compiler.compile(snapshot)
  const { plan: second } = compiler.compile(snapshot)
  assert.equal(second.routeTables, first.routeTables)
  assert.equal(second.clusters, first.clusters)
  assert.equal(second.listeners, first.listeners)
})

test('a VirtualService that changes leaves the other virtual hosts and all clusters as they are', () => {
  const compiler = createCompiler(options)
  const snapshot = snapshotOf([...http, app, other])
  const { plan: first } = compiler.compile(snapshot)
  const edited = virtualService('app', ['app.test'], [{ ...to('a.test'), timeout: '1s' }])
  const { plan: second } = compiler.compile(change(snapshot, { virtualServices: [edited, other] }))
  const [before, after] = [first, second].map((plan) => plan.routeTables['http.80']!.virtualHosts)
  assert.notEqual(after!['app.test'], before!['app.test'])
  assert.equal(after!['other.test'], before!['other.test'])
  assert.equal(second.clusters, first.clusters)
})

test('endpoints that change leave routes and the other clusters as they are', () => {
  const compiler = createCompiler(options)
  const snapshot = snapshotOf([...http, app, other])
  const { plan: first } = compiler.compile(snapshot)
  const moved = serviceEntry('a.test', { endpoints: [{ address: '10.0.0.9' }] })
  const { plan: second } = compiler.compile(change(snapshot, { serviceEntries: [moved, snapshot.serviceEntries[1]!] }))
  assert.equal(second.routeTables, first.routeTables)
  assert.notEqual(second.clusters['outbound|80||a.test'], first.clusters['outbound|80||a.test'])
  assert.equal(second.clusters['outbound|80||b.test'], first.clusters['outbound|80||b.test'])
})

test('a DestinationRule that changes leaves the clusters of other services as they are', () => {
  const compiler = createCompiler(options)
  const rules = [destinationRule('a', { host: 'a.test' }), destinationRule('b', { host: 'b.test' })]
  const snapshot = snapshotOf([...http, app, other, ...rules])
  const { plan: first } = compiler.compile(snapshot)
  const edited = destinationRule('a', { host: 'a.test', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } })
  const { plan: second } = compiler.compile(change(snapshot, { destinationRules: [edited, rules[1]!] }))
  assert.equal(second.clusters['outbound|80||a.test']?.loadBalancer, 'random')
  assert.equal(second.clusters['outbound|80||b.test'], first.clusters['outbound|80||b.test'])
  // And once more, after a compilation in which the other cluster was not looked up.
  const { plan: third } = compiler.compile(snapshot)
  assert.equal(third.clusters['outbound|80||b.test'], first.clusters['outbound|80||b.test'])
})

test('a Secret that changes leaves clusters as they are, and what is trusted is in the plan', () => {
  const compiler = createCompiler(options)
  const rule = destinationRule('a', {
    host: 'a.test',
    trafficPolicy: { tls: { mode: 'SIMPLE', credentialName: 'ca' } },
  })
  const secret = (pem: string) =>
    resource(
      'Secret',
      'ca',
      { type: 'Opaque', data: { cacert: Buffer.from(pem).toString('base64') } },
      { namespace: 'istio-system' },
    )
  const snapshot = snapshotOf([...http, app, rule, secret('one')])
  const { plan: first } = compiler.compile(snapshot)
  const { plan: second } = compiler.compile(change(snapshot, { secrets: [secret('two')] }))
  assert.equal(second.clusters, first.clusters)
  assert.deepEqual(
    [first, second].map(({ certificates }) => certificates['ca:istio-system/ca']),
    ['one', 'two'].map((caCertificates) => ({ name: 'ca:istio-system/ca', caCertificates })),
  )
  const { plan, problems } = compiler.compile(change(snapshot, { secrets: [] }))
  assert.equal(plan.clusters, first.clusters)
  assert.deepEqual([plan.certificates, problems.map(({ istioCode }) => istioCode)], [{}, ['IST0101']])
})

test('a delegate that changes, comes or goes changes the routes of its root', () => {
  const root = virtualService('root', ['app.test'], [{ delegate: { name: 'part' } }])
  const part = (host: string) => resource('VirtualService', 'part', { http: [to(host)] })
  const compiler = createCompiler(options)
  const cluster = (...delegates: ReturnType<typeof part>[]) => {
    const { plan } = compiler.compile(snapshotOf([...http, root, ...delegates]))
    return plan.routeTables['http.80']?.virtualHosts['app.test']?.routes.map(({ action }) =>
      action.kind === 'forward' ? action.destinations[0]?.cluster : '',
    )
  }
  assert.deepEqual(cluster(part('a.test')), ['outbound|80||a.test'])
  assert.deepEqual(cluster(part('b.test')), ['outbound|80||b.test'])
  assert.equal(cluster(), undefined)
  assert.deepEqual(cluster(part('a.test')), ['outbound|80||a.test'])
})

test('clusters that no route names are not in the plan', () => {
  const { plan } = compile(snapshotOf([...http, app]), options)
  assert.deepEqual(Object.keys(plan.clusters), ['outbound|80||a.test'])
})

test('without a Gateway nothing is routed, and a security policy closes nothing else', () => {
  const { plan } = compile(snapshotOf([serviceEntry('a.test'), app]), options)
  assert.deepEqual([plan.listeners, plan.routeTables, plan.clusters], [{}, {}, {}])
})
