/** Header operations of rules and destinations, and the headers that an edge adds, takes away and answers with. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import { ask, GATEWAY, raw, routes, service } from '../support/live.ts'
import { headerLines, ruleList, type Seen, startEcho, startObserved } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())

const TO = 'route: [{ destination: { host: echo.test } }]'
const RULES = [
  `{ match: [{ uri: { prefix: /ops } }], ${TO}, name: ops,
     headers: { request: { set: { x-client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", x-copy: "<%REQ(X-IN)%>", x-none: "%REQ(X-NOT-THERE)%",
         x-both: "new", x-percent: "100%%", x-path: "%REQ(:PATH)%", x-alt: "%REQ(X-NOT-THERE?X-IN):3%", x-removed: "%REQ(X-GONE)%",
         x-proto: "%PROTOCOL% %REQ(:METHOD)% %REQ(:AUTHORITY)% %ROUTE_NAME%" },
       add: { x-in: "added", x-unset: "%REQ(X-NOT-THERE)%" }, remove: [x-gone, X-Both] },
       response: { set: { x-from: "%REQ(X-IN)% %RESP(X-UP)% %RESPONSE_CODE%", x-up: "gone" }, add: { x-multi: two, set-cookie: "b=2" }, remove: [x-secret] } } }`,
  `{ match: [{ uri: { prefix: /single } }],
     route: [{ destination: { host: echo.test }, headers: { request: { set: { x-a: destination }, add: { x-b: destination } },
       response: { set: { x-a: destination } } } }],
     headers: { request: { set: { x-a: rule }, add: { x-b: rule } }, response: { set: { x-a: rule } } } }`,
  `{ match: [{ uri: { prefix: /weighted } }],
     route: [{ destination: { host: echo.test }, weight: 1, headers: { request: { set: { x-a: destination, host: destination.test } }, response: { set: { x-a: destination, x-d: "1" } } } },
       { destination: { host: other.test }, weight: 0 }, { destination: { host: echo.test, port: { number: 80 } }, weight: 1,
         headers: { request: { set: { x-a: destination, ":authority": destination.test } }, response: { set: { x-a: destination, x-d: "1" } } } }],
     headers: { request: { set: { x-a: rule } }, response: { set: { x-a: rule } } } }`,
  `{ match: [{ uri: { prefix: /host/rule } }], route: [{ destination: { host: echo.test }, headers: { request: { set: { Host: destination.test } } } }],
     headers: { request: { set: { Host: rule.test } } } }`,
  `{ match: [{ uri: { prefix: /host/add } }], route: [{ destination: { host: echo.test } }], headers: { request: { add: { ":authority": added.test } } } }`,
  `{ match: [{ uri: { prefix: /host/destination } }], route: [{ destination: { host: echo.test }, headers: { request: { set: { host: destination.test } } } }] }`,
  `{ match: [{ uri: { prefix: /timeout } }], ${TO}, timeout: 5s }`,
  `{ match: [{ uri: { prefix: /per-try } }], ${TO}, timeout: 5s, retries: { attempts: 2, perTryTimeout: 2s, retryOn: "5xx", backoff: 1ms } }`,
  `{ match: [{ uri: { prefix: /long-try } }], ${TO}, timeout: 1s, retries: { attempts: 1, perTryTimeout: 2s } }`,
  `{ match: [{ uri: { prefix: /unavailable } }], route: [{ destination: { host: empty.test }, headers: { response: { set: { x-destination: "yes" } } } }],
     headers: { response: { set: { x-rule: "yes" } } } }`,
  `{ ${TO} }`,
]
const YAML =
  GATEWAY + service('echo', echo.port) + service('other', echo.port) + service('empty') + routes(ruleList(RULES))
const gateway = await startObserved(YAML)
after(() => gateway.stop())
const port = gateway.port()

const seen = async (path: string, more: Partial<Parameters<typeof ask>[0]> = {}): Promise<Seen> =>
  JSON.parse((await ask({ port, path, ...more })).body) as Seen

/** Values of all lines of a header, as the upstream got them. */
const lines = ({ raw }: Seen, name: string): string[] => raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === name)

