import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws'
import { TestCertificates } from '../support/certificates.ts'
import { skipWithout } from '../support/requirements.ts'
import { ask, eventually, GATEWAY, raw, routes, service, startGateway } from '../support/live.ts'

const certificates = new TestCertificates()
after(() => certificates.remove())
const logFile = join(certificates.folder, 'access.log')

/** A real endpoint: echoes what it gets, refuses /refuse, leaves /drop in the middle, takes its time on /late. */
const sockets = new Set<WebSocket>()
const server = createServer((_req, res) => res.end('plain'))
const endpoint = new WebSocketServer({
  noServer: true,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => [...offered].at(-1) ?? false,
})
const handshakes: (readonly [string, Readonly<Record<string, unknown>>])[] = []
server.on('upgrade', (req, socket: Socket, head) => {
  handshakes.push([req.url!, req.headers])
  socket.on('error', () => {})
  if (req.url === '/refuse') {
    socket.resume()
    socket.end('HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 3\r\n\r\nno!')
    return
  }
  if (req.url === '/silent') {
    socket.resume()
    socket.on('end', () => socket.end())
    return
  }
  endpoint.handleUpgrade(req, socket, head, (ws) => {
    sockets.add(ws)
    ws.on('close', () => sockets.delete(ws))
    ws.on('error', () => {})
    if (req.url === '/drop') ws.on('message', () => socket.resetAndDestroy())
    else if (req.url === '/bulk') ws.on('message', (data: Buffer) => sendMany(ws, Number(data.toString())))
    else ws.on('message', (data, binary) => ws.send(data, { binary }))
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port: upstreamPort } = server.address() as AddressInfo
after(() => {
  for (const ws of endpoint.clients) ws.terminate()
  server.closeAllConnections()
  server.close()
})

const PIECE = Buffer.alloc(64 * 1024, 'w')
const passed = { sent: 0 }
function sendMany(ws: WebSocket, bytes: number): void {
  passed.sent = 0
  const next = () => {
    while (passed.sent < bytes && ws.bufferedAmount < 1024 * 1024) {
      passed.sent += PIECE.length
      ws.send(PIECE)
    }
    if (passed.sent < bytes && ws.readyState === WebSocket.OPEN) setTimeout(next, 1)
  }
  next()
}

const RESOURCES =
  GATEWAY +
  service('chat', upstreamPort) +
  service('gone', 1) +
  routes(`[
    { match: [{ uri: { exact: /rewritten } }], rewrite: { uri: /real }, headers: { request: { set: { x-added: "yes" } } }, route: [{ destination: { host: chat.test } }] },
    { match: [{ uri: { exact: /gone } }], route: [{ destination: { host: gone.test } }] },
    { match: [{ uri: { exact: /silent } }], timeout: 200ms, route: [{ destination: { host: chat.test } }] },
    { match: [{ uri: { exact: /redirected } }], redirect: { uri: /elsewhere } },
    { match: [{ uri: { prefix: / } }], retries: { attempts: 0 }, route: [{ destination: { host: chat.test } }] } ]`)
const gateway = await startGateway(RESOURCES, {
  mesh: { accessLogFile: logFile, accessLogEncoding: 'JSON' },
})
after(() => gateway.stop())

function open(
  path: string,
  protocols: readonly string[] = [],
  headers: Readonly<Record<string, string>> = {},
  options: ClientOptions = {},
) {
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port()}${path}`, [...protocols], {
    ...options,
    headers: { host: 'app.test', ...headers },
  })
  ws.on('error', () => {})
  return ws
}

async function message(ws: WebSocket): Promise<Buffer> {
  const [data] = (await once(ws, 'message')) as [RawData]
  return data as Buffer
}

/** What a handshake was answered, where it was not 101. */
async function refusal(ws: WebSocket): Promise<readonly [number, string]> {
  const [, res] = (await once(ws, 'unexpected-response')) as [unknown, NodeJS.ReadableStream & { statusCode: number }]
  let body = ''
  for await (const chunk of res) body += String(chunk)
  return [res.statusCode, body]
}

interface LogLine {
  readonly path: string
  readonly response_code: number
  readonly response_flags: string
  readonly response_code_details: string
  readonly bytes_received: number
  readonly bytes_sent: number
}

async function logged(path: string): Promise<LogLine> {
  let found: LogLine | undefined
  await eventually(() => {
    const lines = readFileSync(logFile, 'utf8').trim().split('\n')
    found = lines.map((line) => JSON.parse(line) as LogLine).find((line) => line.path === path)
    assert.ok(found, `no line for ${path}`)
  })
  return found!
}

test('messages of any size pass both ways, compressed as the two ends agree', async () => {
  const ws = open('/echo')
  await once(ws, 'open')
  assert.match(ws.extensions, /permessage-deflate/)
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
    const data = randomBytes(size)
    ws.send(data)
    const back = await message(ws)
    assert.equal(digest(back), digest(data), `${size} bytes`)
  }
  ws.send('text ✓')
  assert.equal(String(await message(ws)), 'text ✓')
  ws.ping('are you there')
  assert.equal(String((await once(ws, 'pong'))[0]), 'are you there')
  ws.close(4001, 'enough')
  assert.equal((await once(ws, 'close'))[0], 4001)
})

test('the route of a handshake decides: rewrites, headers, subprotocols, redirects, refusals', async () => {
  const ws = open('/rewritten', ['v1.chat', 'v2.chat'], { origin: 'https://app.test', cookie: 'a=b' })
  await once(ws, 'open')
  assert.equal(ws.protocol, 'v2.chat')
  ws.terminate()
  const [path, headers] = handshakes.at(-1)!
  assert.equal(path, '/real')
  assert.deepEqual(
    [headers['x-added'], headers['origin'], headers['cookie'], headers['upgrade'], headers['connection']],
    ['yes', 'https://app.test', 'a=b', 'websocket', 'upgrade'],
  )
  assert.ok(headers['x-request-id'])
  assert.deepEqual(await refusal(open('/refuse')), [401, 'no!'])
  assert.equal((await refusal(open('/redirected')))[0], 301)
  assert.equal((await refusal(open('/gone')))[0], 503)
  assert.equal((await refusal(open('/silent')))[0], 504)
  assert.equal((await refusal(open('/echo', [], { host: 'other.test' })))[0], 404)
})

test('the log has a line for a tunnel once it is over: its bytes, and who ended it', async () => {
  const ws = open('/counted?1')
  await once(ws, 'open')
  ws.send('x'.repeat(10_000), { compress: false })
  await message(ws)
  ws.close()
  await once(ws, 'close')
  const line = await logged('/counted?1')
  assert.deepEqual([line.response_code, line.response_code_details, line.response_flags], [101, 'via_upstream', '-'])
  assert.ok(line.bytes_received > 10_000 && line.bytes_sent > 10, JSON.stringify(line))

  const left = open('/counted?2')
  await once(left, 'open')
  left.terminate()
  const gone = await logged('/counted?2')
  assert.deepEqual([gone.response_flags, gone.response_code_details], ['DC', 'downstream_remote_disconnect'])
  await eventually(() => assert.equal(sockets.size, 0))
})

test('an upstream that is cut off cuts the client off, and nobody else', async () => {
  const [other, ws] = [open('/echo'), open('/drop')]
  await Promise.all([once(other, 'open'), once(ws, 'open')])
  ws.send('now')
  assert.equal((await once(ws, 'close'))[0], 1006)
  const line = await logged('/drop')
  assert.equal(line.response_flags, 'UC')
  other.send('still here')
  assert.equal(String(await message(other)), 'still here')
  other.terminate()
})

test('a reload leaves open tunnels alone, even where their route is gone', async () => {
  const ws = open('/echo')
  await once(ws, 'open')
  await gateway.apply(GATEWAY + service('chat', upstreamPort) + routes('[{ directResponse: { status: 410 } }]'))
  assert.equal((await ask({ port: gateway.port() })).status, 410)
  ws.send('before')
  assert.equal(String(await message(ws)), 'before')
  await gateway.apply(RESOURCES)
  ws.terminate()
})

test('a client that reads slowly is waited for', async () => {
  // Compressed, all of it would fit into the kernel's buffers.
  const ws = open('/bulk', [], {}, { perMessageDeflate: false })
  await once(ws, 'open')
  const total = 200 * PIECE.length
  let got = 0
  ws.on('message', (data: Buffer) => (got += data.length))
  ws.pause()
  ws.send(String(total * 20))
  let last = -1
  await eventually(() => {
    const before = last
    last = passed.sent
    assert.ok(last > 0 && last === before, 'it goes on sending')
  })
  assert.ok(passed.sent < total * 20)
  ws.resume()
  await eventually(() => assert.ok(got > total))
  ws.terminate()
})

test('bytes that a client sends right behind its handshake arrive', async () => {
  const socket = connect(gateway.port(), '127.0.0.1')
  const key = randomBytes(16).toString('base64')
  const head = `GET /early HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
  // A masked text frame "hi", in the same write.
  socket.write(Buffer.concat([Buffer.from(head), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])]))
  let text = ''
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')))
  await eventually(() => assert.match(text, /^HTTP\/1\.1 101 [^]*\r\n\r\n\x81\x02hi$/))
  const [first] = text.toLowerCase().split('\r\n\r\n')
  assert.match(first!, /\r\nconnection: upgrade\r\n/)
  assert.match(first!, /\r\nupgrade: websocket/)
  assert.doesNotMatch(first!, /\r\n(content-length|transfer-encoding):/)
  socket.destroy()
})

