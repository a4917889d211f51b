/** What the access log and the metrics tell of requests that went well, and of every way in which they did not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { ask, eventually, GATEWAY, raw, routes, service } from '../support/live.ts'
import { closedPort, type LogLine, ruleList, startEcho, startObserved, startRaw } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())
const stalling = await startRaw((socket) => {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
})
after(() => stalling.stop())

const KUBERNETES = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { ports: [{ name: http, port: 80, targetPort: 8080 }], selector: { app: reviews } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: reviews-1, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ name: http, port: ${echo.port} }]
endpoints:
- { addresses: [127.0.0.1], conditions: { ready: true } }
- { addresses: [127.0.0.2], conditions: { ready: false } }
---
`
const RULES = [
  `{ name: direct, match: [{ name: here, uri: { prefix: /direct } }], directResponse: { status: 200, body: { string: "12345" } } }`,
  `{ match: [{ uri: { prefix: /redirect } }], redirect: { uri: /x } }`,
  `{ match: [{ uri: { prefix: /unknown } }], route: [{ destination: { host: unknown.test } }] }`,
  `{ match: [{ uri: { prefix: /empty } }], route: [{ destination: { host: empty.test } }] }`,
  `{ match: [{ uri: { prefix: /reviews } }], route: [{ destination: { host: reviews.shop.svc.cluster.local } }] }`,
  `{ match: [{ uri: { prefix: /refused } }], route: [{ destination: { host: refused.test } }], retries: { attempts: 0 } }`,
  `{ match: [{ uri: { prefix: /stall } }], route: [{ destination: { host: stalling.test } }] }`,
  `{ match: [{ uri: { prefix: /slow } }], route: [{ destination: { host: echo.test } }], timeout: 100ms }`,
  `{ match: [{ uri: { prefix: /aborted } }], route: [{ destination: { host: echo.test } }], fault: { abort: { httpStatus: 500, percentage: { value: 100 } } } }`,
  `{ match: [{ uri: { prefix: /delayed } }], route: [{ destination: { host: echo.test } }], fault: { delay: { fixedDelay: 5s, percentage: { value: 100 } } } }`,
  `{ match: [{ uri: { prefix: /cors } }], route: [{ destination: { host: echo.test } }], corsPolicy: { allowOrigins: [{ exact: "*" }] } }`,
  `{ name: main, match: [{ uri: { prefix: /main } }], rewrite: { uri: /rewritten, authority: inner.test }, route: [{ destination: { host: echo.test } }] }`,
]
const YAML =
  GATEWAY +
  service('echo', echo.port) +
  service('empty') +
  service('refused', await closedPort()) +
  service('stalling', stalling.port) +
  KUBERNETES +
  routes(ruleList(RULES))
const gateway = await startObserved(YAML)
after(() => gateway.stop())
const port = gateway.port()

const PLAIN = {
  upstream_host: null,
  upstream_cluster: null,
  upstream_local_address: null,
  upstream_service_time: null,
  upstream_transport_failure_reason: null,
  connection_termination_details: null,
  requested_server_name: null,
}

const check = (line: LogLine, expected: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(expected)) {
    if (value instanceof RegExp) assert.match(String(line[name]), value, name)
    else assert.equal(line[name], value, name)
  }
}

for (const [path, options, expected] of [
  [
    '/direct?q=1',
    {},
    {
      ...PLAIN,
      response_code: 200,
      response_flags: '-',
      response_code_details: 'direct_response',
      bytes_sent: 5,
      route_name: 'direct.here',
    },
  ],
  ['/direct/head', { method: 'HEAD' }, { method: 'HEAD', response_code: 200, bytes_sent: 0 }],
  [
    '/redirect',
    {},
    {
      ...PLAIN,
      response_code: 301,
      response_flags: '-',
      response_code_details: 'direct_response',
      bytes_sent: 0,
      route_name: null,
    },
  ],
  [
    '/nowhere',
    {},
    { ...PLAIN, response_code: 404, response_flags: 'NR', response_code_details: 'route_not_found', route_name: null },
  ],
  [
    '/nobody',
    { host: 'nobody.test' },
    { ...PLAIN, response_code: 404, response_flags: 'NR', authority: 'nobody.test' },
  ],
  ['/unknown', {}, { ...PLAIN, response_code: 503, response_flags: 'NC', response_code_details: 'cluster_not_found' }],
  [
    '/empty',
    {},
    {
      ...PLAIN,
      upstream_cluster: 'outbound|80||empty.test',
      response_code: 503,
      response_flags: 'UH',
      response_code_details: 'no_healthy_upstream',
      bytes_sent: 19,
    },
  ],
  [
    '/aborted',
    {},
    {
      ...PLAIN,
      upstream_cluster: 'outbound|80||echo.test',
      response_code: 500,
      response_flags: 'FI',
      response_code_details: 'fault_filter_abort',
      bytes_sent: 18,
    },
  ],
  [
    '/cors',
    { method: 'OPTIONS', headers: { origin: 'https://a.test', 'access-control-request-method': 'GET' } },
    {
      ...PLAIN,
      upstream_cluster: 'outbound|80||echo.test',
      response_code: 200,
      response_flags: '-',
      response_code_details: 'cors_response',
    },
  ],
  [
    '/refused',
    {},
    {
      ...PLAIN,
      upstream_cluster: 'outbound|80||refused.test',
      upstream_host: /^127\.0\.0\.1:\d+$/,
      upstream_transport_failure_reason: 'delayed_connect_error:_Connection_refused',
      response_code: 503,
      response_flags: 'UF',
    },
  ],
  [
    '/slow',
    { headers: { 'x-delay': '1000' } },
    {
      upstream_cluster: 'outbound|80||echo.test',
      upstream_host: `127.0.0.1:${echo.port}`,
      upstream_local_address: /^127\.0\.0\.1:\d+$/,
      upstream_service_time: null,
      response_code: 504,
      response_flags: 'UT',
      response_code_details: 'response_timeout',
      bytes_sent: 24,
    },
  ],
  [
    '/main?q=1',
    { method: 'POST', body: 'hello', headers: { 'user-agent': 'ua', 'x-forwarded-for': '203.0.113.9' } },
    {
      method: 'POST',
      protocol: 'HTTP/1.1',
      authority: 'inner.test',
      route_name: 'main',
      bytes_received: 5,
      user_agent: 'ua',
      x_forwarded_for: '203.0.113.9,192.0.2.1',
      upstream_cluster: 'outbound|80||echo.test',
      upstream_local_address: /^127\.0\.0\.1:\d+$/,
      upstream_service_time: /^\d+$/,
      downstream_local_address: `127.0.0.1:${port}`,
      downstream_remote_address: /^127\.0\.0\.1:\d+$/,
      request_id: /^[0-9a-f-]{36}$/,
      response_code_details: 'via_upstream',
    },
  ],
] as const) {
  test(`log: ${path}`, async () => {
    await ask({ port, path, ...options })
    check(await gateway.logged(path), expected)
  })
}

test('log: what only the listener saw has no headers of an edge', async () => {
  await raw(port, 'GET /no-host HTTP/1.1\r\nX-A: b\r\n\r\n')
  check(await gateway.logged('/no-host'), {
    ...PLAIN,
    response_code: 400,
    response_flags: '-',
    response_code_details: 'missing_host_header',
    authority: null,
    request_id: null,
    x_forwarded_for: null,
  })
  await raw(port, 'GET /old HTTP/1.0\r\nHost: app.test\r\n\r\n')
  check(await gateway.logged('/old'), {
    response_code: 426,
    response_flags: '-',
    response_code_details: 'low_version',
    protocol: 'HTTP/1.0',
  })
  await raw(port, 'OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n', 200)
  check(await gateway.logged('*'), { response_code: 404, response_code_details: 'absolute_path_rejected' })
})

const withDetails = async (details: string, nth = 0): Promise<LogLine> => {
  let found: LogLine | undefined
  await eventually(() => {
    found = gateway
      .lines()
      .map((line) => JSON.parse(line) as LogLine)
      .filter((line) => line['response_code_details'] === details)[nth]
    assert.ok(found, gateway.lines().join('\n'))
  })
  return found!
}

test('log: what is no HTTP is a line, and counted', async () => {
  const before = countOf({ response_code: '400', response_flags: 'DPE' })
  const { text, closed } = await raw(port, 'GET / HTTP/1.1\r\nHost: app.test\r\nbad header\r\n\r\n')
  assert.match(text, /^HTTP\/1.1 400 Bad Request\r\n/)
  assert.match(text, /\r\n\r\nBad Request$/)
  assert.match(text, /\r\nserver: istio-envoy\r\n/)
  assert.equal(closed, true)
  check(await withDetails('http1.codec_error'), {
    ...PLAIN,
    response_code: 400,
    response_flags: 'DPE',
    method: null,
    path: null,
    protocol: 'HTTP/1.1',
    bytes_sent: 11,
    downstream_local_address: `127.0.0.1:${port}`,
    downstream_remote_address: /^127\.0\.0\.1:\d+$/,
  })
  assert.equal(countOf({ response_code: '400', response_flags: 'DPE' }), before + 1)
})

test('log: a head that is too large is 431 with DPE', async () => {
  const { text } = await raw(port, `GET / HTTP/1.1\r\nHost: app.test\r\nX-Large: ${'v'.repeat(70_000)}\r\n\r\n`)
  assert.match(text, /^HTTP\/1.1 431 /)
  check(await withDetails('http1.headers_too_large'), { response_code: 431, response_flags: 'DPE' })
})

test('log: a body that is none is the client’s error, and ends at the upstream', async () => {
  const { text, closed } = await raw(
    port,
    'POST /main/bad-body HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n',
  )
  assert.match(text, /^HTTP\/1.1 400 Bad Request\r\n/)
  assert.equal(closed, true)
  check(await gateway.logged('/main/bad-body'), {
    response_code: 400,
    response_flags: 'DPE',
    response_code_details: 'http1.codec_error',
    bytes_received: 3,
  })
})

test('log: a good request before a bad one on its connection is answered first', async () => {
  const { text } = await raw(port, 'GET /main/first HTTP/1.1\r\nHost: app.test\r\nX-Delay: 100\r\n\r\nNONSENSE\r\n\r\n')
  assert.match(text, /^HTTP\/1.1 200 OK\r\n/)
  assert.match(text, /HTTP\/1.1 400 Bad Request\r\n/)
  check(await gateway.logged('/main/first'), { response_code: 200, response_flags: '-' })
})

test('log: several good requests before a bad one are answered, a body that breaks off behind them is not', async () => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: app.test\r\nX-Delay: 30\r\n\r\n`
  const bad = await raw(port, `${get('/main/1')}${get('/main/2')}${get('/main/3')}NONSENSE\r\n\r\n`)
  assert.deepEqual(
    [...bad.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status),
    ['200', '200', '200', '400'],
  )
  const broken = await raw(
    port,
    `${get('/main/4')}POST /main/5 HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  )
  assert.deepEqual(
    [...broken.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status),
    ['200'],
  )
  assert.equal(broken.closed, true)
  assert.equal((await ask({ port, path: '/direct' })).status, 200)
})

test('log: CONNECT has no route', async () => {
  const before = countOf({ response_code: '404', response_flags: 'NR' })
  await raw(port, 'CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n')
  await eventually(() => {
    const line = gateway
      .lines()
      .map((text) => JSON.parse(text) as LogLine)
      .find(({ method }) => method === 'CONNECT')
    check(line ?? {}, { authority: 'app.test:443', path: null, response_code: 404, response_flags: 'NR' })
  })
  assert.equal(countOf({ response_code: '404', response_flags: 'NR' }), before + 1)
})

const leave = async (
  path: string,
  head = `GET ${path} HTTP/1.1\r\nHost: app.test\r\nX-Delay: 5000\r\n\r\n`,
  readFirst = false,
) => {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(head)
  if (readFirst) await once(socket, 'data')
  else await new Promise((resolve) => setTimeout(resolve, 60))
  socket.destroy()
  return gateway.logged(path)
}

test('log: a client that leaves is DC, with the status that it was sent', async () => {
  check(await leave('/main/leaves'), {
    response_code: 0,
    response_flags: 'DC',
    response_code_details: 'downstream_remote_disconnect',
    upstream_host: `127.0.0.1:${echo.port}`,
    upstream_cluster: 'outbound|80||echo.test',
    downstream_local_address: `127.0.0.1:${port}`,
    bytes_sent: 0,
  })
  check(await leave('/stall/leaves', 'GET /stall/leaves HTTP/1.1\r\nHost: app.test\r\n\r\n', true), {
    response_code: 200,
    response_flags: 'DC',
    response_code_details: 'downstream_remote_disconnect',
    bytes_sent: 4,
  })
  check(await leave('/delayed/leaves'), {
    response_code: 0,
    response_flags: 'DI,DC',
    upstream_host: null,
    upstream_cluster: 'outbound|80||echo.test',
  })
  check(await leave('/main/body', 'POST /main/body HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhalf'), {
    response_code: 0,
    response_flags: 'DC',
    bytes_received: 4,
  })
})

function countOf(labels: Readonly<Record<string, string>>): number {
  return gateway
    .counted()
    .filter((series) =>
      Object.entries(labels).every(([name, value]) => series.labels[name as 'response_code'] === value),
    )
    .reduce((total, { requests }) => total + requests, 0)
}

for (const [what, path, options, labels] of [
  [
    'an external service',
    '/main',
    {},
    {
      response_code: '200',
      response_flags: '-',
      destination_service: 'echo.test',
      destination_service_name: 'echo.test',
      destination_service_namespace: 'default',
      destination_workload: 'unknown',
      destination_principal: 'unknown',
      destination_canonical_revision: 'latest',
      request_protocol: 'http',
      grpc_response_status: '',
      connection_security_policy: 'unknown',
    },
  ],
  [
    'a Kubernetes service',
    '/reviews',
    {},
    {
      response_code: '200',
      destination_service: 'reviews.shop.svc.cluster.local',
      destination_service_name: 'reviews',
      destination_service_namespace: 'shop',
    },
  ],
  [
    'no route',
    '/nowhere',
    {},
    {
      response_code: '404',
      response_flags: 'NR',
      destination_service: 'unknown',
      destination_service_name: 'unknown',
      destination_service_namespace: 'unknown',
    },
  ],
  ['a redirect', '/redirect', {}, { response_code: '301', response_flags: '-', destination_service: 'unknown' }],
  ['no cluster', '/unknown', {}, { response_code: '503', response_flags: 'NC', destination_service: 'unknown' }],
  ['no endpoint', '/empty', {}, { response_code: '503', response_flags: 'UH', destination_service: 'empty.test' }],
  [
    'an injected fault',
    '/aborted',
    {},
    { response_code: '500', response_flags: 'FI', destination_service: 'echo.test' },
  ],
  [
    'a gRPC call that the gateway answers',
    '/empty/grpc',
    { method: 'POST', headers: { 'content-type': 'application/grpc' }, body: 'x' },
    {
      response_code: '200',
      request_protocol: 'grpc',
      grpc_response_status: '14',
      response_flags: 'UH',
      destination_service: 'empty.test',
    },
  ],
  [
    'a gRPC call that an upstream answers',
    '/main/grpc',
    { method: 'POST', headers: { 'content-type': 'application/grpc', 'x-reply': 'grpc-status: 5' }, body: 'x' },
    { response_code: '200', request_protocol: 'grpc', grpc_response_status: '5', response_flags: '-' },
  ],
] as const) {
  test(`metrics: ${what}`, async () => {
    const before = countOf(labels)
    await ask({ port, path, ...options })
    await eventually(() => assert.equal(countOf(labels), before + 1, JSON.stringify(gateway.counted(), null, 1)))
  })
}

test('metrics: a client that leaves is counted with the code 0', async () => {
  const labels = { response_code: '0', response_flags: 'DC', destination_service: 'echo.test' }
  const before = countOf(labels)
  const req = request({
    port,
    host: '127.0.0.1',
    path: '/main/gone',
    headers: { host: 'app.test', 'x-delay': '5000' },
    agent: false,
  })
  req.on('error', () => {})
  req.end()
  await new Promise((resolve) => setTimeout(resolve, 60))
  req.destroy()
  await eventually(() => assert.equal(countOf(labels), before + 1))
})

for (const [format, pattern] of [
  [
    '%REQ(:METHOD)% %REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%',
    'GET /rewritten\\?q=1 /main\\?q=1 inner.test http',
  ],
  ['"%REQ(X-NOT-THERE)%" %REQ(X-NOT-THERE?USER-AGENT):2% %RESP(X-UP)% %RESP(X-NOT-THERE)%', '"-" ag here -'],
  [
    '%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%',
    'HTTP/1.1 200 via_upstream - -',
  ],
  [
    '%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%',
    '\\d+ 0 \\d+ \\d+ \\d+',
  ],
  [
    '%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)% %COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)% %COMMON_DURATION(DS_TX_BEG:DS_TX_END:ns)%',
    '\\d{3,} \\d+ \\d+',
  ],
  [
    '%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_REMOTE_PORT% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_PROTOCOL%',
    `127.0.0.1:${echo.port} outbound\\|80\\|\\|echo.test outbound\\|80\\|\\|echo.test ${echo.port} 1 HTTP/1.1`,
  ],
  [
    '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%',
    '127.0.0.1 127.0.0.1 127.0.0.1:\\d+',
  ],
  [
    '%START_TIME(%Y)% %START_TIME(%s)% %ROUTE_NAME% %QUERY_PARAM(q)% %PATH(NQ:PATH)% %REQ_WITHOUT_QUERY(:PATH)%',
    '\\d{4} \\d{10} main 1 /rewritten /rewritten',
  ],
  ['%BYTES_RECEIVED% %BYTES_SENT% 100%% %GRPC_STATUS% %REQUESTED_SERVER_NAME% %TRAILER(X)%', '0 \\d+ 100% - - -'],
] as const) {
  test(`log: the format ${format}`, async () => {
    const other = await startObserved(YAML, { mesh: { accessLogEncoding: 'TEXT', accessLogFormat: `${format}\n` } })
    try {
      await ask({
        port: other.port(),
        path: '/main?q=1',
        headers: { 'user-agent': 'agent', 'x-reply': 'x-up: here', 'x-delay': '5' },
      })
      await eventually(() => assert.match(other.lines().join('\n'), new RegExp(`^${pattern}$`)))
    } finally {
      await other.stop()
    }
  })
}

test('log: a JSON format keeps its shape, numbers are numbers', async () => {
  const format = JSON.stringify({
    code: '%RESPONSE_CODE%',
    text: 'code %RESPONSE_CODE%',
    none: '%REQ(X-NOT-THERE)%',
    nested: { sent: '%BYTES_SENT%', list: ['%REQ(:PATH)%', 1, true, null] },
  })
  const other = await startObserved(YAML, { mesh: { accessLogEncoding: 'JSON', accessLogFormat: format } })
  try {
    await ask({ port: other.port(), path: '/direct' })
    await eventually(() => {
      assert.deepEqual(
        other.lines().map((line) => JSON.parse(line)),
        [{ code: 200, text: 'code 200', none: null, nested: { sent: 5, list: ['/direct', 1, true, null] } }],
      )
    })
  } finally {
    await other.stop()
  }
})
