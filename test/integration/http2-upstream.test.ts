/** Requests of HTTP/1.1 clients at upstreams that speak HTTP/2. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { createServer, type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { http2Service, startHttp2Upstream } from '../support/http2-upstream.ts'
import { ask, eventually, GATEWAY, routes, service, startGateway, startUpstream } from '../support/live.ts'

const MIB = 1024 * 1024

/** Answers with what it saw. */
const echo = await startHttp2Upstream((stream, headers) => {
  let body = ''
  let trailers: object = {}
  stream.on('trailers', (got) => (trailers = got))
  stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'x-upstream': 'echo', 'set-cookie': ['a=1', 'b=2'] })
    stream.end(JSON.stringify({ headers, body, trailers }))
  })
})
/** Holds what it gets until told otherwise. */
const held: ServerHttp2Stream[] = []
let heldClosed = 0
const holding = await startHttp2Upstream((stream) => {
  held.push(stream)
  stream.resume()
  stream.on('close', () => heldClosed++)
})
const release = (body = 'released') => {
  for (const stream of held.splice(0)) {
    if (stream.destroyed) continue
    stream.respond({ ':status': 200 })
    stream.end(body)
  }
}
const narrow = await startHttp2Upstream(
  (stream) => {
    held.push(stream)
    stream.resume()
  },
  { settings: { maxConcurrentStreams: 2 } },
)
/** What each path makes it do. */
let refusals = 0
const odd = await startHttp2Upstream((stream, headers) => {
  switch (headers[':path']) {
    case '/refuse-once':
      if (refusals++ === 0) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
      stream.respond({ ':status': 200 })
      return stream.end('second try')
    case '/refuse':
      return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    case '/reset':
      return stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    case '/half':
      stream.respond({ ':status': 200, 'content-length': '100' })
      stream.write('half')
      return void setTimeout(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR), 20)
    case '/die':
      return stream.session!.destroy()
    case '/early':
      stream.respond({ ':status': 413 }, { endStream: true })
      // Node sends a reset before what it has to say.
      return void setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
    case '/hints':
      stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' })
      stream.respond({ ':status': 204 }, { endStream: true })
      return
    default:
      stream.respond({ ':status': 200 })
      stream.end('ok')
  }
})
const bulk = await startHttp2Upstream((stream) => {
  stream.respond({ ':status': 200 })
  let left = 64
  const piece = Buffer.alloc(MIB, 'b')
  const send = () => {
    while (left > 0) {
      left--
      if (!stream.write(piece)) return void stream.once('drain', send)
    }
    stream.end()
  }
  send()
})
/** Speaks no HTTP/2 at all. */
const plain = await startUpstream((_req, res) => res.end('HTTP/1.1'))
/** Bound, so that nobody else gets it, and closed: connections are refused. */
const closed = createServer().listen(0, '127.0.0.1')
await once(closed, 'listening')
const closedPort = (closed.address() as AddressInfo).port
closed.close()

