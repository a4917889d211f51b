/** Redirects, direct responses, rewrites, CORS, faults, and what gRPC clients are told. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Answer, ask, GATEWAY, raw, routes, service } from '../support/live.ts'
import { closedPort, headerLines, ruleList, startEcho, startObserved } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())

const RULES = [
  `{ name: redirect, match: [{ uri: { prefix: /r/ } }], redirect: { prefixRewrite: /new/ },
     headers: { response: { set: { x-rule: redirect, content-type: text/html } } } }`,
  `{ match: [{ uri: { exact: /full } }], redirect: { uri: /target, redirectCode: 308 } }`,
  `{ match: [{ uri: { exact: /query } }], redirect: { uri: "/target?own=1", redirectCode: 302 } }`,
  `{ match: [{ uri: { exact: /host } }], redirect: { authority: other.test, port: 8080 } }`,
  `{ match: [{ uri: { exact: /https } }], redirect: { scheme: https } }`,
  `{ match: [{ uri: { exact: /https-port } }], redirect: { scheme: https, port: 443 } }`,
  `{ match: [{ uri: { exact: /derived } }], redirect: { uri: /d, derivePort: FROM_REQUEST_PORT } }`,
  `{ match: [{ uri: { prefix: /direct/text } }], directResponse: { status: 418, body: { string: teapot } } }`,
  `{ match: [{ uri: { prefix: /direct/bytes } }], directResponse: { status: 200, body: { bytes: AAH/ } },
     headers: { response: { set: { content-type: application/octet-stream }, add: { x-a: "1" } } } }`,
  `{ match: [{ uri: { prefix: /direct/empty } }], directResponse: { status: 503 },
     headers: { response: { set: { content-type: text/html, x-rule: empty } } } }`,
  `{ match: [{ uri: { prefix: /direct/ok } }], directResponse: { status: 200, body: { string: "fine" } } }`,
  `{ match: [{ uri: { prefix: /rw/prefix/ } }], rewrite: { uri: / }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { prefix: /rw/double } }], rewrite: { uri: / }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { exact: /rw/exact } }], rewrite: { uri: /e }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { regex: "/rw/regex/[0-9]+" } }], rewrite: { uri: /whole }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { prefix: /rw/sub/ } }], rewrite: { uriRegexRewrite: { match: "/rw/sub/([a-z]+)/([a-z]+)", rewrite: "/\\\\2/\\\\1/\\\\0" } },
     route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ headers: { x-rw: { exact: none } } }], rewrite: { uri: /base/ }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { prefix: /RW/CASE }, ignoreUriCase: true }], rewrite: { uri: /c }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { prefix: /rw/host } }], rewrite: { authority: inner.test }, route: [{ destination: { host: echo.test } }] }`,
  `{ match: [{ uri: { prefix: /cors } }], route: [{ destination: { host: echo.test } }],
     headers: { response: { set: { x-rule: cors } } },
     corsPolicy: { allowOrigins: [{ exact: "https://a.test" }], allowMethods: ["*"], allowHeaders: ["*"],
       exposeHeaders: [x-one, x-two], maxAge: 2m, allowCredentials: true } }`,
  `{ match: [{ uri: { prefix: /fault/none } }], route: [{ destination: { host: echo.test } }],
     fault: { abort: { httpStatus: 500 }, delay: { fixedDelay: 5s } } }`,
  `{ match: [{ uri: { prefix: /fault/abort } }], route: [{ destination: { host: echo.test }, headers: { response: { set: { x-destination: "yes" } } } }],
     fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }, headers: { response: { add: { x-rule: fault } } } }`,
  `{ match: [{ uri: { prefix: /fault/both } }], route: [{ destination: { host: echo.test } }],
     fault: { abort: { httpStatus: 503, percentage: { value: 100 } }, delay: { fixedDelay: 150ms, percentage: { value: 100 } } } }`,
  `{ match: [{ uri: { prefix: /fault/delay } }], route: [{ destination: { host: echo.test } }],
     fault: { delay: { fixedDelay: 150ms, percent: 100 } } }`,
  `{ match: [{ uri: { prefix: /fault/grpc } }], route: [{ destination: { host: echo.test } }],
     fault: { abort: { grpcStatus: RESOURCE_EXHAUSTED, percentage: { value: 100 } } } }`,
  `{ match: [{ uri: { prefix: /fault/cors } }], route: [{ destination: { host: echo.test } }],
     corsPolicy: { allowOrigins: [{ exact: "*" }] },
     fault: { abort: { httpStatus: 503, percentage: { value: 100 } } } }`,
  `{ match: [{ uri: { prefix: /refused } }], route: [{ destination: { host: dead.test } }], retries: { attempts: 0 } }`,
]
const gateway = await startObserved(
  GATEWAY + service('echo', echo.port) + service('dead', await closedPort()) + routes(ruleList(RULES)),
)
after(() => gateway.stop())
const port = gateway.port()

for (const [path, status, location] of [
  ['/r/a/b?q=1', 301, 'http://app.test/new/a/b?q=1'],
  ['/full?q=1', 308, 'http://app.test/target?q=1'],
  ['/query?q=1', 302, 'http://app.test/target?own=1'],
  ['/host?q=1', 301, 'http://other.test:8080/host?q=1'],
  ['/https', 301, 'https://app.test/https'],
  ['/https-port', 301, 'https://app.test/https-port'],
  ['/derived', 301, 'http://app.test/d'],
] as const) {
  test(`redirect: ${path} goes to ${location}`, async () => {
    const answer = await ask({ port, path })
    assert.deepEqual([answer.status, answer.headers['location'], answer.body], [status, location, ''])
    assert.equal(answer.headers['content-type'], undefined, 'there is no body that could have a type')
  })
}

for (const [host, path, location] of [
  ['app.test:80', '/https', 'https://app.test/https'],
  ['app.test:8080', '/https', 'https://app.test:8080/https'],
  ['app.test:8080', '/full', 'http://app.test:8080/target'],
] as const) {
  test(`redirect: an explicit port in ${host} at ${path} gives ${location}`, async () => {
    assert.equal((await ask({ port, path, host })).headers['location'], location)
  })
}

test('redirect: response operations of the rule apply', async () => {
  assert.equal((await ask({ port, path: '/r/x' })).headers['x-rule'], 'redirect')
})

test('direct response: text has a type and a length', async () => {
  const { status, headers, body } = await ask({ port, path: '/direct/text' })
  assert.deepEqual(
    [status, body, headers['content-type'], headers['content-length']],
    [418, 'teapot', 'text/plain', '6'],
  )
  assert.equal(headers['x-envoy-upstream-service-time'], undefined)
})

test('direct response: bytes are sent as they are, with the type of the rule', async () => {
  const { text } = await raw(port, 'GET /direct/bytes HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
  assert.match(text, /\r\n\r\n\x00\x01\xff$/)
  const lines = headerLines(text)
  assert.ok(lines.includes('content-type: application/octet-stream'))
  assert.ok(lines.includes('x-a: 1'))
  assert.ok(lines.includes('content-length: 3'))
})

test('direct response: HEAD gets the head alone', async () => {
  const { text } = await raw(port, 'HEAD /direct/text HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1.1 418 /)
  assert.match(text, /\r\n\r\n$/)
  assert.ok(headerLines(text).includes('content-length: 6'))
})

test('direct response: without a body there is no type, whatever the rule sets', async () => {
  const { status, headers, body } = await ask({ port, path: '/direct/empty' })
  assert.deepEqual([status, body, headers['content-type'], headers['content-length']], [503, '', undefined, '0'])
  assert.equal(headers['x-rule'], 'empty')
})

for (const [path, url, extra] of [
  ['/rw/prefix/a?q=1', '/a?q=1', {}],
  ['/rw/double/a', '//a', {}],
  ['/rw/doublea', '/a', {}],
  ['/rw/exact?q=%20', '/e?q=%20', {}],
  ['/rw/regex/12?q=1', '/whole?q=1', {}],
  ['/rw/sub/ab/cd/x?q=/rw/sub/ab/cd', '/cd/ab//rw/sub/ab/cd/x?q=/rw/sub/ab/cd', {}],
  ['/no-uri?q', '/base/no-uri?q', { 'x-rw': 'none' }],
  ['/Rw/cAsE/x', '/c/x', {}],
] as const) {
  test(`rewrite: ${path} arrives as ${url}`, async () => {
    const seen = JSON.parse((await ask({ port, path, headers: extra })).body)
    assert.equal(seen.url, url)
    assert.equal(seen.headers['x-envoy-original-path'], path)
  })
}

test('rewrite: a new host arrives as Host, and the old one beside it', async () => {
  const seen = JSON.parse((await ask({ port, path: '/rw/host', host: 'app.test:8080' })).body)
  assert.deepEqual(
    [seen.headers.host, seen.headers['x-envoy-original-host'], seen.headers['x-envoy-original-path']],
    ['inner.test', 'app.test:8080', undefined],
  )
})

const preflight = (path: string, origin: string, more = {}): Promise<Answer> =>
  ask({ port, path, method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PATCH', ...more } })

test('CORS: a preflight is answered with all that is configured, and no Vary', async () => {
  const before = echo.seen.length
  const { status, headers, body } = await preflight('/cors', 'https://a.test', {
    'access-control-request-headers': 'x-a,x-b',
  })
  assert.deepEqual([status, body, headers['content-length'], headers['content-type']], [200, '', '0', undefined])
  const expected = {
    'access-control-allow-origin': 'https://a.test',
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'PATCH',
    'access-control-allow-headers': 'x-a,x-b',
    'access-control-expose-headers': 'x-one,x-two',
    'access-control-max-age': '120',
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(headers[name], value, name)
  assert.equal(headers['vary'], undefined)
  assert.equal(echo.seen.length, before)
})

test('CORS: the origin is compared as a whole and case-sensitively', async () => {
  for (const origin of ['https://A.test', 'https://a.test:443', 'https://a.test/', 'null']) {
    const { headers } = await ask({ port, path: '/cors', headers: { origin } })
    assert.equal(headers['access-control-allow-origin'], undefined, origin)
  }
})

test('CORS: an upstream answer gets the headers of an actual request only', async () => {
  const { headers } = await ask({
    port,
    path: '/cors',
    headers: { origin: 'https://a.test', 'x-reply': 'access-control-allow-origin: *|access-control-max-age: 9' },
  })
  assert.equal(headers['access-control-allow-origin'], 'https://a.test')
  assert.equal(headers['access-control-expose-headers'], 'x-one,x-two')
  assert.equal(headers['access-control-allow-methods'], undefined)
  assert.equal(headers['access-control-max-age'], '9')
})

test('fault: without a percentage nothing happens', async () => {
  assert.equal((await ask({ port, path: '/fault/none' })).status, 200)
})

test('fault: an abort is the route’s reply, with the headers of rule and destination', async () => {
  const { status, headers, body } = await ask({ port, path: '/fault/abort' })
  assert.deepEqual([status, body, headers['content-type']], [418, 'fault filter abort', 'text/plain'])
  assert.deepEqual([headers['x-rule'], headers['x-destination']], ['fault', 'yes'])
})

test('fault: a request is delayed and then aborted', async () => {
  const begin = performance.now()
  assert.equal((await ask({ port, path: '/fault/both' })).status, 503)
  assert.ok(performance.now() - begin >= 145)
  const line = await gateway.logged('/fault/both')
  assert.deepEqual(
    [line['response_flags'], line['response_code_details'], line['upstream_cluster'], line['upstream_host']],
    ['DI,FI', 'fault_filter_abort', 'outbound|80||echo.test', null],
  )
})

test('fault: a delayed request is forwarded, and its flag stays', async () => {
  const begin = performance.now()
  assert.equal((await ask({ port, path: '/fault/delay' })).status, 200)
  assert.ok(performance.now() - begin >= 145)
  const line = await gateway.logged('/fault/delay')
  assert.deepEqual([line['response_flags'], line['response_code_details']], ['DI', 'via_upstream'])
})

test('fault: it hits preflights too', async () => {
  const { status, headers } = await preflight('/fault/cors', 'https://a.test')
  assert.equal(status, 503)
  assert.equal(headers['access-control-allow-origin'], undefined)
})

const grpc = (path: string, type = 'application/grpc'): Promise<Answer> =>
  ask({ port, path, method: 'POST', headers: { 'content-type': type }, body: 'x' })

for (const [what, path, status, message] of [
  ['no route', '/nowhere', '12', undefined],
  ['a direct response', '/direct/text', '2', 'teapot'],
  ['a direct response of 200', '/direct/ok', '2', 'fine'],
  ['a direct response without a body', '/direct/empty', '14', undefined],
  ['an injected HTTP status', '/fault/abort', '2', 'fault filter abort'],
  ['an injected gRPC status', '/fault/grpc', '8', 'fault filter abort'],
  [
    'a refused connection',
    '/refused',
    '14',
    'upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused',
  ],
] as const) {
  test(`gRPC: ${what} is a trailers-only answer with status ${status}`, async () => {
    const { status: http, headers, body } = await grpc(path, 'application/grpc+proto')
    assert.deepEqual([http, body], [200, ''])
    assert.equal(headers['content-type'], 'application/grpc')
    assert.equal(headers['grpc-status'], status)
    assert.equal(headers['grpc-message'], message)
    const line = await gateway.logged(path)
    assert.ok(line)
  })
}

test('gRPC: other types are no gRPC, and get a plain answer', async () => {
  for (const type of ['application/grpc-web', 'application/grpcx', 'application/json']) {
    const { status, headers } = await grpc('/direct/text', type)
    assert.equal(status, 418, type)
    assert.equal(headers['grpc-status'], undefined, type)
  }
})

test('gRPC: an injected gRPC status is 200 with its message for others', async () => {
  const { status, headers, body } = await ask({ port, path: '/fault/grpc' })
  assert.deepEqual([status, body, headers['content-type']], [200, 'fault filter abort', 'text/plain'])
})

test('gRPC: what is not ASCII is percent-encoded in the message', async () => {
  await using other = disposable(
    await startObserved(
      GATEWAY +
        service('echo', echo.port) +
        routes('[{ directResponse: { status: 403, body: { string: "50% für alle\\n" } } }]'),
    ),
  )
  const { headers } = await ask({
    port: other.port(),
    method: 'POST',
    headers: { 'content-type': 'application/grpc' },
    body: 'x',
  })
  assert.deepEqual([headers['grpc-status'], headers['grpc-message']], ['7', '50%25 f%C3%BCr alle%0A'])
})

function disposable<T extends { stop(): Promise<void> }>(gateway: T): T & AsyncDisposable {
  return Object.assign(gateway, { [Symbol.asyncDispose]: () => gateway.stop() })
}
