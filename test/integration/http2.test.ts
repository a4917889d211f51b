/** HTTP/2 clients with prior knowledge, at upstreams of either protocol. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { after, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { TestCertificates } from '../support/certificates.ts'
import { answerOf, askHttp2, begin, openHttp2 } from '../support/http2-client.ts'
import { http2Service, startHttp2Upstream } from '../support/http2-upstream.ts'
import { eventually, GATEWAY, routes, service, startGateway, startUpstream } from '../support/live.ts'
import { skipWithout } from '../support/requirements.ts'

const MIB = 1024 * 1024

/** Answers with what it saw. */
const plain = await startUpstream((req, res) => {
  let length = 0
  const { url, method, headers, httpVersion } = req
  req.on('data', (chunk: Buffer) => (length += chunk.length))
  req.on('end', () => {
    const body = JSON.stringify({ url, method, headers, httpVersion, length })
    if (url === '/no-content') res.writeHead(204).end()
    else res.writeHead(200, { connection: 'keep-alive', 'keep-alive': 'timeout=9', 'x-latin': 'é' }).end(body)
  })
})
let waiting = 0
let aborted = 0
const silent = await startUpstream((req, res) => {
  waiting++
  req.resume()
  res.on('close', () => aborted++)
})
const http2 = await startHttp2Upstream((stream, headers) => {
  let requestTrailers = {}
  stream.on('trailers', (got) => (requestTrailers = got))
  let length = 0
  stream.on('data', (chunk: Buffer) => (length += chunk.length))
  stream.on('end', () => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
    stream.end(JSON.stringify({ path: headers[':path'], length, requestTrailers }))
  })
})
const broken = await startUpstream((_req, res) => {
  res.writeHead(200)
  res.write('half')
  setTimeout(() => res.destroy(), 20)
})
const uploads: { bytes: number; outcome: string }[] = []
const uploading = await startHttp2Upstream((stream) => {
  const upload = { bytes: 0, outcome: '' }
  uploads.push(upload)
  stream.on('data', (chunk: Buffer) => (upload.bytes += chunk.length))
  stream.on('end', () => (upload.outcome ||= stream.aborted ? 'reset' : 'ended'))
  stream.on('aborted', () => (upload.outcome ||= 'reset'))
})
const early = await startUpstream((_req, res) => res.writeHead(413).end('too much'))
const bulk = await startUpstream((_req, res) => {
  let left = 32
  const piece = Buffer.alloc(MIB, 'b')
  const send = () => {
    while (left > 0) {
      left--
      if (!res.write(piece)) return void res.once('drain', send)
    }
    res.end()
  }
  send()
})

const to = (path: string, name: string) =>
  `{ match: [{ uri: { prefix: ${path} } }], route: [{ destination: { host: ${name}.test } }] }`
const gateway = await startGateway(
  GATEWAY +
    service('plain', plain.port) +
    service('silent', silent.port) +
    service('broken', broken.port) +
    service('early', early.port) +
    service('bulk', bulk.port) +
    http2Service('http2', http2.port) +
    http2Service('uploads', uploading.port) +
    routes(`[ ${to('/silent', 'silent')}, ${to('/http2', 'http2')}, ${to('/uploads', 'uploads')}, ${to('/broken', 'broken')}, ${to('/early', 'early')},
      ${to('/bulk', 'bulk')}, { match: [{ uri: { prefix: /direct } }], directResponse: { status: 200, body: { string: hi } } },
      ${to('/', 'plain')} ]`),
)
const session = await openHttp2(gateway.port())
after(async () => {
  session.destroy()
  await gateway.stop()
  for (const { stop } of [plain, silent, http2, uploading, broken, early, bulk]) stop()
})

