import assert from 'node:assert/strict'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { CertificateView } from '../../../src/admin/certs.ts'
import type { ClusterView } from '../../../src/admin/clusters.ts'
import type { ListenerView } from '../../../src/admin/listeners.ts'
import type { AdminModel } from '../../../src/admin/model.ts'
import type { RouteView } from '../../../src/admin/routes.ts'
import { createAdminServer } from '../../../src/admin/server.ts'
import type { StatusView } from '../../../src/admin/status.ts'
import { makeModel, SECRETS, type TestModel } from './make-plan.ts'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const closing: (() => Promise<unknown>)[] = []
after(() => Promise.all(closing.map((close) => close())))

/** A server on a loopback port. `ask` sends exactly the headers that it is given. */
async function start(changes: Partial<AdminModel> = {}) {
  const model: TestModel = makeModel(changes)
  const errors: Error[] = []
  const server = createAdminServer({
    model,
    host: 'admin.test',
    now: () => Date.UTC(2026, 10, 23),
    onError: (error) => errors.push(error),
  })
  closing.push(() => server.close())
  await server.listen({ port: 0, host: '127.0.0.1' })
  const { port } = server.server.address() as AddressInfo
  const ask = (path: string, { method = 'GET', headers = {}, body }: Ask = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      })
      outgoing.once('error', reject)
      outgoing.end(body)
    })
  const json = async <Body>(path: string, init?: Ask): Promise<Body> => {
    const answer = await ask(path, init)
    assert.equal(answer.status, 200, answer.text)
    assert.match(String(answer.headers['content-type']), /^application\/json/)
    return JSON.parse(answer.text) as Body
  }
  return { ask, json, model, errors, port }
}

const RESOURCES = [
  '/',
  '/config_dump',
  '/listeners',
  '/routes',
  '/clusters',
  '/certs',
  '/status',
  '/ready',
  '/stats/prometheus',
]

