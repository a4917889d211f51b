/** The forward proxy through a live data plane: who may go where, what leaves, what is written down, what is limited. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { AuditRecord } from '../../src/egress/audit.ts'
import { TestCertificates } from '../support/certificates.ts'
import { entry, pinnedTo, startForwardProxy, startSink, type Sink, talk } from '../support/forward-proxy.ts'
import { clientHello, serverNames } from '../support/hello.ts'
import { type Answer, ask, eventually, startUpstream } from '../support/live.ts'
import { keySetText, sign, type TestKey, testKey } from '../unit/tokens/make-token.ts'

const ISSUER = 'https://login.example.test'

let folder: string
let key: TestKey
let sink: Sink
let upstream: Awaited<ReturnType<typeof startUpstream>>

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egress-'))
  key = await testKey('ES256')
  sink = await startSink()
  upstream = await startUpstream((req, res) => {
    res.setHeader('server', 'theirs')
    res.end(JSON.stringify({ url: req.url, headers: req.headers }))
  })
})

after(() => {
  upstream.stop()
  sink.stop()
  rmSync(folder, { recursive: true })
})

/** The hosts `one.test` and `two.test` over HTTP on port 80, `sink.test` for TCP on 5432 and TLS on 443. */
const list = () =>
  entry('one.test', 80, 'HTTP', pinnedTo(upstream.port)) +
  entry('two.test', 80, 'HTTP', pinnedTo(upstream.port)) +
  entry('sink.test', 5432, 'TCP', pinnedTo(sink.port)) +
  entry('sink.test', 443, 'TLS', pinnedTo(sink.port))

function policy(kind: string, spec: object): string {
  const apiVersion = 'security.istio.io/v1'
  return `${JSON.stringify({ apiVersion, kind, metadata: { name: kind.toLowerCase(), namespace: 'istio-system' }, spec })}\n---\n`
}

const get = (port: number, url: string, headers: Record<string, string> = {}): Promise<Answer> =>
  ask({ port, path: url, host: new URL(url).host, headers })