const rule = (name: string, settings: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec: { host: ${name}.test, trafficPolicy: { connectionPool: ${settings} } }
---
`
const to = (path: string, name: string, more = '') =>
  `{ match: [{ uri: { prefix: ${path} } }], route: [{ destination: { host: ${name}.test } }] ${more} }`

const gateway = await startGateway(
  GATEWAY +
    http2Service('echo', echo.port) +
    http2Service('holding', holding.port) +
    http2Service('narrow', narrow.port) +
    http2Service('odd', odd.port) +
    http2Service('bulk', bulk.port) +
    http2Service('plain', plain.port) +
    http2Service('closed', closedPort) +
    http2Service('limited', holding.port) +
    service('upgraded', echo.port) +
    service('client', plain.port) +
    rule('limited', '{ http: { http2MaxRequests: 1 } }') +
    rule('upgraded', '{ http: { h2UpgradePolicy: UPGRADE, maxRequestsPerConnection: 2 } }') +
    rule('client', '{ http: { useClientProtocol: true } }') +
    routes(`[
      ${to('/holding', 'holding')}, ${to('/narrow', 'narrow')}, ${to('/bulk', 'bulk')}, ${to('/plain', 'plain')},
      ${to('/closed', 'closed')}, ${to('/limited', 'limited')}, ${to('/upgraded', 'upgraded')},
      ${to('/client', 'client')}, ${to('/timeout', 'holding', ', timeout: 100ms')},
      ${to('/refuse', 'odd')}, ${to('/reset', 'odd')}, ${to('/half', 'odd')}, ${to('/die', 'odd')},
      ${to('/early', 'odd')}, ${to('/hints', 'odd')}, ${to('/', 'echo')} ]`),
)
after(async () => {
  release()
  await gateway.stop()
  for (const { stop } of [echo, holding, narrow, odd, bulk, plain]) stop()
})
const port = gateway.port()

test('a request arrives as HTTP/2 with its pseudo-headers, body and cookies', async () => {
  const { status, headers, body } = await ask({
    port,
    path: '/a?b=1',
    method: 'POST',
    body: 'hello',
    headers: { cookie: 'a=1; b=2', 'x-mine': Buffer.from('é').toString('latin1') },
  })
  const got = JSON.parse(body)
  assert.equal(status, 200)
  assert.equal(got.body, 'hello')
  const { ':method': method, ':path': path, ':authority': authority, ':scheme': scheme } = got.headers
  assert.deepEqual([method, path, authority, scheme], ['POST', '/a?b=1', 'app.test', 'http'])
  assert.equal(Buffer.from(got.headers['x-mine'], 'latin1').toString(), 'é')
  assert.equal(got.headers.cookie, 'a=1; b=2')
  assert.equal(got.headers.host, undefined)
  assert.equal(headers['x-upstream'], 'echo')
  assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2'])
})

test('requests share a connection, those too that come while it is being made', async () => {
  const before = echo.connections()
  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask({ port, path: `/${i}` })))
  assert.deepEqual(
    answers.map(({ body }) => JSON.parse(body).headers[':path']),
    answers.map((_, i) => `/${i}`),
  )
  assert.equal(echo.connections(), before)
})

test('an upstream that takes few streams at a time gets more connections', async () => {
  // The first request learns what the upstream allows.
  const first = ask({ port, path: '/narrow' })
  await eventually(() => assert.equal(held.length, 1))
  const others = Array.from({ length: 4 }, () => ask({ port, path: '/narrow' }))
  await eventually(() => assert.equal(held.length, 5))
  assert.equal(narrow.connections(), 3)
  release()
  for (const { body } of await Promise.all([first, ...others])) assert.equal(body, 'released')
})

test('a client that leaves resets its stream and no other', async () => {
  const req = request({ port, host: '127.0.0.1', path: '/holding/leaves', headers: { host: 'app.test' }, agent: false })
  req.on('error', () => {})
  req.end()
  const stays = ask({ port, path: '/holding/stays' })
  await eventually(() => assert.equal(held.length, 2))
  const before = heldClosed
  req.destroy()
  await eventually(() => assert.equal(heldClosed, before + 1))
  release()
  assert.equal((await stays).body, 'released')
})

test('a timeout is answered 504 and resets the stream', async () => {
  const before = heldClosed
  const { status, body } = await ask({ port, path: '/timeout' })
  assert.deepEqual([status, body], [504, 'upstream request timeout'])
  await eventually(() => assert.equal(heldClosed, before + 1))
  held.length = 0
})

test('a refused stream is sent again, and is 503 when it is refused again and again', async () => {
  assert.deepEqual((await ask({ port, path: '/refuse-once' })).body, 'second try')
  const { status, body } = await ask({ port, path: '/refuse' })
  assert.equal(status, 503)
  assert.match(body, /retried and the latest reset reason: remote refused stream reset$/)
})

test('a stream that is reset, and a connection that breaks, are 503 with their reasons', async () => {
  const reset = await ask({ port, path: '/reset' })
  assert.deepEqual([reset.status, /reset reason: (.*)/.exec(reset.body)?.[1]], [503, 'remote reset'])
  const died = await ask({ port, path: '/die' })
  assert.deepEqual([died.status, /reset reason: (.*)/.exec(died.body)?.[1]], [503, 'connection termination'])
})

test('an upstream that resets in the middle of a body cuts the answer off', async () => {
  await assert.rejects(ask({ port, path: '/half' }), /aborted/)
})

test('an answer before the end of the request is passed on', async () => {
  const req = request({
    port,
    host: '127.0.0.1',
    path: '/early',
    method: 'POST',
    headers: { host: 'app.test', 'content-length': '1000000' },
    agent: false,
  })
  req.on('error', () => {})
  req.write('some')
  const [res] = await once(req, 'response')
  assert.equal(res.statusCode, 413)
  req.destroy()
})

test('answers before the answer are relayed', async () => {
  const req = request({ port, host: '127.0.0.1', path: '/hints', headers: { host: 'app.test' }, agent: false })
  const informed = once(req, 'information')
  const answered = once(req, 'response')
  req.end()
  const [{ statusCode, headers }] = await informed
  assert.deepEqual([statusCode, headers.link], [103, '</a.css>; rel=preload'])
  const [res] = await answered
  assert.equal(res.statusCode, 204)
  res.resume()
})

test('a slow client holds its own stream back and no other', async () => {
  const req = request({ port, host: '127.0.0.1', path: '/bulk', headers: { host: 'app.test' }, agent: false })
  req.end()
  const [res] = await once(req, 'response')
  res.pause()
  const { body } = await ask({ port, path: '/bulk' })
  assert.equal(body.length, 64 * MIB)
  let bytes = 0
  for await (const chunk of res) bytes += (chunk as Buffer).length
  assert.equal(bytes, 64 * MIB)
})

test('an upload arrives whole', async () => {
  const { body } = await ask({ port, method: 'POST', body: Buffer.alloc(8 * MIB, 'u') })
  assert.equal(JSON.parse(body).body.length, 8 * MIB)
})

test('a GOAWAY lets streams finish, and new requests take a new connection', async () => {
  const first = ask({ port, path: '/holding' })
  await eventually(() => assert.equal(held.length, 1))
  const before = holding.connections()
  for (const session of holding.sessions) session.close()
  // The gateway learns of it when it is told: until then requests are refused streams, which are sent again.
  const second = ask({ port, path: '/holding' })
  await eventually(() => assert.equal(held.length, 2))
  assert.equal(holding.connections(), before + 1)
  release()
  assert.deepEqual([(await first).body, (await second).body], ['released', 'released'])
})

test('what speaks no HTTP/2 is 502, what refuses connections 503', async () => {
  const spoken = await ask({ port, path: '/plain' })
  assert.equal(spoken.status, 502)
  assert.match(spoken.body, /reset reason: protocol error$/)
  const refused = await ask({ port, path: '/closed' })
  assert.equal(refused.status, 503)
  assert.match(refused.body, /remote connection failure, transport failure reason: delayed connect error/)
})

test('requests over http2MaxRequests are refused at once, and places are given back', async () => {
  const first = ask({ port, path: '/limited' })
  await eventually(() => assert.equal(held.length, 1))
  const { status, headers } = await ask({ port, path: '/limited' })
  assert.deepEqual([status, headers['x-envoy-overloaded']], [503, 'true'])
  release()
  assert.equal((await first).status, 200)
  const again = ask({ port, path: '/limited' })
  await eventually(() => assert.equal(held.length, 1))
  release()
  assert.equal((await again).status, 200)
})

test('h2UpgradePolicy UPGRADE speaks HTTP/2 to an http port, useClientProtocol what the client does', async () => {
  const before = echo.connections()
  for (let i = 0; i < 3; i++) assert.equal((await ask({ port, path: '/upgraded' })).headers['x-upstream'], 'echo')
  // Two requests a connection, as its rule says.
  assert.equal(echo.connections(), before + 2)
  assert.equal((await ask({ port, path: '/client' })).body, 'HTTP/1.1')
})