test('every resource answers GET and HEAD, forbids caching and framing, and no secret is in any of them', async () => {
  const { ask } = await start()
  for (const path of [...RESOURCES, '/console.js', '/console.css']) {
    const answer = await ask(path)
    assert.equal(answer.status, 200, path)
    for (const secret of SECRETS) assert.ok(!answer.text.includes(secret), `${path} shows ${secret}`)
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.match(String(answer.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    const head = await ask(path, { method: 'HEAD' })
    assert.deepEqual([head.status, head.text], [200, ''], path)
  }
  assert.equal((await ask('/nothing')).status, 404)
})

test('/config_dump has the whole plan with origins, and shows where secrets were', async () => {
  const { json, ask } = await start()
  interface Dump {
    generation: number
    rejected: { name: string }[]
    sources: { name: string }[]
    plan: {
      certificates: Record<string, { certificateChain: string; privateKey: string }>
      routeTables: Record<
        string,
        { virtualHosts: Record<string, { routes: { origin: object; requestHeaders: object }[] }> }
      >
    }
  }
  const dump = await json<Dump>('/config_dump')
  assert.equal(dump.generation, 7)
  assert.equal(dump.rejected[0]?.name, 'broken-routes')
  assert.equal(dump.sources[0]?.name, 'https://user:[redacted]@config.test/')
  assert.equal(dump.plan.certificates['istio-system/shop-cert']?.privateKey, '[redacted]')
  assert.match(dump.plan.certificates['istio-system/shop-cert']?.certificateChain ?? '', /BEGIN CERTIFICATE/)
  assert.equal(dump.plan.certificates['istio-system/broken']?.certificateChain, '[redacted]')
  const route = dump.plan.routeTables['http.80']?.virtualHosts['shop.test']?.routes[0]
  assert.deepEqual(route?.origin, {
    kind: 'VirtualService',
    namespace: 'shop',
    name: 'shop',
    pointer: '/spec/http/0',
    source: 'shop.yaml',
    line: 7,
  })
  assert.deepEqual(route?.requestHeaders, {
    remove: ['authorization', 'x-debug'],
    set: [
      ['authorization', '[redacted]'],
      ['x-plain', 'visible'],
    ],
    add: [],
  })
  assert.match((await ask('/config_dump')).text, /^\{\n {2}"version"/)
})

test('/listeners tells what is bound, and why something is not', async () => {
  const { json } = await start()
  const { listeners } = await json<{ listeners: ListenerView[] }>('/listeners')
  const [tls, http] = [listeners.find(({ port }) => port === 443), listeners.find(({ port }) => port === 80)]
  assert.deepEqual(
    { address: http?.address, up: http?.up, errors: http?.errors, routeTables: http?.routeTables },
    { address: '0.0.0.0:8080', up: true, errors: [], routeTables: ['http.80'] },
  )
  assert.deepEqual(http?.hosts, ['shop.test', '*.test', '*.eu.test'])
  assert.deepEqual([tls?.up, tls?.errors, tls?.tlsServers?.[0]?.serverNames], [false, ['EADDRINUSE'], ['shop.test']])
})

const routeFilters: Record<string, { query: string; names: string[] }> = {
  'all routes without a filter': { query: '', names: ['main', 'wild', 'europe', 'first', 'second'] },
  'a listener by its port': { query: '?listener=443', names: ['first', 'second'] },
  'a host and a listener': { query: '?host=shop.test&listener=80', names: ['main'] },
  'a host in capitals and with a port': { query: '?host=SHOP.test:8080&listener=80', names: ['main'] },
  'the longest wildcard that takes a host': { query: '?host=a.eu.test', names: ['europe'] },
  'a wildcard for any other host under it': { query: '?host=other.test', names: ['wild'] },
  'nothing for a host that nobody serves': { query: '?host=other.example', names: [] },
  'an empty filter is none': { query: '?host=&listener=443', names: ['first', 'second'] },
}

for (const [name, { query, names }] of Object.entries(routeFilters)) {
  test(`/routes shows ${name}`, async () => {
    const { json } = await start()
    const { routes } = await json<{ routes: RouteView[] }>(`/routes${query}`)
    assert.deepEqual(
      routes.map((route) => route.name),
      names,
    )
  })
}

test('/routes says in words what a route matches and does, and where it comes from', async () => {
  const { json } = await start()
  const { routes } = await json<{ routes: RouteView[] }>('/routes?listener=80&host=shop.test')
  const { origin, ...rest } = routes[0]!
  assert.equal(origin.source, 'shop.yaml')
  assert.deepEqual(rest, {
    listeners: ['80'],
    port: 80,
    routeTable: 'http.80',
    host: 'shop.test',
    position: 0,
    name: 'main',
    match: 'path prefix "/", header cookie exact "[redacted]"',
    action: 'to outbound|80||shop.mesh.test, timeout 15000 ms',
  })
})

test('/clusters adds up what workers have, and shows endpoints that nobody has used yet', async () => {
  const { json } = await start()
  const { clusters } = await json<{ clusters: ClusterView[] }>('/clusters')
  assert.deepEqual(clusters[0]?.endpoints, [
    {
      health: 'unknown',
      ejectedUntil: null,
      connections: 2,
      activeRequests: 2,
      requests: 7,
      connectFailures: 0,
      address: '10.0.0.1:8080',
      weight: 1,
    },
    {
      address: '[2001:db8::1]:8080',
      weight: 2,
      health: 'unknown',
      ejectedUntil: null,
      connections: 0,
      activeRequests: 0,
      requests: 0,
      connectFailures: 0,
    },
  ])
})

const NOTHING_YET = { weight: 1, connections: 0, active: 0, requests: 0, connectFailures: 0 }

const judgements: Record<string, { until: (number | null | undefined)[]; health: string; shown: string | null }> = {
  'nothing judges it': { until: [undefined, undefined], health: 'unknown', shown: null },
  'it is healthy where all that judge it use it': { until: [null, undefined, null], health: 'healthy', shown: null },
  'it is ejected where one worker ejected it, until the last one uses it again': {
    until: [null, 2_000, 61_500, 1_000, null],
    health: 'ejected',
    shown: '1970-01-01T00:01:01.500Z',
  },
}

for (const [name, { until, health, shown }] of Object.entries(judgements)) {
  test(`/clusters tells the health of an endpoint: ${name}`, async () => {
    const clusterStats = until.map((ejectedUntil) => ({
      name: 'outbound|80||shop.mesh.test',
      endpoints: [
        { ...NOTHING_YET, address: '10.0.0.1:8080', ...(ejectedUntil === undefined ? {} : { ejectedUntil }) },
      ],
    }))
    const { json } = await start({ clusterStats: async () => clusterStats })
    const { clusters } = await json<{ clusters: ClusterView[] }>('/clusters')
    const endpoint = clusters[0]?.endpoints[0]
    assert.deepEqual([endpoint?.health, endpoint?.ejectedUntil], [health, shown])
  })
}

test('/certs and /status tell of certificates that are ordered, issued yet or not', async () => {
  const order = { issuer: 'main', hosts: ['shop.test'], failures: 0, nextAttemptAt: 1_800_000_000_000 }
  const failing = { ...order, name: 'istio-system/new', notAfter: null, lastError: 'no way', failures: 3 }
  const { json } = await start({
    orderedCertificates: () => [
      { ...order, name: 'istio-system/shop-cert', notAfter: 1_900_000_000_000, lastError: null },
      failing,
    ],
  })
  const { certificates } = await json<{ certificates: CertificateView[] }>('/certs')
  const shop = certificates.find(({ name }) => name === 'istio-system/shop-cert')
  assert.deepEqual(
    [shop?.source, shop?.hosts, shop?.renewalAt],
    ['acme:main', ['shop.test'], '2027-01-15T08:00:00.000Z'],
  )
  assert.deepEqual(certificates.at(-1), {
    name: 'istio-system/new',
    usedBy: [],
    source: 'acme:main',
    hosts: ['shop.test'],
    renewalAt: '2027-01-15T08:00:00.000Z',
    problem: 'no way',
    error: 'it has not been issued yet: no way',
  })
  assert.deepEqual((await json<{ certificates: unknown[] }>('/status')).certificates, [failing])
})

test('/certs tells names and expiry, who presents a certificate, and why one cannot be read', async () => {
  const { json } = await start()
  const { certificates } = await json<{ certificates: CertificateView[] }>('/certs')
  const { serialNumber, fingerprint256, notBefore, ...rest } = certificates[0]!
  assert.match(`${serialNumber} ${fingerprint256} ${notBefore}`, /^[0-9A-F]+ [0-9A-F:]{95} 2026-11-22T/)
  assert.deepEqual(rest, {
    name: 'istio-system/shop-cert',
    usedBy: ['istio-system/edge/https'],
    source: 'Secret',
    subject: 'CN=shop.test, O=Shop',
    issuer: 'CN=shop.test, O=Shop',
    subjectAltNames: ['DNS:shop.test', 'DNS:*.shop.test'],
    notAfter: '2126-10-29T13:23:37.000Z',
    daysLeft: 36_499,
    chainLength: 1,
  })
  assert.deepEqual(certificates[1], {
    name: 'istio-system/broken',
    usedBy: [],
    source: 'Secret',
    error: 'there is no PEM certificate in it',
  })
})

test('/status names rejected objects with their problems, and what is not in step', async () => {
  const { json } = await start()
  const status = await json<StatusView>('/status')
  assert.equal(status.inStep, false)
  assert.deepEqual([status.generation, status.configuration, status.ready], [7, '7-9f86d081', true])
  assert.deepEqual(
    status.rejected.map(({ kind, namespace, name, source, problems }) => [
      kind,
      namespace,
      name,
      source,
      problems.length,
    ]),
    [['VirtualService', 'shop', 'broken-routes', 'shop.yaml', 1]],
  )
  assert.equal(status.warnings[0]?.code, 'route/unknown-service')
  assert.deepEqual(status.listenersDown, [{ name: '443', port: 443, errors: ['EADDRINUSE'] }])
})

const steps: Record<string, { changes: Partial<AdminModel>; inStep: boolean }> = {
  'all workers, sources and listeners are': { changes: {}, inStep: true },
  'a worker that is behind is not': {
    changes: { workers: () => [{ id: 1, pid: 1, generation: 6, restarts: 0, problem: null }] },
    inStep: false,
  },
  'a worker that serves half of an update is not': {
    changes: { workers: () => [{ id: 1, pid: 1, generation: 7, restarts: 0, problem: 'no JSON' }] },
    inStep: false,
  },
  'a source that could not be read is not': {
    changes: { sources: () => [{ name: 'a', objects: 0, readAt: null, error: 'ENOENT' }] },
    inStep: false,
  },
  'a gateway without a plan is not': {
    changes: { plan: () => null, generation: () => ({ number: 0, text: '' }) },
    inStep: false,
  },
}

for (const [name, { changes, inStep }] of Object.entries(steps)) {
  test(`/status: in step: ${name}`, async () => {
    const up = (port: number) => ({ name: String(port), port, address: '', error: null })
    const { json } = await start({ listenerStates: () => [up(80), up(443)], ...changes })
    assert.equal((await json<StatusView>('/status')).inStep, inStep)
  })
}

test('before there is a plan every resource answers', async () => {
  const { ask } = await start({ plan: () => null, isReady: () => false })
  for (const path of RESOURCES) assert.equal((await ask(path)).status, path === '/ready' ? 503 : 200, path)
})

test('POST /logging sets the level in every process, by Istio’s names too, and refuses others', async () => {
  const { ask, json, model } = await start()
  assert.deepEqual(await json('/logging?level=warning', { method: 'POST' }), { level: 'warn' })
  assert.equal((await ask('/logging?level=loud', { method: 'POST' })).status, 400)
  assert.equal((await ask('/logging?level=debug')).status, 404)
  assert.deepEqual(model.calls, ['level warn'])
})

test('POST /drain begins to drain', async () => {
  const { json, model } = await start()
  assert.deepEqual(await json('/drain', { method: 'POST' }), { draining: true })
  assert.deepEqual(model.calls, ['drain'])
})

test('POST /explain hands the request on and checks it before', async () => {
  const { ask, json } = await start({ explain: (asked) => ({ asked }) })
  const headers = { 'content-type': 'application/json' }
  const asked = { method: 'GET', url: 'http://shop.test/', headers: [['x-a', '1']] }
  assert.deepEqual(await json('/explain', { method: 'POST', headers, body: JSON.stringify(asked) }), { asked })
  for (const body of [
    '{}',
    '{"method":"GET","url":"no url"}',
    '{"method":"GET","url":"http://a/","headers":["x"]}',
    '{',
  ]) {
    assert.equal((await ask('/explain', { method: 'POST', headers, body })).status, 400, body)
  }
  const { ask: askOther } = await start()
  assert.equal((await askOther('/explain', { method: 'POST', headers, body: JSON.stringify(asked) })).status, 404)
})

test('a failure is a 500 that does not tell why; the log knows', async () => {
  const { ask, errors } = await start({
    clusterStats: async () => {
      throw new Error('a secret reason')
    },
  })
  const answer = await ask('/clusters')
  assert.equal(answer.status, 500)
  assert.doesNotMatch(answer.text, /secret/)
  assert.equal(errors[0]?.message, 'a secret reason')
})

test('a page of another site can neither read nor change anything', async () => {
  const { ask, model, port } = await start()
  const host = `127.0.0.1:${port}`
  const refused: Ask[] = [
    { headers: { host: `evil.test:${port}` } },
    { method: 'POST', headers: { host, origin: 'https://evil.test' } },
    { method: 'POST', headers: { host, origin: 'null' } },
    { method: 'POST', headers: { host, 'sec-fetch-site': 'cross-site' } },
  ]
  for (const each of refused) assert.equal((await ask('/drain', each)).status, 403, JSON.stringify(each))
  assert.deepEqual(model.calls, [])
  const same = { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }
  assert.equal((await ask('/drain', { method: 'POST', headers: same })).status, 200)
})

test('the console runs no script and loads nothing but its own files', async () => {
  const { ask } = await start()
  const { text } = await ask('/')
  const urls = text.matchAll(/(?:src|href)="([^"#]*)"/g)
  assert.deepEqual(
    new Set([...urls].map(([, url]) => url)),
    new Set(['data:,', '/console.css', '/console.js', '/config_dump', '/stats/prometheus']),
  )
  assert.doesNotMatch(text, /<script(?![^>]*src=)|\son\w+=|style="/)
  const script = (await ask('/console.js')).text
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:\/\//)
})
