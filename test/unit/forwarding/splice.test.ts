import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { Splice, type SpliceOptions } from '../../../src/forwarding/splice.ts'
import { eventually } from '../../support/live.ts'

/** Sides of connections, all of them cut at the end. */
const sockets: Socket[] = []
after(() => {
  for (const socket of sockets) socket.destroy()
})

/** Both ends of a TCP connection. */
async function connection(): Promise<readonly [near: Socket, far: Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [near] = (await once(server, 'connection')) as [Socket]
  server.close()
  for (const socket of [near, far]) {
    socket.on('error', () => {})
    sockets.push(socket)
  }
  return [near, far]
}

interface Joined {
  readonly client: Socket
  readonly upstream: Socket
  readonly splice: Splice
  readonly ended: Promise<Splice>
}

async function join(options: Partial<SpliceOptions> = {}): Promise<Joined> {
  const [nearClient, client] = await connection()
  const [nearUpstream, upstream] = await connection()
  const { promise, resolve } = Promise.withResolvers<Splice>()
  const splice = new Splice(nearClient, nearUpstream, {
    idleTimeoutMs: null,
    maxDurationMs: null,
    halfClose: true,
    onPassed: () => {},
    onEnd: resolve,
    ...options,
  })
  return { client, upstream, splice, ended: promise }
}

/** Until its end. The socket stays as it is: an iterator would destroy it. */
async function read(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += String(chunk)))
  await once(socket, 'end')
  return text
}

for (const first of ['client', 'upstream'] as const) {
  test(`a ${first} that has sent its last byte still gets what the other side sends`, async () => {
    const joined = await join()
    const one = joined[first]
    const other = joined[first === 'client' ? 'upstream' : 'client']
    one.end('question')
    assert.equal(await read(other), 'question')
    assert.equal(other.writable, true)
    other.end('answer')
    assert.equal(await read(one), 'answer')
    const { endedBy, error, bytesReceived, bytesSent } = await joined.ended
    assert.deepEqual([endedBy, error], [first, null])
    assert.deepEqual(first === 'client' ? [bytesReceived, bytesSent] : [bytesSent, bytesReceived], [8, 6])
  })

  test(`a ${first} that is cut off cuts the other side off: it never looks like a clean end`, async () => {
    const joined = await join()
    const other = joined[first === 'client' ? 'upstream' : 'client']
    other.resume()
    const reset = once(other, 'error')
    joined[first].resetAndDestroy()
    assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
    const { endedBy, error } = await joined.ended
    assert.equal(endedBy, first)
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
  })
}

test('of an upgraded connection the end of one side ends both, after what was sent has arrived', async () => {
  const { client, upstream, ended } = await join({ halfClose: false })
  upstream.end('last words')
  assert.equal(await read(client), 'last words')
  upstream.resume()
  // The client keeps its own side open: it is not waited for.
  const { endedBy } = await ended
  assert.equal(endedBy, 'upstream')
})

test('who does not read is waited for, and no more is kept than the streams hold', async () => {
  const { client, upstream, splice } = await join()
  const chunk = Buffer.alloc(1024 * 1024, 'x')
  let written = 0
  const fill = () => {
    while (client.write(chunk)) written += chunk.length
  }
  client.on('drain', fill)
  fill()
  // Nobody reads: it stops at what buffers of the system and of the streams take.
  let last = -1
  await eventually(() => {
    const before = last
    last = splice.bytesReceived
    assert.equal(last, before)
  })
  assert.ok(splice.bytesReceived < 64 * 1024 * 1024, `${splice.bytesReceived} bytes were taken`)
  const stalled = splice.bytesReceived
  upstream.resume()
  await eventually(() => assert.ok(splice.bytesReceived > stalled + 10 * chunk.length))
  splice.abort()
})

test('without a byte in either direction it is closed; traffic keeps it open', async () => {
  const { client, upstream, ended } = await join({ idleTimeoutMs: 300 })
  client.resume()
  upstream.resume()
  const began = performance.now()
  const timer = setInterval(() => client.write('.'), 50)
  await once(upstream, 'data')
  await new Promise((resolve) => setTimeout(resolve, 500))
  clearInterval(timer)
  assert.equal(client.readableEnded, false)
  const { endedBy } = await ended
  assert.equal(endedBy, 'idle')
  assert.ok(performance.now() - began >= 700)
})

test('after the longest time that it may last it is closed, whatever passes', async () => {
  const { client, upstream, ended } = await join({ maxDurationMs: 100 })
  client.resume()
  upstream.resume()
  const timer = setInterval(() => client.write('.'), 10)
  assert.equal((await ended).endedBy, 'duration')
  clearInterval(timer)
})
