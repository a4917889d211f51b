/** What no sequence of bytes from a client may achieve: a request at the upstream that the gateway did not mean. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { ask, GATEWAY, raw, routes, service, startGateway, startUpstream } from '../support/live.ts'

const paths: string[] = []
const upstream = await startUpstream((req, res) => {
  paths.push(req.url!)
  req.resume()
  req.on('end', () => res.end('ok'))
})
after(() => upstream.stop())
const gateway = await startGateway(
  GATEWAY +
    service('a', upstream.port) +
    routes(
      '[{ match: [{ uri: { prefix: /to } }], redirect: { scheme: https } }, { route: [{ destination: { host: a.test } }] }]',
    ),
)
after(() => gateway.stop())
const port = gateway.port()
beforeEach(() => {
  paths.length = 0
})

const HOST = 'Host: app.test\r\n'
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n'

const refused: Record<string, { bytes: string; status?: number }> = {
  'Content-Length beside Transfer-Encoding': {
    bytes: `POST / HTTP/1.1\r\n${HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`,
    status: 400,
  },
  'a transfer coding other than chunked': {
    bytes: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  },
  'an obscured transfer coding': {
    bytes: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    status: 400,
  },
  'two different lengths': {
    bytes: `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    status: 400,
  },
  'a length that is no number': { bytes: `POST / HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`, status: 400 },
  'two Hosts': { bytes: `GET / HTTP/1.1\r\n${HOST}Host: other.test\r\n\r\n`, status: 400 },
  'no Host': { bytes: 'GET / HTTP/1.1\r\nX-A: b\r\n\r\n', status: 400 },
  'a Host with user information': { bytes: 'GET / HTTP/1.1\r\nHost: a@app.test\r\n\r\n', status: 400 },
  'NUL in a value': { bytes: `GET / HTTP/1.1\r\n${HOST}X-A: a\0b\r\n\r\n`, status: 400 },
  'a bare CR in a value': { bytes: `GET / HTTP/1.1\r\n${HOST}X-A: a\rX-B: c\r\n\r\n`, status: 400 },
  'a space in the target': { bytes: `GET /a b HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  '%00 in the path': { bytes: `GET /a%00b HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  'a Connection header that names X-Forwarded-For': {
    bytes: `GET / HTTP/1.1\r\n${HOST}Connection: close, X-Forwarded-For\r\n\r\n`,
    status: 400,
  },
  'HTTP/1.0': { bytes: `GET / HTTP/1.0\r\n${HOST}\r\n`, status: 426 },
  'a TLS ClientHello on a plain port': { bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', status: 400 },
  'more than 100 headers': {
    bytes: `GET / HTTP/1.1\r\n${HOST}${Array.from({ length: 120 }, (_, i) => `x-${i}: 1\r\n`).join('')}\r\n`,
    status: 431,
  },
  'more headers than Node would keep': {
    bytes: `GET / HTTP/1.1\r\n${HOST}${Array.from({ length: 3000 }, (_, i) => `x-${i}: 1\r\n`).join('')}\r\n`,
    status: 431,
  },
  'a head of more than 60 KiB': { bytes: `GET / HTTP/1.1\r\n${HOST}x: ${'v'.repeat(70_000)}\r\n\r\n`, status: 431 },
  'a request line of more than 60 KiB': { bytes: `GET /${'p'.repeat(70_000)} HTTP/1.1\r\n${HOST}\r\n`, status: 414 },
  CONNECT: { bytes: `CONNECT app.test:443 HTTP/1.1\r\n${HOST}\r\n`, status: 404 },
  'an upgrade to something else': {
    bytes: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n`,
    status: 403,
  },
}

for (const [name, { bytes, status }] of Object.entries(refused)) {
  test(`${name}: refused, the connection is closed, the upstream sees nothing`, async () => {
    const { text, closed } = await raw(port, bytes, 2500)
    if (status !== undefined) assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.equal((text.match(/HTTP\/1\.1 \d/g) ?? []).length <= 1, true, text)
    assert.equal(closed, true)
    assert.deepEqual(paths, [])
  })
}

test('a slow client is answered 408 once the time for headers is over', async () => {
  const strict = await startGateway(GATEWAY, {
    settings: {
      limits: {
        maxHeaders: 100,
        ownAddress: '192.0.2.1',
        maxHeadBytes: 60 * 1024,
        headersTimeoutMs: 300,
        requestTimeoutMs: 0,
        idleTimeoutMs: 60_000,
        maxConnections: 0,
        http2: { maxConcurrentStreams: 100, streamWindowBytes: 256 * 1024, resetsPerSecond: 50 },
      },
    },
  })
  try {
    const { text, closed } = await raw(strict.port(), 'GET / HTTP/1.1\r\nHost: app', 4000)
    assert.match(text, /^HTTP\/1\.1 408 /)
    assert.equal(closed, true)
  } finally {
    await strict.stop()
  }
})

test('an offer of h2c is ignored, and does not reach the upstream', async () => {
  const { status, body } = await ask({
    port,
    headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' },
  })
  assert.deepEqual([status, body], [200, 'ok'])
})

test('a redirect carries no headers that a path smuggles in', async () => {
  const { status, headers } = await ask({ port, path: '/to%0d%0aSet-Cookie:%20a=b' })
  assert.equal(status, 301)
  assert.equal(headers['set-cookie'], undefined)
  assert.match(String(headers['location']), /^https:\/\/app\.test\/to%0d%0a/i)
})

test('no mutilated request makes the gateway fall over, or the upstream see what was not asked for', async () => {
  const valid = `POST /ok HTTP/1.1\r\n${HOST}Content-Length: 5\r\nX-A: b\r\n\r\nhello`
  await fc.assert(
    fc.asyncProperty(
      fc.nat(valid.length - 1),
      fc.constantFrom('', '\r', '\n', '\0', ' ', ':', '\t', 'x', '\r\n', '\r\n\r\n', '\x80'),
      fc.boolean(),
      async (at, insert, replace) => {
        const bytes = valid.slice(0, at) + insert + valid.slice(replace ? at + 1 : at)
        await raw(port, `${bytes}`, 30)
      },
    ),
    { numRuns: 60 },
  )
  assert.deepEqual(
    paths.filter((path) => /smuggled/.test(path)),
    [],
  )
  assert.equal((await ask({ port })).status, 200)
})