test('operations: removes come first, values see what is left, then set, then add', async () => {
  const request = await seen('/ops?q=1', { headers: { 'x-in': 'value', 'x-both': 'old', 'x-gone': 'secret' } })
  assert.equal(request.headers['x-both'], 'new', 'set beats remove')
  assert.equal(request.headers['x-gone'], undefined)
  assert.equal(request.headers['x-removed'], undefined, 'it reads what was removed')
  assert.deepEqual(lines(request, 'x-in'), ['value', 'added'])
})

test('operations: operators are filled in, and what is empty is not sent', async () => {
  const request = await seen('/ops?q=1', { headers: { 'x-in': 'value' }, host: 'App.test:80' })
  const { headers } = request
  assert.equal(headers['x-client'], '127.0.0.1')
  assert.equal(headers['x-copy'], '<value>')
  assert.equal(headers['x-none'], undefined)
  assert.equal(headers['x-unset'], undefined)
  assert.equal(headers['x-percent'], '100%')
  assert.equal(headers['x-path'], '/ops?q=1')
  assert.equal(headers['x-alt'], 'val')
  assert.equal(headers['x-proto'], 'HTTP/1.1 GET App.test:80 ops')
})

test('operations: those of the response see request and response, and add lines', async () => {
  const { text } = await raw(
    port,
    'GET /ops HTTP/1.1\r\nHost: app.test\r\nX-In: value\r\nX-Reply: x-up: here|x-multi: one|x-secret: s|set-cookie: a=1\r\nConnection: close\r\n\r\n',
  )
  const got = headerLines(text)
  assert.ok(got.includes('x-from: value here 200'), text)
  assert.ok(got.includes('x-up: gone'))
  assert.deepEqual(
    got.filter((line) => line.startsWith('x-multi:') || line.startsWith('set-cookie:')),
    ['x-multi: one', 'set-cookie: a=1', 'set-cookie: b=2', 'x-multi: two'],
    'added in the order of their names',
  )
  assert.ok(!got.some((line) => line.startsWith('x-secret:')))
})

test('operations: with one destination its operations come after the rule’s', async () => {
  const { body, headers } = await ask({ port, path: '/single' })
  const request = JSON.parse(body) as Seen
  assert.equal(request.headers['x-a'], 'destination')
  assert.deepEqual(lines(request, 'x-b'), ['rule', 'destination'])
  assert.equal(headers['x-a'], 'destination')
})

test('operations: with several destinations the rule’s come last', async () => {
  for (let i = 0; i < 4; i++) {
    const { body, headers } = await ask({ port, path: '/weighted' })
    const request = JSON.parse(body) as Seen
    assert.deepEqual([request.headers['x-a'], headers['x-a'], headers['x-d']], ['rule', 'rule', '1'])
    assert.equal(request.headers.host, 'destination.test')
  }
})

for (const [path, host] of [
  ['/host/rule', 'rule.test'],
  ['/host/add', 'added.test'],
  ['/host/destination', 'destination.test'],
] as const) {
  test(`operations: Host at ${path} is ${host}`, async () => {
    const request = await seen(path)
    assert.equal(request.headers.host, host)
    assert.deepEqual(lines(request, 'host'), [host])
  })
}

test('operations: a local reply of the router gets those of the rule and of the destination', async () => {
  const { status, headers } = await ask({ port, path: '/unavailable' })
  assert.deepEqual([status, headers['x-rule'], headers['x-destination']], [503, 'yes', 'yes'])
})

test('operations: no route, no operations', async () => {
  const { headers } = await ask({ port, path: '/', host: 'unknown.test' })
  assert.equal(headers['x-rule'], undefined)
})

test('upstreams are told how long a request may take', async () => {
  assert.equal((await seen('/')).headers['x-envoy-expected-rq-timeout-ms'], undefined)
  assert.equal((await seen('/timeout')).headers['x-envoy-expected-rq-timeout-ms'], '5000')
  assert.equal((await seen('/per-try')).headers['x-envoy-expected-rq-timeout-ms'], '2000')
  assert.equal((await seen('/long-try')).headers['x-envoy-expected-rq-timeout-ms'], '1000')
})