test('a request goes on in HTTP/1.1 with the headers of an edge, and one line of cookies', async () => {
  const { status, headers, body } = await askHttp2(session, {
    path: '/a?b=1',
    method: 'POST',
    body: 'hello',
    headers: { cookie: ['a=1', 'b=2'], te: 'trailers', 'x-mine': 'yes' },
  })
  const got = JSON.parse(body)
  assert.equal(status, 200)
  assert.deepEqual([got.method, got.url, got.length, got.httpVersion], ['POST', '/a?b=1', 5, '1.1'])
  assert.equal(got.headers.host, 'app.test')
  assert.equal(got.headers.cookie, 'a=1; b=2')
  assert.equal(got.headers['x-mine'], 'yes')
  assert.equal(got.headers['x-forwarded-proto'], 'http')
  assert.equal(headers.server, 'istio-envoy')
  assert.ok(headers.date)
  assert.equal(headers.connection, undefined)
  assert.equal(headers['keep-alive'], undefined)
})

test('HEAD and 204 have no body, and the connection serves on', async () => {
  const head = await askHttp2(session, { method: 'HEAD' })
  assert.deepEqual([head.status, head.body, head.code], [200, '', 0])
  const none = await askHttp2(session, { path: '/no-content' })
  assert.deepEqual([none.status, none.body, none.code], [204, '', 0])
  assert.equal((await askHttp2(session, { path: '/direct' })).body, 'hi')
})

test('trailers pass both ways where the upstream speaks HTTP/2 too', async () => {
  const { body, trailers } = await askHttp2(session, {
    path: '/http2/x',
    method: 'POST',
    body: 'data',
    trailers: { 'x-checksum': 'abc' },
  })
  const got = JSON.parse(body)
  assert.deepEqual([got.path, got.length, got.requestTrailers['x-checksum']], ['/http2/x', 4, 'abc'])
  assert.equal(trailers['x-sum'], '42')
})

test('a reset ends the request at the upstream, and leaves the other streams alone', async () => {
  const before = { waiting, aborted }
  const stays = begin(session, { path: '/silent/stays' }, true)
  const leaves = begin(session, { path: '/silent/leaves' }, true)
  await eventually(() => assert.equal(waiting, before.waiting + 2))
  leaves.close(8)
  await eventually(() => assert.equal(aborted, before.aborted + 1))
  assert.equal(stays.closed, false)
  stays.close(8)
  await eventually(() => assert.equal(aborted, before.aborted + 2))
})

test('a client that leaves ends all of its requests', async () => {
  const before = { waiting, aborted }
  const other = await openHttp2(gateway.port())
  for (let i = 0; i < 5; i++) begin(other, { path: '/silent' }, true)
  await eventually(() => assert.equal(waiting, before.waiting + 5))
  other.destroy()
  await eventually(() => assert.equal(aborted, before.aborted + 5))
})

test('half an answer is reset, never ended', async () => {
  const { status, body, code } = await askHttp2(session, { path: '/broken' })
  assert.deepEqual([status, body], [200, 'half'])
  assert.notEqual(code, 0)
  const stream = begin(session, { path: '/broken' }, true)
  let ended = false
  stream.on('end', () => (ended = stream.rstCode === 0))
  stream.resume()
  await answerOf(stream)
  assert.equal(ended, false)
})

test('an answer before the end of the request is whole, and the client is told to stop', async () => {
  const stream = begin(session, { path: '/early', method: 'POST' }, false)
  stream.write('some')
  const { status, body, code } = await answerOf(stream)
  assert.deepEqual([status, body, code], [413, 'too much', 0])
})

test('half a request that is reset is not taken for a whole one', async () => {
  const before = { waiting, aborted }
  const stream = begin(session, { path: '/silent', method: 'POST', headers: { 'content-length': '10' } }, false)
  stream.write('12345')
  await eventually(() => assert.equal(waiting, before.waiting + 1))
  stream.close(8)
  await eventually(() => assert.equal(aborted, before.aborted + 1))
  // Without a length it is the end of the stream alone that tells, and an upstream must not be shown one.
  const upload = begin(session, { path: '/uploads', method: 'POST' }, false)
  upload.write('12345')
  await eventually(() => assert.deepEqual([uploads.at(-1)?.bytes, uploads.at(-1)?.outcome], [5, '']))
  upload.close(8)
  await eventually(() => assert.equal(uploads.at(-1)?.outcome, 'reset'))
})

