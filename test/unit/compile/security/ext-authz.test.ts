import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultCompileOptions } from '../../../../src/compile/options.ts'
import {
  clustersOfAuthorizers,
  compileExtAuthzProviders,
  type ExtAuthzProviders,
} from '../../../../src/compile/security/ext-authz.ts'
import { createRegistryBuilder } from '../../../../src/compile/services/registry.ts'
import { resource, snapshotOf } from '../snapshots.ts'

function compile(...extensionProviders: readonly Record<string, unknown>[]): ExtAuthzProviders {
  const defaults = defaultCompileOptions()
  const options = { ...defaults, mesh: { ...defaults.mesh, extensionProviders } }
  const entry = resource(
    'ServiceEntry',
    'authz',
    {
      hosts: ['authz.test', '*.wild.test'],
      ports: [{ number: 8000, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '192.0.2.1' }],
    },
    { namespace: 'tools' },
  )
  const service = resource('Service', 'opa', { ports: [{ name: 'grpc', port: 9191 }], selector: {} } as never, {
    namespace: 'tools',
  })
  return compileExtAuthzProviders(options, createRegistryBuilder(options)(snapshotOf([entry, service])))
}

const http = (more: object = {}, name = 'mine') => ({
  name,
  envoyExtAuthzHttp: { service: 'authz.test', port: 8000, ...more },
})

test('a provider has Istio’s defaults', () => {
  const { plans, problems } = compile(http())
  assert.deepEqual(problems, [])
  assert.deepEqual(plans.get('mine'), {
    name: 'mine',
    cluster: 'outbound|8000||authz.test',
    host: 'authz.test',
    timeoutMs: 600_000,
    failOpen: false,
    statusOnError: 403,
    body: null,
    protocol: {
      kind: 'http',
      pathPrefix: '',
      requestHeaders: [],
      additionalHeaders: [],
      upstreamOnAllow: [],
      downstreamOnAllow: [],
      downstreamOnDeny: [],
    },
  })
})

test('all fields of an HTTP provider are read', () => {
  const { plans, problems } = compile(
    http({
      timeout: '1.5s',
      failOpen: true,
      clearRouteCache: true,
      statusOnError: '503',
      pathPrefix: '/check',
      includeHeadersInCheck: ['ignored'],
      includeRequestHeadersInCheck: ['Cookie', 'X-*', '*-Id'],
      includeAdditionalHeadersInCheck: { 'X-B': '2', 'x-a': '1' },
      includeRequestBodyInCheck: { maxRequestBytes: 4096, allowPartialMessage: true, packAsBytes: true },
      headersToUpstreamOnAllow: ['x-user'],
      headersToDownstreamOnAllow: ['set-cookie'],
      headersToDownstreamOnDeny: ['x-why'],
    }),
  )
  assert.deepEqual(problems, [])
  const plan = plans.get('mine')!
  assert.equal(plan.timeoutMs, 1500)
  assert.equal(plan.failOpen, true)
  assert.equal(plan.statusOnError, 503)
  assert.deepEqual(plan.body, { maxBytes: 4096, allowPartial: true, packAsBytes: true })
  assert.deepEqual(plan.protocol, {
    kind: 'http',
    pathPrefix: '/check',
    requestHeaders: [
      { kind: 'exact', value: 'cookie' },
      { kind: 'prefix', value: 'x-' },
      { kind: 'suffix', value: '-id' },
    ],
    additionalHeaders: [
      ['x-a', '1'],
      ['x-b', '2'],
    ],
    upstreamOnAllow: [{ kind: 'exact', value: 'x-user' }],
    downstreamOnAllow: [{ kind: 'exact', value: 'set-cookie' }],
    downstreamOnDeny: [{ kind: 'exact', value: 'x-why' }],
  })
})

test('the deprecated list of headers counts where the newer one is not given', () => {
  const plan = compile(http({ includeHeadersInCheck: ['cookie'] })).plans.get('mine')
  assert.deepEqual(plan?.protocol.kind === 'http' && plan.protocol.requestHeaders, [{ kind: 'exact', value: 'cookie' }])
})