test('a gRPC deadline is the client’s, at most the rule’s, and passed on', async () => {
  const ask = (path: string, timeout?: string) =>
    seen(path, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc', ...(timeout === undefined ? {} : { 'grpc-timeout': timeout }) },
    })
  assert.equal((await ask('/timeout', '2S')).headers['grpc-timeout'], '2000m')
  assert.equal((await ask('/timeout', '1H')).headers['grpc-timeout'], '5000m')
  assert.equal((await ask('/timeout')).headers['grpc-timeout'], '5000m')
  assert.equal((await ask('/', '3S')).headers['grpc-timeout'], '3000m')
  assert.equal((await ask('/')).headers['grpc-timeout'], undefined)
})

test('a gRPC deadline ends a request that has no timeout of its own', async () => {
  const { status, headers } = await ask({
    port,
    path: '/slow',
    method: 'POST',
    headers: { 'content-type': 'application/grpc', 'grpc-timeout': '100m', 'x-delay': '3000' },
  })
  assert.deepEqual([status, headers['grpc-status'], headers['grpc-message']], [200, '14', 'upstream request timeout'])
})

test('what only the gateway may say is not taken from clients', async () => {
  const forged = [
    'x-envoy-internal',
    'x-envoy-external-address',
    'x-envoy-retry-on',
    'x-envoy-retry-grpc-on',
    'x-envoy-max-retries',
    'x-envoy-retriable-status-codes',
    'x-envoy-retriable-header-names',
    'x-envoy-upstream-alt-stat-name',
    'x-envoy-upstream-rq-timeout-ms',
    'x-envoy-upstream-rq-per-try-timeout-ms',
    'x-envoy-upstream-rq-timeout-alt-response',
    'x-envoy-expected-rq-timeout-ms',
    'x-envoy-force-trace',
    'x-envoy-ip-tags',
    'x-envoy-original-url',
    'x-envoy-hedge-on-per-try-timeout',
    'x-envoy-decorator-operation',
    'x-envoy-downstream-service-cluster',
    'x-envoy-downstream-service-node',
    'x-forwarded-client-cert',
    'x-request-id',
    'x-forwarded-proto',
  ]
  const { headers } = await seen('/', { headers: Object.fromEntries(forged.map((name) => [name, 'forged'])) })
  for (const name of forged) assert.notEqual(headers[name], 'forged', name)
  assert.equal(headers['x-envoy-external-address'], '127.0.0.1')
  assert.equal(headers['x-forwarded-proto'], 'http')
})

test('headers of the connection end at the gateway', async () => {
  const { text } = await raw(
    port,
    'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close, x-mine\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nX-Mine: 1\r\nTE: gzip, trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
  )
  const request = JSON.parse(text.slice(text.indexOf('{'))) as Seen
  for (const name of ['keep-alive', 'proxy-connection', 'x-mine', 'upgrade', 'http2-settings'])
    assert.equal(request.headers[name], undefined, name)
  assert.equal(request.headers.te, 'trailers')
})

for (const [what, values, expected] of [
  ['a whole URL stays', ['https://a.test/x?y'], 'https://a.test/x?y'],
  ['a relative one goes', ['/x'], undefined],
  ['one without a host goes', ['about:blank'], undefined],
  ['two go', ['https://a.test/', 'https://b.test/'], undefined],
] as const) {
  test(`referer: ${what}`, async () => {
    const { text } = await raw(
      port,
      `GET / HTTP/1.1\r\nHost: app.test\r\n${values.map((value) => `Referer: ${value}\r\n`).join('')}Connection: close\r\n\r\n`,
    )
    const request = JSON.parse(text.slice(text.indexOf('{'))) as Seen
    assert.equal(request.headers['referer'], expected)
  })
}

