/** What one HTTP/2 client may do to others: nothing. Frames are written by hand, as no client library would send them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { askHttp2, openHttp2 } from '../support/http2-client.ts'
import { eventually, GATEWAY, routes, service, startGateway, startUpstream } from '../support/live.ts'

const TYPE = { headers: 1, reset: 3, settings: 4, ping: 6, windowUpdate: 8, continuation: 9 }
const END_STREAM = 1
const END_HEADERS = 4

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** GET http://app.test/ in HPACK (RFC 7541): indexed fields, and `:authority` as a literal. */
const HEAD = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, 8]), Buffer.from('app.test')])
const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const request = (stream: number, flags = END_STREAM | END_HEADERS) => frame(TYPE.headers, flags, stream, HEAD)

let failures = 0
const upstream = await startUpstream((req, res) => {
  if (req.url === '/full') {
    failures++
    res.writeHead(503).end()
    return
  }
  // Slower than a client that resets at once.
  setTimeout(() => res.end(req.url), 20)
})
const gateway = await startGateway(
  GATEWAY +
    service('a', upstream.port) +
    routes(`[ { match: [{ uri: { prefix: /full } }], retries: { attempts: 1, retryOn: 5xx, backoff: 3600s },
        route: [{ destination: { host: a.test } }] },
      { route: [{ destination: { host: a.test } }] } ]`),
)
after(async () => {
  await gateway.stop()
  upstream.stop()
})

async function rawConnection(): Promise<Socket> {
  const socket = connect({ port: gateway.port(), host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.resume()
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  socket.write(frame(TYPE.settings, 0, 0))
  return socket
}

const counted = (reason: string) => gateway.plane.stats().metrics.http2?.[reason] ?? 0

/** Frames of each flood, number `i` from 0; several in one write, as fast as the gateway reads. */
const floods: Record<string, { frames: (i: number) => Buffer; count: number; reason: string }> = {
  'rapid reset': {
    frames: (i) => Buffer.concat([request(2 * i + 1), frame(TYPE.reset, 0, 2 * i + 1, uint32(8))]),
    count: 5000,
    reason: 'too_many_premature_resets',
  },
  // A window that grows by nothing is an error; nghttp2 ends the connection for it.
  'frames that have to be refused': {
    frames: (i) => Buffer.concat([request(2 * i + 1), frame(TYPE.windowUpdate, 0, 2 * i + 1, uint32(0))]),
    count: 5000,
    reason: 'protocol_error',
  },
  pings: { frames: () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)), count: 20_000, reason: 'outbound_control_flood' },
  settings: { frames: () => frame(TYPE.settings, 0, 0), count: 20_000, reason: 'outbound_control_flood' },
  'headers without an end': {
    frames: (i) =>
      i === 0 ? request(1, END_STREAM) : frame(TYPE.continuation, 0, 1, Buffer.from([0x40, 1, 97, 1, 98])),
    count: 20_000,
    reason: 'too_many_continuations',
  },
}

for (const [name, { frames, count, reason }] of Object.entries(floods)) {
  test(`a flood of ${name} ends its connection, is counted, and leaves other clients alone`, async () => {
    const other = await openHttp2(gateway.port())
    const before = counted(reason)
    const socket = await rawConnection()
    const closed = once(socket, 'close')
    for (let i = 0; i < count && !socket.destroyed; i += 100) {
      const part = Array.from({ length: 100 }, (_, k) => frames(i + k))
      if (!socket.write(Buffer.concat(part))) await Promise.race([once(socket, 'drain'), closed])
    }
    // Served while it goes on.
    assert.equal((await askHttp2(other, { path: '/other' })).body, '/other')
    await closed
    await eventually(() => assert.ok(counted(reason) > before, JSON.stringify(gateway.plane.stats().metrics.http2)))
    assert.equal((await askHttp2(other, { path: '/after' })).body, '/after')
    other.destroy()
    await eventually(() => assert.equal(gateway.plane.stats().activeRequests, 0))
  })
}

test('a preface that comes in pieces is one, and what only begins like it is HTTP/1.1', async () => {
  const socket = connect({ port: gateway.port(), host: '127.0.0.1' })
  await once(socket, 'connect')
  for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') {
    socket.write(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.write(Buffer.concat([frame(TYPE.settings, 0, 0), request(1)]))
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.includes('istio-envoy') || text.length > 60) resolve(text)
    })
  })
  // SETTINGS, of any number.
  assert.equal(answer.charCodeAt(3), TYPE.settings)
  socket.destroy()

  const other = connect({ port: gateway.port(), host: '127.0.0.1' })
  other.on('error', () => {})
  await once(other, 'connect')
  other.write('PR')
  setTimeout(() => other.write('OPFIND / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n'), 20)
  let text = ''
  other.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(other, 'close')
  assert.match(text, /^HTTP\/1\.1 200/)
})

test('a stream that is reset without an error is gone, though nobody reads its body', async () => {
  const socket = await rawConnection()
  const post = Buffer.concat([Buffer.from([0x83, 0x86, 0x44, 5]), Buffer.from('/full'), HEAD.subarray(3)])
  socket.write(frame(TYPE.headers, END_HEADERS, 1, post))
  socket.write(frame(0, 0, 1, Buffer.alloc(1000)))
  // From here on it waits for its second try, and the body with it.
  await eventually(() => assert.equal(failures, 1))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(gateway.plane.stats().activeRequests, 1)
  socket.write(frame(0, 0, 1, Buffer.alloc(1000)))
  socket.write(frame(TYPE.reset, 0, 1, uint32(0)))
  await eventually(() => assert.equal(gateway.plane.stats().activeRequests, 0))
  socket.destroy()
})
