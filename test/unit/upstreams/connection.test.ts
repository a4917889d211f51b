import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { Http1Connection } from '../../../src/upstreams/http1/connection.ts'
import type { ResponseHandler } from '../../../src/upstreams/stream.ts'

/** What the server does with each connection; set by each test. */
let onConnection: (socket: Socket) => void = () => {}
const server = createServer((socket) => {
  socket.on('error', () => {})
  onConnection(socket)
})

before(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
after(() => server.close())

interface Recorded {
  status: number
  body: string
  informational: number[]
  events: string[]
  idle: number
  closed: number
}

/** Sends one request and records what is called until it is over. */
async function exchange(
  onSocket: (socket: Socket) => void,
  { method = 'GET', port }: { method?: string; port?: number } = {},
): Promise<Recorded> {
  onConnection = onSocket
  const recorded: Recorded = { status: 0, body: '', informational: [], events: [], idle: 0, closed: 0 }
  const { promise, resolve } = Promise.withResolvers<void>()
  const over = (event: string) => {
    recorded.events.push(event)
    resolve()
  }
  const handler: ResponseHandler = {
    onInformational: (status) => recorded.informational.push(status),
    onHead: ({ status }) => (recorded.status = status),
    onData: (chunk, last) => {
      recorded.body += chunk.toString('latin1')
      if (last) over('last')
      return true
    },
    onEnd: () => over('end'),
    onFailure: (reason) => over(reason),
    onDrain: () => {},
  }
  const connection = new Http1Connection(
    connect({ host: '127.0.0.1', port: port ?? (server.address() as AddressInfo).port }),
    { onConnected: () => {}, onIdle: () => recorded.idle++, onClosed: () => recorded.closed++ },
    500,
  )
  connection.send(
    {
      method,
      path: '/',
      authority: 'a',
      scheme: 'http',
      headers: [],
      body: 'none',
      requestSpelling: null,
      upgrade: null,
    },
    handler,
  )
  await promise
  // Whatever else is called would be a bug: give it a moment to show.
  await new Promise((settled) => setTimeout(settled, 20))
  connection.close()
  return recorded
}

const answer =
  (...parts: string[]) =>
  (socket: Socket) => {
    const send = (index: number) => {
      if (index === parts.length || socket.destroyed) return
      socket.write(parts[index]!, 'latin1')
      setTimeout(send, 5, index + 1)
    }
    socket.once('data', () => {
      send(0)
    })
  }

test('an answer is read however its bytes are cut, and the connection is free again', async () => {
  const got = await exchange(answer('HTT', 'P/1.1 200 OK\r\nContent-Le', 'ngth: 5\r\n\r', '\nhel', 'lo'))
  assert.deepEqual([got.status, got.body, got.events, got.idle], [200, 'hello', ['last'], 1])
})

test('a chunked answer ends with its last chunk', async () => {
  const got = await exchange(answer('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel', 'lo\r\n0\r\n\r\n'))
  assert.deepEqual([got.body, got.events, got.idle], ['hello', ['end'], 1])
})

test('1xx answers come before the answer', async () => {
  const got = await exchange(answer('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n'))
  assert.deepEqual([got.informational, got.status, got.events], [[103], 204, ['end']])
})

test('a body without length ends with the connection, which is not used again', async () => {
  const got = await exchange((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'))
  })
  assert.deepEqual([got.body, got.events, got.idle], ['all of it', ['end'], 0])
})

test('bytes behind an answer make the connection useless: the next request must not get them', async () => {
  const got = await exchange(answer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nsmuggled'))
  assert.deepEqual([got.body, got.idle, got.events], ['ok', 0, ['last']])
})

const failures: Record<string, { act: (socket: Socket) => void; reason: string }> = {
  'a connection closed before the answer is a termination': {
    act: (socket) => socket.once('data', () => socket.end()),
    reason: 'connection-termination',
  },
  'a connection reset before the answer is a termination': {
    act: (socket) => socket.once('data', () => socket.resetAndDestroy()),
    reason: 'connection-termination',
  },
  'half an answer is a termination, never an end': {
    act: (socket) =>
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        setTimeout(() => socket.destroy(), 10)
      }),
    reason: 'connection-termination',
  },
  'half a chunked answer is a termination': {
    act: (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel')),
    reason: 'connection-termination',
  },
  'what is no HTTP is a protocol error': { act: answer('SSH-2.0-OpenSSH_9.6\r\n'), reason: 'protocol-error' },
  'both framings are a protocol error': {
    act: answer('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    reason: 'protocol-error',
  },
  'an unasked switch of protocols is a protocol error': {
    act: answer('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n'),
    reason: 'protocol-error',
  },
  'a head that never ends is a protocol error': {
    act: (socket) => socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}`)),
    reason: 'protocol-error',
  },
}

for (const [name, { act, reason }] of Object.entries(failures)) {
  test(`Http1Connection: ${name}`, async () => {
    const got = await exchange(act)
    assert.deepEqual([got.events, got.idle, got.closed], [[reason], 0, 1])
  })
}

test('Http1Connection: a refused connection is a connection failure', async () => {
  const closed = createServer()
  closed.listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  await new Promise((resolve) => closed.close(resolve))
  const got = await exchange(() => {}, { port })
  assert.deepEqual(got.events, ['remote-connection-failure'])
})

test('an answer to HEAD is complete with its head', async () => {
  const got = await exchange(answer('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'), { method: 'HEAD' })
  assert.deepEqual([got.status, got.events, got.idle], [200, ['end'], 1])
})