test('a slow reader holds back its own stream and no other', async () => {
  const slow = begin(session, { path: '/bulk' }, true)
  await once(slow, 'response')
  slow.pause()
  assert.equal((await askHttp2(session, { path: '/bulk' })).body.length, 32 * MIB)
  let bytes = 0
  for await (const chunk of slow) bytes += (chunk as Buffer).length
  assert.equal(bytes, 32 * MIB)
})

test('uploads arrive whole over both protocols, side by side', async () => {
  const body = Buffer.alloc(4 * MIB, 'u')
  const answers = await Promise.all(
    ['/a', '/http2', '/b', '/http2'].map((path) => askHttp2(session, { path, method: 'POST', body })),
  )
  for (const answer of answers) assert.equal(JSON.parse(answer.body).length, body.length)
})

const refused: Record<string, { headers?: Record<string, string>; path?: string; host?: string; status: number }> = {
  'no such host': { host: 'other.test', status: 404 },
  'an authority that is none': { host: 'app test', status: 0 },
  'a path that does not begin with a slash': { path: 'x', status: 0 },
  'too many headers': {
    headers: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x-${i}`, 'v'])),
    status: 431,
  },
}
for (const [name, { status, ...ask }] of Object.entries(refused)) {
  test(`${name} is ${status || 'a reset stream'}`, async () => {
    assert.equal((await askHttp2(session, ask)).status, status)
  })
}

test('draining: requests under way are answered, then the connection closes', async () => {
  const draining = await startGateway(GATEWAY + service('silent', silent.port) + routes(`[ ${to('/', 'silent')} ]`), {})
  const client = await openHttp2(draining.port())
  let goaways = 0
  client.on('goaway', () => goaways++)
  const before = waiting
  const answer = answerOf(begin(client, { path: '/' }, true))
  await eventually(() => assert.equal(waiting, before + 1))
  const stopped = draining.stop()
  await eventually(() => assert.ok(goaways >= 1))
  silent.server.closeAllConnections()
  assert.equal((await answer).status, 503)
  await stopped
  await eventually(() => assert.equal(client.destroyed, true))
})

describe('over TLS', { skip: skipWithout('openssl') }, () => {
  test('ALPN chooses the protocol, and the log knows the TLS connection', async () => {
    const certificates = new TestCertificates()
    after(() => certificates.remove())
    const ca = certificates.authority('ca')
    const leaf = certificates.leaf(ca, ['app.test'])
    const indent = (pem: string) => pem.trim().replaceAll('\n', '\n    ')
    const secure = await startGateway(
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec:
  servers:
  - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [app.test], tls: { mode: SIMPLE, credentialName: cert } }
---
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: istio-system }
stringData:
  tls.crt: |
    ${indent(leaf.certificate)}
  tls.key: |
    ${indent(leaf.key)}
---
` +
        service('plain', plain.port) +
        routes(`[ ${to('/', 'plain')} ]`),
    )
    after(() => secure.stop())
    const port = secure.port(443)
    for (const [offered, chosen] of [
      [['h2', 'http/1.1'], 'h2'],
      [['http/1.1'], 'http/1.1'],
    ] as const) {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        servername: 'app.test',
        ALPNProtocols: [...offered],
        rejectUnauthorized: false,
      })
      await once(socket, 'secureConnect')
      assert.equal(socket.alpnProtocol, chosen)
      if (chosen === 'h2') {
        const client = connectHttp2('https://app.test', { createConnection: () => socket })
        const { body } = await askHttp2(client)
        assert.equal(JSON.parse(body).headers['x-forwarded-proto'], 'https')
        client.destroy()
      } else socket.destroy()
    }
  })
})
