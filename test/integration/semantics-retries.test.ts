/** Retries, timeouts and mirrors, told from what upstreams saw and clients got. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, test } from 'node:test'
import { type Ask, ask, eventually, GATEWAY, raw, routes, service } from '../support/live.ts'
import { closedPort, ruleList, startEcho, startObserved, startRaw } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())
const shadow = await startEcho()
after(() => shadow.stop())

/** Does to a connection what the path says. */
const moody = await startRaw((socket, head) => {
  const path = / (\S+) /.exec(head)?.[1] ?? ''
  if (path.includes('/reset')) socket.resetAndDestroy()
  else if (path.includes('/close')) socket.end()
  else if (path.includes('/garbage')) socket.write('SSH-2.0-OpenSSH\r\n\r\n')
  else if (path.includes('/half-head')) socket.end('HTTP/1.1 200 OK\r\nContent-Le')
  else if (path.includes('/both-framings'))
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n')
  else if (path.includes('/cut')) {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    setTimeout(() => socket.destroy(), 20)
  } else if (path.includes('/stall')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
  else if (path.includes('/early'))
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Envoy-Upstream-Service-Time: 5\r\n\r\nok')
  else if (path.includes('/hints'))
    socket.end(
      'HTTP/1.1 103 Early Hints\r\nLink: nonsense\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    )
})
after(() => moody.stop())
const refused = await closedPort()

const retries = (match: string, to: string, policy: string, more = ''): string =>
  `{ match: [{ uri: { prefix: ${match} } }], route: [{ destination: { host: ${to}.test } }], retries: { backoff: 1ms, ${policy} }${more} }`

const gateway = await startObserved(
  GATEWAY +
    service('echo', echo.port) +
    service('shadow', shadow.port) +
    service('moody', moody.port) +
    service('refused', refused) +
    service('mixed', refused, echo.port) +
    `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: mixed }
spec: { host: mixed.test, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
---
` +
    routes(
      ruleList([
        retries('/codes', 'echo', 'attempts: 2, retryOn: "302,418,retriable-4xx"'),
        retries('/5xx', 'echo', 'attempts: 2, retryOn: "5xx"'),
        retries('/gateway-error', 'echo', 'attempts: 1, retryOn: "gateway-error"'),
        retries('/ratelimited', 'echo', 'attempts: 1, retryOn: "5xx,envoy-ratelimited"'),
        retries('/grpc', 'echo', 'attempts: 2, retryOn: "unavailable,cancelled"'),
        retries('/off', 'refused', 'attempts: 0'),
        retries('/connect', 'refused', 'attempts: 2, retryOn: "connect-failure"'),
        retries('/before', 'refused', 'attempts: 1, retryOn: "reset-before-request"'),
        retries('/no-connect', 'refused', 'attempts: 2, retryOn: "retriable-4xx"'),
        retries('/mixed', 'mixed', 'attempts: 1, retryOn: "connect-failure"'),
        retries('/m/reset', 'moody', 'attempts: 1, retryOn: "reset"'),
        retries('/m/close', 'moody', 'attempts: 1, retryOn: "connect-failure"'),
        retries('/m/once', 'moody', 'attempts: 0'),
        retries('/m/garbage', 'moody', 'attempts: 0'),
        retries('/m/half-head', 'moody', 'attempts: 0'),
        retries('/m/both-framings', 'moody', 'attempts: 0'),
        retries('/m/stall', 'moody', 'attempts: 0', ', timeout: 150ms'),
        retries('/per-try', 'echo', 'attempts: 1, perTryTimeout: 80ms, retryOn: "5xx"'),
        retries('/once-per-try', 'echo', 'attempts: 1, perTryTimeout: 80ms, retryOn: "connect-failure"'),
        retries('/total', 'echo', 'attempts: 9, perTryTimeout: 80ms, retryOn: "5xx"', ', timeout: 200ms'),
        `{ match: [{ uri: { prefix: /mirror/off } }], route: [{ destination: { host: echo.test } }], mirror: { host: shadow.test }, mirrorPercentage: { value: 0 } }`,
        `{ match: [{ uri: { prefix: /mirror/unset } }], route: [{ destination: { host: echo.test } }], mirror: { host: shadow.test }, mirrorPercentage: {} }`,
        `{ match: [{ uri: { prefix: /mirror/twice } }], route: [{ destination: { host: echo.test } }],
           mirrors: [{ destination: { host: shadow.test } }, { destination: { host: shadow.test }, percentage: { value: 100 } }, { destination: { host: shadow.test }, percentage: { value: 0 } }] }`,
        `{ match: [{ uri: { prefix: /mirror/unknown } }], route: [{ destination: { host: unknown.test } }], mirror: { host: shadow.test } }`,
        `{ match: [{ uri: { prefix: /mirror/refused } }], route: [{ destination: { host: refused.test } }], mirror: { host: shadow.test }, retries: { attempts: 0 } }`,
        `{ match: [{ uri: { prefix: /mirror } }], route: [{ destination: { host: echo.test } }], mirror: { host: shadow.test },
           rewrite: { uri: /copied, authority: inner.test }, headers: { request: { set: { x-set: "1" } } } }`,
        `{ match: [{ uri: { prefix: /m/ } }], route: [{ destination: { host: moody.test } }] }`,
        `{ route: [{ destination: { host: echo.test } }] }`,
      ]),
    ),
)
after(() => gateway.stop())
const port = gateway.port()

const RESET = 'upstream connect error or disconnect/reset before headers. reset reason: '
const RETRIED = 'upstream connect error or disconnect/reset before headers. retried and the latest reset reason: '

interface Case {
  readonly name: string
  readonly path: string
  readonly ask?: Omit<Ask, 'port' | 'path'>
  readonly status: number
  readonly body?: string
  readonly flags: string
  readonly details: string | RegExp
  /** Tries that the echo upstream saw. */
  readonly tries?: number
}

const headers = (values: Record<string, string>) => ({ headers: values })
let key = 0
const failing = (times: number, more: Record<string, string> = {}) =>
  headers({ 'x-fail': String(times), 'x-key': String(++key), ...more })

const CASES: readonly Case[] = [
  {
    name: 'a listed status is retried',
    path: '/codes/1',
    ask: headers({ 'x-status': '418' }),
    status: 418,
    flags: 'URX',
    details: 'via_upstream',
    tries: 3,
  },
  {
    name: 'a listed redirect is retried',
    path: '/codes/2',
    ask: headers({ 'x-status': '302' }),
    status: 302,
    flags: 'URX',
    details: 'via_upstream',
    tries: 3,
  },
  {
    name: 'retriable-4xx retries 409',
    path: '/codes/3',
    ask: headers({ 'x-status': '409' }),
    status: 409,
    flags: 'URX',
    details: 'via_upstream',
    tries: 3,
  },
  {
    name: 'a status that is not listed is passed on',
    path: '/codes/4',
    ask: headers({ 'x-status': '503' }),
    status: 503,
    flags: '-',
    details: 'via_upstream',
    tries: 1,
  },
  {
    name: 'a try that succeeds leaves no flag',
    path: '/5xx/1',
    ask: failing(2),
    status: 200,
    flags: '-',
    details: 'via_upstream',
    tries: 3,
  },
  {
    name: 'a body is sent again',
    path: '/5xx/2',
    ask: { method: 'POST', body: 'x'.repeat(100_000), ...failing(1) },
    status: 200,
    flags: '-',
    details: 'via_upstream',
    tries: 2,
  },
  {
    name: 'a body beyond the buffer is not, and there is no flag',
    path: '/5xx/3',
    ask: { method: 'POST', body: 'x'.repeat(1_100_000), ...failing(1) },
    status: 503,
    flags: '-',
    details: 'via_upstream',
    tries: 1,
  },
  {
    name: 'gateway-error leaves 500 alone',
    path: '/gateway-error/1',
    ask: headers({ 'x-status': '500' }),
    status: 500,
    flags: '-',
    details: 'via_upstream',
    tries: 1,
  },
  {
    name: 'x-envoy-ratelimited forbids a retry',
    path: '/5xx/4',
    ask: headers({ 'x-status': '503', 'x-reply': 'x-envoy-ratelimited: true' }),
    status: 503,
    flags: '-',
    details: 'via_upstream',
    tries: 1,
  },
  {
    name: 'envoy-ratelimited allows it',
    path: '/ratelimited/1',
    ask: headers({ 'x-status': '429', 'x-reply': 'x-envoy-ratelimited: true' }),
    status: 429,
    flags: 'URX',
    details: 'via_upstream',
    tries: 2,
  },
  {
    name: 'a gRPC status in the headers is retried',
    path: '/grpc/1',
    ask: headers({ 'x-reply': 'grpc-status: 14' }),
    status: 200,
    flags: 'URX',
    details: 'via_upstream',
    tries: 3,
  },
  {
    name: 'another gRPC status is not',
    path: '/grpc/2',
    ask: headers({ 'x-reply': 'grpc-status: 5' }),
    status: 200,
    flags: '-',
    details: 'via_upstream',
    tries: 1,
  },
  {
    name: 'attempts 0 is one try',
    path: '/off',
    status: 503,
    body: `${RESET}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    flags: 'UF',
    details:
      'upstream_reset_before_response_started{remote_connection_failure,delayed_connect_error:_Connection_refused}',
  },
  {
    name: 'a refused connection is retried',
    path: '/connect',
    status: 503,
    body: `${RETRIED}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    flags: 'UF,URX',
    details: /^upstream_reset_before_response_started\{remote_connection_failure,/,
  },
  {
    name: 'reset-before-request retries a refused connection',
    path: '/before',
    status: 503,
    body: `${RETRIED}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    flags: 'UF,URX',
    details: /remote_connection_failure/,
  },
  {
    name: 'other conditions do not',
    path: '/no-connect',
    status: 503,
    flags: 'UF',
    details: /remote_connection_failure/,
  },
  {
    name: 'reset retries a connection that breaks',
    path: '/m/reset',
    status: 503,
    body: `${RETRIED}connection termination`,
    flags: 'UC,URX',
    details: 'upstream_reset_before_response_started{connection_termination}',
  },
  {
    name: 'connect-failure does not',
    path: '/m/close',
    status: 503,
    body: `${RESET}connection termination`,
    flags: 'UC',
    details: 'upstream_reset_before_response_started{connection_termination}',
  },
  {
    name: 'what is no HTTP is a bad gateway',
    path: '/m/garbage',
    status: 502,
    body: `${RESET}protocol error`,
    flags: 'UPE',
    details: 'upstream_reset_before_response_started{protocol_error}',
  },
  {
    name: 'two framings are one too many',
    path: '/m/both-framings',
    status: 502,
    body: `${RESET}protocol error`,
    flags: 'UPE',
    details: 'upstream_reset_before_response_started{protocol_error}',
  },
  {
    name: 'half a head is a connection that ended',
    path: '/m/half-head',
    status: 503,
    body: `${RESET}connection termination`,
    flags: 'UC',
    details: 'upstream_reset_before_response_started{connection_termination}',
  },
  {
    name: 'perTryTimeout is retried by 5xx',
    path: '/per-try',
    ask: headers({ 'x-delay': '1000' }),
    status: 504,
    body: 'upstream request timeout',
    flags: 'UT,URX',
    details: 'upstream_per_try_timeout',
    tries: 2,
  },
  {
    name: 'perTryTimeout is not retried by connect-failure',
    path: '/once-per-try',
    ask: headers({ 'x-delay': '1000' }),
    status: 504,
    body: 'upstream request timeout',
    flags: 'UT',
    details: 'upstream_per_try_timeout',
    tries: 1,
  },
  {
    name: 'the timeout bounds all tries',
    path: '/total',
    ask: headers({ 'x-delay': '1000' }),
    status: 504,
    body: 'upstream request timeout',
    flags: 'UT',
    details: 'response_timeout',
  },
]

for (const { name, path, ask: more = {}, status, body, flags, details, tries } of CASES) {
  test(`retry: ${name}`, async () => {
    const answer = await ask({ port, path, ...more })
    const line = await gateway.logged(path)
    assert.equal(answer.status, status, answer.body)
    if (body !== undefined) assert.equal(answer.body, body)
    assert.equal(line['response_flags'], flags)
    if (typeof details === 'string') assert.equal(line['response_code_details'], details)
    else assert.match(String(line['response_code_details']), details)
    if (tries !== undefined) {
      const counts = () =>
        echo.seen.filter(({ url }) => url === path).map((seen) => seen.headers['x-envoy-attempt-count'])
      await eventually(() => {
        assert.deepEqual(
          counts(),
          Array.from({ length: tries }, (_, i) => String(i + 1)),
        )
      })
    }
  })
}

test('retry: another endpoint is preferred', async () => {
  for (let i = 0; i < 12; i++) assert.equal((await ask({ port, path: '/mixed' })).status, 200)
})

test('an answer that breaks off is never made whole', async () => {
  for (const [path, flags, details] of [
    ['/m/once/cut', 'UC', 'upstream_reset_after_response_started{connection_termination}'],
    ['/m/stall', 'UT', 'response_timeout'],
  ]) {
    const { text, closed } = await raw(port, `GET ${path} HTTP/1.1\r\nHost: app.test\r\n\r\n`)
    assert.match(text, /^HTTP\/1.1 200 /)
    assert.match(text, /half$/)
    assert.equal(closed, true)
    const line = await gateway.logged(path!)
    assert.deepEqual(
      [line['response_code'], line['response_flags'], line['response_code_details'], line['bytes_sent']],
      [200, flags, details, 4],
    )
  }
})

test('an answer before the end of its request has no service time of the gateway’s', async () => {
  const req = request({
    port,
    host: '127.0.0.1',
    path: '/m/early',
    method: 'POST',
    headers: { host: 'app.test' },
    agent: false,
  })
  req.on('error', () => {})
  req.write('begin')
  const [res] = await once(req, 'response')
  assert.equal(res.headers['x-envoy-upstream-service-time'], '5', 'the upstream’s own is left alone')
  req.destroy()
})

test('answers before the answer are passed on, those that make no sense are dropped', async () => {
  const { text } = await raw(port, 'GET /m/hints HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 103 Early Hints\r\n/)
  assert.match(text, /link: <\/a.css>; rel=preload\r\nx-hint: 1\r\n\r\nHTTP\/1.1 200 OK\r\n/i)
})

test('mirror: off, or without a destination for the request itself, nothing is copied', async () => {
  for (const path of ['/mirror/off', '/mirror/unset', '/mirror/unknown']) await ask({ port, path })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual(shadow.seen, [])
})

test('mirror: a request that fails is copied all the same', async () => {
  assert.equal((await ask({ port, path: '/mirror/refused' })).status, 503)
  await eventually(() => assert.equal(shadow.seen.length, 1))
  shadow.seen.length = 0
})

test('mirror: each of several gets its copy', async () => {
  await ask({ port, path: '/mirror/twice' })
  await eventually(() => assert.equal(shadow.seen.length, 2))
  shadow.seen.length = 0
})

test('mirror: a copy is what goes upstream, body included', async () => {
  for (const body of [undefined, 'payload', 'x'.repeat(300_000)]) {
    await ask({ port, path: '/mirror/a?q=1', method: 'POST', ...(body === undefined ? {} : { body }) })
    await eventually(() => assert.equal(shadow.seen.length, 1))
    const [copy] = shadow.seen.splice(0)
    const original = echo.seen.at(-1)!
    assert.deepEqual([copy!.url, copy!.method, copy!.headers.host], [original.url, 'POST', 'inner.test'])
    assert.equal(copy!.body, body ?? '')
    assert.equal(copy!.headers['x-set'], '1')
    assert.equal(copy!.headers['x-envoy-attempt-count'], '1')
    assert.equal(copy!.headers['x-envoy-original-path'], '/mirror/a?q=1')
    assert.equal(copy!.headers['x-request-id'], original.headers['x-request-id'])
  }
})

test('mirror: a body beyond the buffer is not copied', async () => {
  await ask({ port, path: '/mirror/big', method: 'POST', body: 'x'.repeat(1_100_000) })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(shadow.seen.length, 0)
})