describe('a service is found', () => {
  const found: Record<string, { service: string; port: number; cluster: string }> = {
    'by its host': { service: 'authz.test', port: 8000, cluster: 'outbound|8000||authz.test' },
    'in any letter case': { service: 'Authz.Test', port: 8000, cluster: 'outbound|8000||authz.test' },
    'with its namespace': { service: 'tools/authz.test', port: 8000, cluster: 'outbound|8000||authz.test' },
    'in Kubernetes by its whole name': {
      service: 'opa.tools.svc.cluster.local',
      port: 9191,
      cluster: 'outbound|9191||opa.tools.svc.cluster.local',
    },
    'by its short name with its namespace': {
      service: 'tools/opa',
      port: 9191,
      cluster: 'outbound|9191||opa.tools.svc.cluster.local',
    },
  }
  for (const [how, { service, port, cluster }] of Object.entries(found)) {
    test(how, () => {
      const { plans, problems } = compile({ name: 'mine', envoyExtAuthzGrpc: { service, port } })
      assert.deepEqual(problems, [])
      const plan = plans.get('mine')!
      assert.equal(plan.cluster, cluster)
      assert.deepEqual(plan.protocol, { kind: 'grpc' })
      const custom = [
        { name: 'mine', provider: plan, rules: [] },
        { name: 'none', provider: null, rules: [] },
      ]
      const [reference, ...others] = clustersOfAuthorizers({ custom }, 'istio-system')
      assert.deepEqual(others, [])
      assert.deepEqual([reference?.cluster, reference?.port, reference?.subset], [cluster, port, ''])
    })
  }
})

describe('a provider cannot be used', () => {
  const wrong: Record<string, { provider: Record<string, unknown>; pointer: string }> = {
    'without a service': { provider: http({ service: '' }), pointer: 'envoyExtAuthzHttp/service' },
    'with a service that nobody knows': { provider: http({ service: 'x.test' }), pointer: 'envoyExtAuthzHttp/service' },
    'with a service of another namespace': {
      provider: http({ service: 'other/authz.test' }),
      pointer: 'envoyExtAuthzHttp/service',
    },
    'with a wildcard for a service': {
      provider: http({ service: '*.wild.test' }),
      pointer: 'envoyExtAuthzHttp/service',
    },
    'with a port that its service has not': { provider: http({ port: 8001 }), pointer: 'envoyExtAuthzHttp/port' },
    'with a port that is none': { provider: http({ port: 65536 }), pointer: 'envoyExtAuthzHttp/port' },
    'with a timeout of nothing': { provider: http({ timeout: '0s' }), pointer: 'envoyExtAuthzHttp/timeout' },
    'with a status that is none': {
      provider: http({ statusOnError: '999' }),
      pointer: 'envoyExtAuthzHttp/statusOnError',
    },
    'with a prefix that is no path': {
      provider: http({ pathPrefix: 'check' }),
      pointer: 'envoyExtAuthzHttp/pathPrefix',
    },
    'with a prefix that would end the request line': {
      provider: http({ pathPrefix: '/a b' }),
      pointer: 'envoyExtAuthzHttp/pathPrefix',
    },
    'with * for all headers': {
      provider: http({ headersToUpstreamOnAllow: ['*'] }),
      pointer: 'envoyExtAuthzHttp/headersToUpstreamOnAllow/0',
    },
    'with a header that is none': {
      provider: http({ includeAdditionalHeadersInCheck: { 'a b': '1' } }),
      pointer: 'envoyExtAuthzHttp/includeAdditionalHeadersInCheck',
    },
    'with a body of no bytes': {
      provider: http({ includeRequestBodyInCheck: {} }),
      pointer: 'envoyExtAuthzHttp/includeRequestBodyInCheck/maxRequestBytes',
    },
    'with a field of the wrong type': { provider: http({ failOpen: 'yes' }), pointer: 'envoyExtAuthzHttp/failOpen' },
    'that is text': { provider: { name: 'mine', envoyExtAuthzGrpc: 'x' }, pointer: 'envoyExtAuthzGrpc' },
  }
  for (const [how, { provider, pointer }] of Object.entries(wrong)) {
    test(how, () => {
      const { plans, problems } = compile(provider)
      assert.equal(plans.get('mine'), null)
      assert.equal(plans.has('mine'), true)
      assert.equal(problems[0]?.severity, 'error')
      assert.equal(problems[0]?.origin.pointer, `/extensionProviders/0/${pointer}`)
    })
  }

  test('that is both kinds at once', () => {
    const { plans, problems } = compile({ ...http(), envoyExtAuthzGrpc: { service: 'authz.test', port: 8000 } })
    assert.equal(plans.get('mine'), null)
    assert.equal(problems.length, 1)
  })

  test('that shares its name with another: neither is asked', () => {
    const { plans, problems } = compile(http(), http({ failOpen: true }))
    assert.equal(plans.get('mine'), null)
    assert.equal(problems.length, 1)
  })

  test('of another kind, which is no problem by itself', () => {
    const { plans, problems } = compile({ name: 'tracer', zipkin: { service: 'x', port: 1 } })
    assert.equal(plans.get('tracer'), null)
    assert.deepEqual(problems, [])
  })
})

test('one bad provider leaves the others usable, and a field that nobody knows is only a warning', () => {
  const { plans, problems } = compile(http({ servce: 'x' }), http({ port: 1 }, 'bad'), { zipkin: {} })
  assert.notEqual(plans.get('mine'), null)
  assert.equal(plans.get('bad'), null)
  assert.deepEqual(
    problems.map(({ severity }) => severity),
    ['warning', 'error', 'error'],
  )
})