async function openTunnel(port: number, target: string, headers = '') {
  const client = talk(port)
  client.socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${headers}\r\n`)
  const head = await client.until('\r\n\r\n')
  return { ...client, status: Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(head)?.[1]) }
}

function auditOf(file: string): AuditRecord[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditRecord)
}

const TEAMS = () =>
  policy('RequestAuthentication', {
    jwtRules: [
      { issuer: ISSUER, jwks: keySetText(key), outputPayloadToHeader: 'x-claims', forwardOriginalToken: true },
    ],
  }) +
  policy('AuthorizationPolicy', {
    action: 'DENY',
    rules: [
      {
        to: [{ operation: { hosts: ['one.test'] } }],
        from: [{ source: { notRequestPrincipals: [`${ISSUER}/team-a`] } }],
      },
      {
        to: [{ operation: { ports: ['5432'] } }],
        from: [{ source: { notRequestPrincipals: [`${ISSUER}/team-a`] } }],
      },
    ],
  })

test('team A may reach a host and nobody else, known by a token as Bearer or as the password of Basic', async () => {
  const proxy = await startForwardProxy(list() + TEAMS())
  const exp = Math.floor(Date.now() / 1000) + 600
  const a = await sign(key, { iss: ISSUER, sub: 'team-a', exp })
  const b = await sign(key, { iss: ISSUER, sub: 'team-b', exp })
  const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  try {
    const one = (authorization?: string) =>
      get(
        proxy.proxyPort,
        'http://one.test/',
        authorization === undefined ? {} : { 'proxy-authorization': authorization },
      )
    assert.equal((await one(`Bearer ${a}`)).status, 200)
    assert.equal((await one(basic('token', a))).status, 200)
    assert.equal((await one(basic(a, ''))).status, 200)
    assert.equal((await one(`Bearer ${b}`)).status, 403)
    const unknown = await one()
    assert.equal(unknown.status, 407)
    assert.match(String(unknown.headers['proxy-authenticate']), /Basic realm=/)
    assert.equal((await one('Bearer no.such.token')).status, 407)
    assert.equal((await one(basic('user', 'password'))).status, 407)
    assert.equal((await get(proxy.proxyPort, 'http://two.test/')).status, 200)

    assert.equal((await openTunnel(proxy.proxyPort, 'sink.test:5432')).status, 407)
    const tunnel = await openTunnel(proxy.proxyPort, 'sink.test:5432', `Proxy-Authorization: Bearer ${a}\r\n`)
    assert.equal(tunnel.status, 200)
    tunnel.socket.destroy()

    // Inside of a tunnel to an HTTP port requests go by the credentials of the CONNECT.
    const inside = await openTunnel(proxy.proxyPort, 'one.test:80', `Proxy-Authorization: Bearer ${a}\r\n`)
    inside.socket.write('GET /inside HTTP/1.1\r\nhost: one.test\r\nconnection: close\r\n\r\n')
    assert.match(await inside.until('/inside'), /HTTP\/1\.1 200[^]*\/inside/)
    inside.socket.destroy()
    assert.equal((await openTunnel(proxy.proxyPort, 'one.test:80')).status, 407)
  } finally {
    await proxy.stop()
  }
})

test('the request’s own authorization is its upstream’s; credentials and claims are not told to it', async () => {
  const proxy = await startForwardProxy(list() + TEAMS())
  const token = await sign(key, { iss: ISSUER, sub: 'team-a', exp: Math.floor(Date.now() / 1000) + 600 })
  try {
    const answer = await get(proxy.proxyPort, 'http://one.test/x?access_token=theirs', {
      'proxy-authorization': `Bearer ${token}`,
      authorization: 'Bearer a-token-of-another-world',
      'proxy-connection': 'keep-alive',
      'x-forwarded-for': '10.1.2.3',
      'x-request-id': 'mine',
    })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['server'], 'theirs')
    const { url, headers } = JSON.parse(answer.body) as { url: string; headers: IncomingHttpHeaders }
    assert.equal(url, '/x?access_token=theirs')
    assert.equal(headers.authorization, 'Bearer a-token-of-another-world')
    assert.equal(headers['x-request-id'], 'mine')
    assert.equal(headers.via, '1.1 sluice')
    const told = Object.keys(headers).filter((name) => /^x-(?!request-id)|^proxy-|forwarded/.test(name))
    assert.deepEqual(told, [])
  } finally {
    await proxy.stop()
  }
})

test('an ALLOW policy by address and method holds for requests and tunnels', async () => {
  const allow = policy('AuthorizationPolicy', {
    action: 'ALLOW',
    rules: [
      {
        from: [{ source: { ipBlocks: ['127.0.0.1'] } }],
        to: [{ operation: { hosts: ['one.test'], methods: ['GET'], paths: ['/ok'] } }],
      },
    ],
  })
  const proxy = await startForwardProxy(list() + allow)
  try {
    assert.equal((await get(proxy.proxyPort, 'http://one.test/ok')).status, 200)
    assert.equal((await get(proxy.proxyPort, 'http://one.test/other')).status, 403)
    assert.equal((await get(proxy.proxyPort, 'http://two.test/ok')).status, 403)
    assert.equal((await openTunnel(proxy.proxyPort, 'one.test:80')).status, 403)
  } finally {
    await proxy.stop()
  }
})

test('a policy that is not understood closes the proxy', async () => {
  const proxy = await startForwardProxy(`${list()}
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: broken, namespace: istio-system }
spec: { action: PERHAPS }
`)
  try {
    assert.equal((await get(proxy.proxyPort, 'http://one.test/')).status, 403)
    assert.equal((await openTunnel(proxy.proxyPort, 'sink.test:5432')).status, 403)
  } finally {
    await proxy.stop()
  }
})

test('the audit has a line for each request and each tunnel: who, where to, what allowed it or why not, how many bytes', async () => {
  const auditLog = join(folder, 'audit.log')
  const proxy = await startForwardProxy(list(), { auditLog })
  try {
    await get(proxy.proxyPort, 'http://one.test/path?secret=1')
    await get(proxy.proxyPort, 'http://three.test/')
    const tunnel = await openTunnel(proxy.proxyPort, 'sink.test:443')
    const hello = clientHello([serverNames('sink.test')])
    tunnel.socket.write(hello)
    await tunnel.until(hello.toString('latin1'))
    tunnel.socket.destroy()
    const foreign = await openTunnel(proxy.proxyPort, 'sink.test:443')
    foreign.socket.write(clientHello([serverNames('evil.test')]))
    await eventually(() => assert.equal(foreign.closed(), true))
    await eventually(() => assert.equal(auditOf(auditLog).length, 4))
    const shown = auditOf(auditLog)
      .map(({ method, target, path, decision, reason, allowedBy, serverName, status, bytesSent, flags }) => ({
        method,
        target,
        path,
        decision,
        reason,
        allowedBy,
        serverName,
        status,
        bytesSent,
        flags,
      }))
      .sort((a, b) => `${a.target}${a.reason}`.localeCompare(`${b.target}${b.reason}`))
    const line = { path: null, reason: null, allowedBy: null, serverName: null, bytesSent: 0, flags: null }
    const through = {
      ...line,
      method: 'CONNECT',
      target: 'sink.test:443',
      allowedBy: 'default/sink-test-443',
      status: 200,
    }
    assert.deepEqual(shown, [
      {
        ...line,
        method: 'GET',
        target: 'one.test:80',
        path: '/path',
        decision: 'allowed',
        allowedBy: 'default/one-test-80',
        status: 200,
      },
      { ...through, decision: 'allowed', serverName: 'sink.test', bytesSent: hello.length },
      { ...through, decision: 'refused', reason: 'sni-mismatch', serverName: 'evil.test', flags: 'UAEX' },
      {
        ...line,
        method: 'GET',
        target: 'three.test:80',
        path: '/',
        decision: 'refused',
        reason: 'not-in-registry',
        status: 403,
        flags: 'UAEX',
      },
    ])
    assert.match(auditOf(auditLog)[0]!.client, /^127\.0\.0\.1:\d+$/)
    const { metrics } = proxy.plane.stats()
    assert.deepEqual(metrics.egress?.denied, { 'not-in-registry': 1, 'sni-mismatch': 1 })
    const services = metrics.series.map(({ labels }) => `${labels[8]} ${labels[9]}`)
    assert.deepEqual([...new Set(services)].sort(), [
      'one.test one.test',
      'sink.test sink.test',
      'unknown BlackHoleCluster',
    ])
  } finally {
    await proxy.stop()
  }
})

test('with ALLOW_ANY the audit says so, and one metric series stands for everything that is not listed', async () => {
  const auditLog = join(folder, 'any.log')
  const proxy = await startForwardProxy(
    '',
    { auditLog },
    {
      mesh: { outboundTrafficPolicy: 'ALLOW_ANY' },
      // No name of the tests leads outside: what is open must not be asked for here.
      resolve: async () => ({ addresses: ['10.0.0.1'], ttlMs: null }),
    },
  )
  try {
    assert.equal((await get(proxy.proxyPort, 'http://anywhere.test/')).headers['x-sluice-denied'], 'private-address')
    await eventually(() => assert.equal(auditOf(auditLog)[0]?.allowedBy, 'ALLOW_ANY'))
    assert.match(auditOf(auditLog)[0]!.detail!, /anywhere\.test is 10\.0\.0\.1 \(private\)/)
    assert.equal(proxy.plane.stats().metrics.series[0]?.labels[9], 'PassthroughCluster')
  } finally {
    await proxy.stop()
  }
})

test('a ServiceEntry that is taken away closes its tunnels, and those of others stay', async () => {
  const proxy = await startForwardProxy(list())
  try {
    const [gone, stays] = [
      await openTunnel(proxy.proxyPort, 'sink.test:5432'),
      await openTunnel(proxy.proxyPort, 'sink.test:443'),
    ]
    await proxy.apply(entry('sink.test', 443, 'TLS', pinnedTo(sink.port)))
    await eventually(() => assert.equal(gone.closed(), true))
    stays.socket.write('ping')
    assert.match(await stays.until('ping'), /ping$/)
    stays.socket.destroy()
    assert.equal((await openTunnel(proxy.proxyPort, 'sink.test:5432')).status, 403)
  } finally {
    await proxy.stop()
  }
})

test('limits: tunnels of a destination and of the worker, bytes a second', async () => {
  const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: sink }
spec: { host: sink.test, trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } }
---
`
  const slow = entry('slow.test', 9, 'TCP', pinnedTo(sink.port)).replace(
    'name: "slow-test-9"',
    'name: slow, annotations: { sluice.dev/egress-bytes-per-second: "65536" }',
  )
  const proxy = await startForwardProxy(list() + slow + rule, { maxTunnels: 2 })
  try {
    const first = await openTunnel(proxy.proxyPort, 'sink.test:5432')
    assert.equal(first.status, 200)
    assert.equal((await openTunnel(proxy.proxyPort, 'sink.test:5432')).status, 503)
    const second = await openTunnel(proxy.proxyPort, 'slow.test:9')
    assert.equal((await openTunnel(proxy.proxyPort, 'slow.test:9')).status, 503)
    const started = performance.now()
    // What is read at once passes at once; what follows waits until that is paid for.
    const bytes = Buffer.alloc(3 * 65_536, 'x')
    second.socket.write(bytes)
    await eventually(() => assert.ok(second.text().length >= bytes.length), 10_000)
    assert.ok(performance.now() - started > 500, 'faster than it may be')
    second.socket.destroy()
    first.socket.destroy()
    await eventually(async () => assert.equal((await openTunnel(proxy.proxyPort, 'sink.test:5432')).status, 200))
  } finally {
    await proxy.stop()
  }
})

