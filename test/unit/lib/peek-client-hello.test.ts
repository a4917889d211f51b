import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect as connectTcp, type AddressInfo, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { type PeekedHello, peekClientHello } from '../../../src/lib/peek-client-hello.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'

const certificates = new TestCertificates()
after(() => certificates.remove())

const LONG_MS = 20_000

/** Calls `onPeeked` with every connection, once its hello was looked at. */
async function peeking(
  timeoutMs: number,
  onPeeked: (peeked: PeekedHello, socket: Socket) => void,
): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    peekClientHello(socket, timeoutMs, (peeked) => {
      onPeeked(peeked, socket)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

test(
  'a connection that was looked at goes on to a TLS server as if nobody had',
  { skip: skipWithout('openssl') },
  async () => {
    const authority = certificates.authority('ca')
    const leaf = certificates.leaf(authority, ['a.test'])
    const inner = createTlsServer({ cert: leaf.certificate, key: leaf.key }, (socket) => {
      socket.on('data', (data: Buffer) => socket.end(`echo ${data.toString()}`))
    })
    const { port, server } = await peeking(LONG_MS, (peeked, socket) => {
      assert.equal(peeked.kind === 'hello' && peeked.hello.serverName, 'a.test')
      inner.emit('connection', socket)
    })
    const client = connectTls({ host: '127.0.0.1', port, servername: 'a.test', ca: authority.certificate })
    await once(client, 'secureConnect')
    client.write('hello')
    assert.equal(String((await once(client, 'data'))[0]), 'echo hello')
    client.destroy()
    server.close()
  },
)

test('what is no TLS is told at its first byte, and can still be read', async () => {
  const seen = Promise.withResolvers<readonly [PeekedHello, string]>()
  const { port, server } = await peeking(LONG_MS, (peeked, socket) => {
    socket.once('data', (data: Buffer) => {
      seen.resolve([peeked, data.toString()])
    })
    socket.resume()
  })
  const client = connectTcp(port, '127.0.0.1')
  client.write('G')
  const [peeked, text] = await seen.promise
  assert.equal(peeked.kind, 'invalid')
  assert.equal(text, 'G')
  client.destroy()
  server.close()
})

test('a client that takes its time, and one that leaves, are told apart', async () => {
  for (const [leave, kind] of [
    [false, 'timeout'],
    [true, 'closed'],
  ] as const) {
    const seen = Promise.withResolvers<PeekedHello>()
    const { port, server } = await peeking(leave ? LONG_MS : 20, (peeked, socket) => {
      seen.resolve(peeked)
      socket.destroy()
    })
    const client = connectTcp(port, '127.0.0.1')
    client.on('error', () => {})
    client.write(Buffer.from([22, 3, 1]))
    if (leave) client.end()
    assert.equal((await seen.promise).kind, kind)
    client.destroy()
    server.close()
  }
})