test('X-Forwarded-For: the peer is appended to all that came', async () => {
  const { text } = await raw(
    port,
    'GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nx-forwarded-for: 3.3.3.3\r\nConnection: close\r\n\r\n',
  )
  const request = JSON.parse(text.slice(text.indexOf('{'))) as Seen
  assert.deepEqual(lines(request, 'x-forwarded-for'), ['1.1.1.1, 2.2.2.2,3.3.3.3,192.0.2.1'])
})

for (const [hops, sent, client] of [
  [1, '1.1.1.1, 2.2.2.2', '2.2.2.2'],
  [2, '1.1.1.1, 2.2.2.2', '1.1.1.1'],
  [2, '2.2.2.2', '127.0.0.1'],
  [1, 'unknown', '127.0.0.1'],
  [1, '', '127.0.0.1'],
  [1, '2001:db8::1', '2001:db8::1'],
] as const) {
  test(`X-Forwarded-For: ${hops} trusted hops make ${client} of "${sent}"`, async () => {
    const trusting = await startObserved(YAML, { mesh: { numTrustedProxies: hops } })
    try {
      const { body } = await ask({
        port: trusting.port(),
        path: '/ops',
        headers: { ...(sent === '' ? {} : { 'x-forwarded-for': sent }), 'x-forwarded-proto': 'https' },
      })
      const { headers } = JSON.parse(body) as Seen
      assert.equal(headers['x-envoy-external-address'], client)
      assert.equal(headers['x-client'], client)
      assert.equal(headers['x-forwarded-proto'], 'https', 'a trusted proxy may say so')
      const line = await trusting.logged('/ops')
      const expected = client === '127.0.0.1' ? /^127\.0\.0\.1:[1-9]/ : /:0$/
      assert.match(String(line['downstream_remote_address']), expected)
    } finally {
      await trusting.stop()
    }
  })
}

test('a response loses what concerns its connection, and is the gateway’s', async () => {
  const { headers } = await ask({
    port,
    path: '/',
    headers: {
      'x-reply':
        'server: mine|keep-alive: timeout=9|proxy-connection: x|x-envoy-upstream-service-time: 7777|date: Thu, 01 Jan 1970 00:00:00 GMT',
    },
  })
  assert.equal(headers['server'], 'istio-envoy')
  assert.equal(headers['keep-alive'], undefined)
  assert.equal(headers['proxy-connection'], undefined)
  assert.equal(headers['date'], 'Thu, 01 Jan 1970 00:00:00 GMT', 'the upstream’s own date stays')
  assert.match(String(headers['x-envoy-upstream-service-time']), /^\d{1,3}$/)
  assert.equal(headers['x-request-id'], undefined)
})

for (const [what, mesh, server, serviceTime] of [
  ['another server name', { server: { disabled: false, value: 'edge' } }, 'edge', true],
  ['no server name of its own', { server: { disabled: true, value: '' } }, 'upstream', true],
  ['no debug headers', { envoyDebugHeaders: { disabled: true } }, 'istio-envoy', false],
] as const) {
  test(`proxyHeaders: ${what}`, async () => {
    const defaults = defaultCompileOptions().mesh.proxyHeaders
    const other = await startObserved(YAML, { mesh: { proxyHeaders: { ...defaults, ...mesh } } })
    try {
      const { headers, body } = await ask({
        port: other.port(),
        path: '/timeout',
        headers: { 'x-reply': 'server: upstream' },
      })
      const request = JSON.parse(body) as Seen
      assert.equal(headers['server'], server)
      assert.equal('x-envoy-upstream-service-time' in headers, serviceTime)
      assert.equal('x-envoy-expected-rq-timeout-ms' in request.headers, serviceTime)
    } finally {
      await other.stop()
    }
  })
}

const withHeaders = async (proxyHeaders: object, check: (port: number) => Promise<void>, more: object = {}) => {
  const defaults = defaultCompileOptions().mesh.proxyHeaders
  const other = await startObserved(YAML, { mesh: { proxyHeaders: { ...defaults, ...proxyHeaders }, ...more } })
  try {
    await check(other.port())
  } finally {
    await other.stop()
  }
}
const seenAt = async (at: number, path: string, more: Partial<Parameters<typeof ask>[0]> = {}): Promise<Seen> =>
  JSON.parse((await ask({ port: at, path, ...more })).body) as Seen