test('a tunnel in which no byte passes is closed after its idle time', async () => {
  const proxy = await startForwardProxy(list(), { tunnelIdleMs: 200 })
  try {
    const tunnel = await openTunnel(proxy.proxyPort, 'sink.test:5432')
    await eventually(() => assert.equal(tunnel.closed(), true))
  } finally {
    await proxy.stop()
  }
})

test('a tunnel that cannot be opened is answered 503, and the next endpoint is tried first', async () => {
  const dead = createServer().listen(0, '127.0.0.1')
  await once(dead, 'listening')
  const deadPort = (dead.address() as AddressInfo).port
  await new Promise((resolve) => dead.close(resolve))
  const endpoints = (...ports: number[]) =>
    `resolution: STATIC\nendpoints: [${ports.map((port) => `{ address: 127.0.0.1, ports: { p: ${port} } }`).join(', ')}]`
  const proxy = await startForwardProxy(
    entry('dead.test', 1, 'TCP', endpoints(deadPort)) + entry('half.test', 1, 'TCP', endpoints(deadPort, sink.port)),
  )
  try {
    assert.equal((await openTunnel(proxy.proxyPort, 'dead.test:1')).status, 503)
    for (let i = 0; i < 6; i++) {
      const tunnel = await openTunnel(proxy.proxyPort, 'half.test:1')
      assert.equal(tunnel.status, 200)
      tunnel.socket.destroy()
    }
  } finally {
    await proxy.stop()
  }
})

