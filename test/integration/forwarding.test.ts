import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { ask, eventually, GATEWAY, raw, routes, service, startGateway, startUpstream } from '../support/live.ts'

const MIB = 1024 * 1024

/** Answers with what it saw. */
const echo = await startUpstream((req, res) => {
  let body = ''
  req.setEncoding('latin1')
  req.on('data', (chunk) => (body += chunk))
  req.on('end', () => res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, body })))
})
after(() => echo.stop())

/** Never answers, and tells when its client leaves. */
const seen = { requests: 0, aborted: 0 }
const silent = await startUpstream((_req, res) => {
  seen.requests++
  res.on('close', () => seen.aborted++)
})
after(() => silent.stop())

/** Sends as much as it is asked for, counts what it gets. */
const received = { bytes: 0 }
const bulk = await startUpstream((req, res) => {
  const size = Number(new URL(req.url!, 'http://x').searchParams.get('size') ?? 0)
  received.bytes = 0
  req.on('data', (chunk: Buffer) => (received.bytes += chunk.length))
  let left = size
  const piece = Buffer.alloc(64 * 1024, 'b')
  const send = () => {
    while (left > 0) {
      const part = left >= piece.length ? piece : piece.subarray(0, left)
      left -= part.length
      if (!res.write(part)) {
        res.once('drain', send)
        return
      }
    }
    res.end()
  }
  req.on('end', send)
})
after(() => bulk.stop())

const gateway = await startGateway(
  GATEWAY +
    service('echo', echo.port) +
    service('silent', silent.port) +
    service('bulk', bulk.port) +
    routes(`[
      { match: [{ uri: { prefix: /silent } }], route: [{ destination: { host: silent.test } }] },
      { match: [{ uri: { prefix: /timeout } }], route: [{ destination: { host: silent.test } }], timeout: 200ms },
      { match: [{ uri: { prefix: /bulk } }], route: [{ destination: { host: bulk.test } }] },
      { route: [{ destination: { host: echo.test } }] } ]`),
)
after(() => gateway.stop())
const port = gateway.port()

test('a request arrives as it was sent, with the headers of an edge', async () => {
  const { status, body, headers } = await ask({
    port,
    path: '/a/%2F?q=1',
    method: 'POST',
    body: 'hello',
    headers: { 'X-Mine': 'yes' },
  })
  const got = JSON.parse(body)
  assert.equal(status, 200)
  assert.equal(got.method, 'POST')
  assert.equal(got.url, '/a/%2F?q=1')
  assert.equal(got.body, 'hello')
  assert.equal(got.headers.host, 'app.test')
  assert.equal(got.headers['x-mine'], 'yes')
  assert.equal(got.headers['x-forwarded-proto'], 'http')
  assert.equal(got.headers['x-forwarded-for'], '192.0.2.1', 'a loopback peer is written as the gateway itself')
  assert.equal(got.headers['x-envoy-attempt-count'], '1')
  assert.match(got.headers['x-request-id'], /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
  assert.equal(headers['server'], 'istio-envoy')
  assert.equal(headers['keep-alive'], undefined)
})

test('a chunked body arrives whole and chunked', async () => {
  const { text } = await raw(
    port,
    'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
  )
  assert.match(text, /"transfer-encoding":"chunked"/)
  assert.match(text, /"body":"abcde"/)
})

test('a client that leaves ends its request at the upstream', async () => {
  const before = { ...seen }
  const req = request({ port, host: '127.0.0.1', path: '/silent', headers: { host: 'app.test' }, agent: false })
  req.on('error', () => {})
  req.end()
  await eventually(() => assert.equal(seen.requests, before.requests + 1))
  req.destroy()
  await eventually(() => assert.equal(seen.aborted, before.aborted + 1))
})

test('a timeout is answered 504 and ends the request at the upstream', async () => {
  const before = { ...seen }
  const { status, body } = await ask({ port, path: '/timeout' })
  assert.deepEqual([status, body], [504, 'upstream request timeout'])
  await eventually(() => assert.equal(seen.aborted, before.aborted + 1))
})

test('an upstream that dies in the middle of a body cuts the answer off', async () => {
  const dying = createNetServer((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
      setTimeout(() => socket.destroy(), 20)
    })
  })
  dying.listen(0, '127.0.0.1')
  await once(dying, 'listening')
  const other = await startGateway(
    GATEWAY +
      service('dying', (dying.address() as AddressInfo).port) +
      routes('[{ route: [{ destination: { host: dying.test } }] }]'),
  )
  try {
    const { text, closed } = await raw(other.port(), 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
    assert.match(text, /^HTTP\/1.1 200 OK/)
    assert.match(text, /half$/)
    assert.equal(closed, true)
  } finally {
    await other.stop()
    dying.close()
  }
})

test('a body to a client that does not read waits at the upstream: memory stays flat', async () => {
  const size = 256 * MIB
  const req = request({
    port,
    host: '127.0.0.1',
    path: `/bulk?size=${size}`,
    headers: { host: 'app.test' },
    agent: false,
  })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  res.once('readable', () => {})
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  await new Promise((resolve) => setTimeout(resolve, 500))
  const grown = process.memoryUsage().rss - before
  assert.ok(grown < 50 * MIB, `${Math.round(grown / MIB)} MiB more while nobody reads`)
  let bytes = 0
  for await (const chunk of res) bytes += (chunk as Buffer).length
  assert.equal(bytes, size)
})

test('an upload arrives whole', async () => {
  const body = Buffer.alloc(32 * MIB, 'u')
  const { status } = await ask({ port, path: '/bulk?size=0', method: 'POST', body })
  assert.equal(status, 200)
  assert.equal(received.bytes, body.length)
})

test('an answer that comes before the request is complete is passed on', async () => {
  const early = createNetServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'))
  })
  early.listen(0, '127.0.0.1')
  await once(early, 'listening')
  const other = await startGateway(
    GATEWAY +
      service('early', (early.address() as AddressInfo).port) +
      routes('[{ route: [{ destination: { host: early.test } }] }]'),
  )
  try {
    const { text } = await raw(
      other.port(),
      `POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`,
      500,
    )
    assert.match(text, /^HTTP\/1.1 403 Forbidden/)
  } finally {
    await other.stop()
    early.close()
  }
})

test('100 Continue comes from the upstream, before the body is sent', async () => {
  const req = request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    headers: { host: 'app.test', expect: '100-continue', 'content-length': '5' },
    agent: false,
  })
  req.flushHeaders()
  await once(req, 'continue')
  req.end('hello')
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of res) text += String(chunk)
  assert.equal(JSON.parse(text).body, 'hello')
})

test('a reload changes the next request, not the one in flight', async () => {
  let release: () => void = () => {}
  const slow = await startUpstream((_req, res) => {
    release = () => res.end('old')
  })
  const next = await startUpstream((_req, res) => res.end('new'))
  const to = (upstream: { port: number }) =>
    GATEWAY + service('one', upstream.port) + routes('[{ route: [{ destination: { host: one.test } }] }]')
  const other = await startGateway(to(slow))
  try {
    const inFlight = ask({ port: other.port() })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await other.apply(to(next))
    assert.equal((await ask({ port: other.port() })).body, 'new')
    release()
    assert.equal((await inFlight).body, 'old')
  } finally {
    await other.stop()
    slow.stop()
    next.stop()
  }
})
