import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { TLSSocket } from 'node:tls'
import type { EndpointPlan, TransportPlan } from '../../../src/plan/cluster.ts'
import { createTransport, type Transport } from '../../../src/upstreams/transport.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'
import { openMaterials, request, startPeer, startTcpPeer, transport } from './tls-peer.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

function open(plan: TransportPlan, tcpKeepaliveMs?: number): Transport {
  const { materials } = openMaterials()
  const opened = createTransport(
    tcpKeepaliveMs === undefined ? { transport: plan } : { transport: plan, tcpKeepaliveMs },
    {
      materials,
      now: Date.now,
    },
  )
  closing.push(
    () => opened.close(),
    () => materials.close(),
  )
  return opened
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const answer = (socket: Socket) => void socket.on('data', () => socket.write(OK))

test('plain text has one pool an endpoint, whatever the Host', async () => {
  const peer = await startTcpPeer(answer)
  closing.push(peer.close)
  const plain = open({ kind: 'plaintext' }, 60_000)
  assert.deepEqual([plain.poolKey(peer.endpoint, 'a'), plain.poolKey(peer.endpoint, 'b')], ['', ''])
  const { outcome, connection } = await request(plain.dial(peer.endpoint, 'a', 'http1'))
  assert.match(connection.localAddress, /^127\.0\.0\.1:\d+$/)
  assert.equal(outcome, '200')
  connection.close()
})

test('an endpoint may be a Unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'unix-'))
  const path = join(folder, 'socket')
  const server = createServer(answer)
  server.listen(path)
  await once(server, 'listening')
  closing.push(
    () => server.close(),
    () => rmSync(folder, { recursive: true }),
  )
  const endpoint = { address: `unix://${path}`, port: 0, weight: 1 }
  const { outcome, connection } = await request(open({ kind: 'plaintext' }).dial(endpoint, 'a', 'http1'))
  assert.deepEqual([outcome, connection.localAddress], ['200', ''])
  connection.close()
})

test('a transport that this build cannot give sends nothing', async () => {
  const refusing = open({ kind: 'unsupported', reason: 'tunnel' })
  const { outcome } = await request(refusing.dial({ address: '127.0.0.1', port: 9, weight: 1 }, 'a', 'http1'))
  assert.equal(outcome, 'local-connection-failure')
})

describe('auto mTLS', { skip: skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  closing.push(() => made.remove())

  test('is for endpoints whose label says so, the others get plain text', async () => {
    const ca = made.authority('mesh')
    const server = made.leaf(ca, ['peer.test'])
    const secure = await startPeer({ cert: server.certificate, key: server.key })
    const plain = await startTcpPeer(answer)
    closing.push(secure.close, plain.close)
    const auto = open({ kind: 'auto-mtls', tls: transport(ca.certificateFile) })
    const labelled: EndpointPlan = { ...secure.endpoint, labels: { 'security.istio.io/tlsMode': 'istio' } }
    const other: EndpointPlan = { ...plain.endpoint, labels: { 'security.istio.io/tlsMode': 'disabled' } }
    for (const [endpoint, isTls] of [
      [labelled, true],
      [other, false],
      [plain.endpoint, false],
    ] as const) {
      const socket = auto.dial(endpoint, 'a', 'http1')
      assert.equal(socket instanceof TLSSocket, isTls)
      const { outcome, connection } = await request(socket)
      assert.equal(outcome, '200')
      assert.equal(auto.poolKey(endpoint, 'a') === '', !isTls)
      connection.close()
    }
  })
})