test('proxyHeaders: upstreams are not told the number of the try', async () => {
  await withHeaders({ attemptCount: { disabled: true } }, async (at) => {
    const { headers } = await seenAt(at, '/', { headers: { 'x-envoy-attempt-count': '7' } })
    assert.equal(headers['x-envoy-attempt-count'], undefined)
  })
})

test('proxyHeaders: without request ids none is made, and a client’s own stays', async () => {
  await withHeaders({ requestId: { disabled: true } }, async (at) => {
    assert.equal((await seenAt(at, '/')).headers['x-request-id'], undefined)
    assert.equal((await seenAt(at, '/', { headers: { 'x-request-id': 'mine' } })).headers['x-request-id'], 'mine')
  })
})

test('proxyHeaders: x-forwarded-host gets the Host that a rule replaces, and no other', async () => {
  const forwardedHost = async (at: number, path: string, before?: string) => {
    const headers = before === undefined ? {} : { 'x-forwarded-host': before }
    return (await seenAt(at, path, { headers, host: 'app.test:80' })).headers['x-forwarded-host']
  }
  await withHeaders({ xForwardedHost: { enabled: true } }, async (at) => {
    assert.equal(await forwardedHost(at, '/'), undefined)
    assert.equal(await forwardedHost(at, '/host/rule'), 'app.test:80')
    assert.equal(await forwardedHost(at, '/host/rule', 'a.test'), 'a.test,app.test:80')
    assert.equal(await forwardedHost(at, '/host/rule', 'a.test,app.test:80'), 'a.test,app.test:80')
  })
  assert.equal(await forwardedHost(port, '/host/rule'), undefined)
})

test('proxyHeaders: x-forwarded-port is the local port; a trusted proxy may say another', async () => {
  const headers = { 'x-forwarded-port': '9' }
  assert.equal((await seen('/', { headers })).headers['x-forwarded-port'], '9')
  await withHeaders({ xForwardedPort: { enabled: true } }, async (at) => {
    assert.equal((await seenAt(at, '/', { headers })).headers['x-forwarded-port'], String(at))
  })
  const trusting = { numTrustedProxies: 1 }
  const check = async (at: number) => {
    assert.equal((await seenAt(at, '/', { headers })).headers['x-forwarded-port'], '9')
    assert.equal((await seenAt(at, '/')).headers['x-forwarded-port'], String(at))
  }
  await withHeaders({ xForwardedPort: { enabled: true } }, check, trusting)
})

test('proxyHeaders: names of headers pass as they were written, in both directions', async () => {
  const request =
    'GET / HTTP/1.1\r\nHost: app.test\r\nX-MixedCase: 1\r\nX-Reply: X-UpStream: 2\r\nConnection: close\r\n\r\n'
  await withHeaders({ preserveHttp1HeaderCase: true }, async (at) => {
    const { text } = await raw(at, request)
    assert.match(text, /\r\nX-UpStream: 2\r\n/)
    assert.match(text, /\r\nserver: istio-envoy\r\n/)
    const { raw: names } = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Seen
    assert.ok(
      names.includes('Host') && names.includes('X-MixedCase') && names.includes('x-forwarded-for'),
      names.join(),
    )
  })
  assert.match((await raw(port, request)).text, /\r\nx-upstream: 2\r\n/)
})

test('connection: close is answered with it, and the connection ends', async () => {
  for (const path of ['/', '/unavailable', '/nowhere']) {
    const { text, closed } = await raw(port, `GET ${path} HTTP/1.1\r\nHost: app.test\r\nConnection: Close\r\n\r\n`)
    assert.ok(headerLines(text).includes('connection: close'), text)
    assert.equal(closed, true)
  }
})