test('a handshake behind another request waits for its turn, and one with a body is refused', async () => {
  const upgrade = (more: string) =>
    `GET /turn HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${more}\r\n`
  const { text } = await raw(gateway.port(), `GET /plain HTTP/1.1\r\nHost: app.test\r\n\r\n${upgrade('')}`)
  assert.match(text, /^HTTP\/1\.1 200 [^]*plain[^]*HTTP\/1\.1 101 /)
  const refused = await raw(gateway.port(), `${upgrade('Content-Length: 4\r\n')}\x81\x80aa`)
  assert.match(refused.text, /^HTTP\/1\.1 403 /)
  assert.equal(refused.closed, true)
  const other = await raw(gateway.port(), upgrade('').replace('websocket', 'tls/1.0'))
  assert.match(other.text, /^HTTP\/1\.1 403 /)
})

test('a client that leaves before the answer ends the handshake at the upstream', async () => {
  const before = await connectionsOf()
  const socket = connect(gateway.port(), '127.0.0.1')
  socket.write(
    `GET /silent HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  )
  await eventually(() => assert.equal(handshakes.at(-1)?.[0], '/silent'))
  socket.end()
  await eventually(async () => assert.ok((await connectionsOf()) <= before))
})

describe('WebSocket over TLS', { skip: skipWithout('openssl') }, () => {
  test('messages pass where TLS ends at the gateway', async () => {
    const authority = certificates.authority('ca')
    const leaf = certificates.leaf(authority, ['app.test'])
    const secure = await startGateway(
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec:
  servers:
  - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [app.test],
      tls: { mode: SIMPLE, serverCertificate: ${leaf.certificateFile}, privateKey: ${leaf.keyFile} } }
---
${service('chat', upstreamPort)}${routes('[{ route: [{ destination: { host: chat.test } }] }]')}`,
    )
    const options = { headers: { host: 'app.test' }, servername: 'app.test', ca: authority.certificate }
    const ws = new WebSocket(`wss://127.0.0.1:${secure.port(443)}/tls`, options as ClientOptions)
    await once(ws, 'open')
    const data = randomBytes(300_000)
    ws.send(data)
    assert.equal(digest(await message(ws)), digest(data))
    ws.close()
    await once(ws, 'close')
    await secure.stop()
  })
})

test('a tunnel holds up the end of the gateway for as long as it may drain, no longer', async () => {
  const own = await startGateway(RESOURCES, { settings: { drainMs: 300 } })
  const ws = new WebSocket(`ws://127.0.0.1:${own.port()}/echo`, { headers: { host: 'app.test' } })
  await once(ws, 'open')
  const stopped = own.stop()
  ws.send('while it drains')
  assert.equal(String(await message(ws)), 'while it drains')
  await once(ws, 'close')
  await stopped
})

function digest(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function connectionsOf(): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}