test('through another proxy, by host, with its credentials, and not for what noProxy names', async () => {
  const asked: string[] = []
  const other = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (bytes) => {
      const head = bytes.toString('latin1')
      const auth = /proxy-authorization: (.*)\r/i.exec(head)?.[1] ?? '-'
      asked.push(`${head.split(' HTTP')[0]} ${auth}`)
      if (head.startsWith('CONNECT bad')) socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
      else if (head.startsWith('CONNECT')) {
        socket.write('HTTP/1.1 200 OK\r\n\r\nfirst')
        socket.pipe(socket)
      } else socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
    })
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const unresolved = 'resolution: DNS'
  const proxy = await startForwardProxy(
    entry('far.test', 80, 'HTTP', unresolved) +
      entry('far.test', 443, 'TCP', unresolved) +
      entry('bad.far.test', 443, 'TCP', unresolved) +
      entry('near.far.test', 80, 'HTTP', pinnedTo(upstream.port)),
    {
      via: [{ hosts: ['*.far.test', 'far.test'], proxy: `http://me:p%40ss@127.0.0.1:${port}` }],
      noProxy: ['near.far.test'],
    },
  )
  const credentials = `Basic ${Buffer.from('me:p@ss').toString('base64')}`
  try {
    assert.equal((await get(proxy.proxyPort, 'http://far.test/x?y')).body, 'ok')
    const tunnel = await openTunnel(proxy.proxyPort, 'far.test:443')
    tunnel.socket.write('second')
    assert.match(await tunnel.until('second'), /first[^]*second$/)
    tunnel.socket.destroy()
    assert.equal((await openTunnel(proxy.proxyPort, 'bad.far.test:443')).status, 503)
    assert.equal((await get(proxy.proxyPort, 'http://near.far.test/')).status, 200)
    assert.deepEqual(asked.slice(0, 3), [
      `GET http://far.test/x?y ${credentials}`,
      `CONNECT far.test:443 ${credentials}`,
      `CONNECT bad.far.test:443 ${credentials}`,
    ])
  } finally {
    await proxy.stop()
    other.close()
  }
})