test('a connection stays open, and nothing is said about it', async () => {
  const { text, closed } = await raw(port, 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n', 150)
  assert.ok(!/^(connection|keep-alive):/im.test(text.slice(0, text.indexOf('\r\n\r\n'))), text)
  assert.equal(closed, false)
})

test('HTTP/1.0 is told to upgrade, unless it is allowed; then connections are kept on request alone', async () => {
  const refused = await raw(port, 'GET / HTTP/1.0\r\nHost: app.test\r\n\r\n')
  assert.match(refused.text, /^HTTP\/1.1 426 /)
  assert.match(refused.text, /\r\n\r\n$/)
  const allowing = await startObserved(YAML, { mesh: { http10: true } })
  try {
    const once = await raw(allowing.port(), 'GET /once HTTP/1.0\r\nHost: app.test\r\n\r\n')
    assert.match(once.text, /^HTTP\/1.\d 200 /)
    assert.equal(once.closed, true)
    assert.ok(!/transfer-encoding/i.test(once.text.slice(0, once.text.indexOf('\r\n\r\n'))))
    const kept = await raw(allowing.port(), 'GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n', 200)
    assert.ok(headerLines(kept.text).includes('connection: keep-alive'), kept.text)
    assert.equal(kept.closed, false)
    assert.equal((await allowing.logged('/once'))['protocol'], 'HTTP/1.0')
  } finally {
    await allowing.stop()
  }
})

for (const [what, head, status] of [
  ['no Host', 'GET / HTTP/1.1', 400],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test', 400],
  ['a Host with user information', 'GET / HTTP/1.1\r\nHost: u@app.test', 400],
  ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: app.test', 404],
  ['CONNECT', 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80', 404],
  ['a Host with a trailing dot', 'GET / HTTP/1.1\r\nHost: app.test.', 404],
  ['a Host in capitals with a port', 'GET / HTTP/1.1\r\nHost: APP.TEST:8080', 200],
  ['the absolute form, which beats Host', 'GET http://app.test:81/abs?q HTTP/1.1\r\nHost: other.test', 200],
  ['the absolute form without a path', 'GET http://app.test HTTP/1.1\r\nHost: other.test', 200],
  ['an upgrade that is not offered', 'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: foo', 403],
  [
    'an upgrade to h2c, which is ignored',
    'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: h2c',
    200,
  ],
  ['a method that nobody knows', 'GET / HTTP/1.1\r\nHost: app.test\r\nX-Method: x', 200],
] as const) {
  test(`request line and Host: ${what} is ${status}`, async () => {
    const { text } = await raw(port, `${head}\r\n\r\n`, 200)
    assert.match(text, new RegExp(`^HTTP/1.1 ${status} `))
    if (status !== 200) assert.match(text, /\r\n\r\n$/, 'without a body')
  })
}

test('the absolute form gives Host and path', async () => {
  const { text } = await raw(
    port,
    'GET http://app.test:81/abs?q HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n',
  )
  const request = JSON.parse(text.slice(text.indexOf('{'))) as Seen
  assert.deepEqual([request.headers.host, request.url], ['app.test:81', '/abs?q'])
})

test('a fragment is cut off', async () => {
  const { text } = await raw(port, 'GET /frag?q=1#x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
  const request = JSON.parse(text.slice(text.indexOf('{'))) as Seen
  assert.equal(request.url, '/frag?q=1')
})

test('requests that are sent without waiting are answered in order, and none behind one that ends the connection', async () => {
  const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: app.test\r\n${more}\r\n`
  const before = echo.seen.length
  const slow = await raw(port, get('/slow', 'X-Delay: 60\r\n') + get('/fast') + get('/unavailable') + get('/last'), 400)
  const order = [...slow.text.matchAll(/"url":"([^"]+)"|no healthy upstream/g)].map(([all, url]) => url ?? all)
  assert.deepEqual(order, ['/slow', '/fast', 'no healthy upstream', '/last'])
  assert.equal(slow.closed, false)
  const cut = await raw(
    port,
    `POST /unavailable HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello${get('/never')}`,
  )
  assert.equal(cut.text.split('HTTP/1.1 ').length, 2)
  assert.equal(cut.closed, true)
  assert.deepEqual(
    echo.seen.slice(before).map(({ url }) => url),
    ['/slow', '/fast', '/last'],
  )
})