test('TLS is originated for requests in absolute form, and the ServiceEntry’s subjectAltNames have to be in the certificate', async () => {
  const certificates = new TestCertificates()
  const ca = certificates.authority('egress')
  const leaf = certificates.leaf(ca, ['api.test', 'other-name.test'])
  const server = createHttpsServer({ cert: leaf.certificate, key: leaf.key }, (_, res) => res.end('secure')).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api }
spec: { host: api.test, trafficPolicy: { tls: { mode: SIMPLE, caCertificates: ${ca.certificateFile} } } }
---
`
  const proxy = await startForwardProxy(entry('api.test', 443, 'HTTPS', pinnedTo(port)) + rule)
  try {
    assert.equal((await get(proxy.proxyPort, 'http://api.test:443/')).body, 'secure')
    const named = (name: string) => `${pinnedTo(port)}\nsubjectAltNames: [${name}]`
    await proxy.apply(entry('api.test', 443, 'HTTPS', named('other-name.test')) + rule)
    assert.equal((await get(proxy.proxyPort, 'http://api.test:443/')).body, 'secure')
    await proxy.apply(entry('api.test', 443, 'HTTPS', named('wrong.test')) + rule)
    assert.equal((await get(proxy.proxyPort, 'http://api.test:443/')).status, 503)
  } finally {
    await proxy.stop()
    server.close()
    server.closeAllConnections()
    certificates.remove()
  }
})

test('endpoints come from the WorkloadEntries that a workloadSelector picks', async () => {
  const proxy =
    await startForwardProxy(`${entry('vm.test', 80, 'HTTP', 'resolution: STATIC\nworkloadSelector: { labels: { app: vm } }')}
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm }
spec: { address: 127.0.0.1, ports: { p: ${upstream.port} }, labels: { app: vm } }
`)
  try {
    assert.equal((await get(proxy.proxyPort, 'http://vm.test/')).status, 200)
  } finally {
    await proxy.stop()
  }
})

test('a listed name that DNS does not know is answered 503 DF', async () => {
  const proxy = await startForwardProxy(
    entry('gone.test', 80, 'HTTP', 'resolution: NONE'),
    {},
    {
      resolve: async () => Promise.reject(new Error('ENOTFOUND')),
    },
  )
  try {
    const answer = await get(proxy.proxyPort, 'http://gone.test/')
    assert.deepEqual([answer.status, answer.body], [503, 'DNS resolution failure'])
  } finally {
    await proxy.stop()
  }
})
