import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect, type ConnectionOptions } from 'node:tls'
import fc from 'fast-check'
import { ClientHelloReader, MAX_CLIENT_HELLO_BYTES, readClientHello } from '../../../src/lib/client-hello.ts'

/** The first bytes that Node's own TLS client (OpenSSL) sends. */
async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = connect({ host: '127.0.0.1', port: (server.address() as { port: number }).port, ...options })
  client.on('error', () => {})
  const peer = await accepted
  let bytes = Buffer.alloc(0)
  for await (const chunk of peer) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    if (readClientHello(bytes).kind !== 'more') break
  }
  client.destroy()
  server.close()
  return bytes
}

const u8 = (value: number) => Buffer.from([value])
const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
const vector8 = (...parts: Buffer[]) => Buffer.concat([u8(Buffer.concat(parts).length), ...parts])
const vector16 = (...parts: Buffer[]) => Buffer.concat([u16(Buffer.concat(parts).length), ...parts])
const extension = (type: number, content: Buffer) => Buffer.concat([u16(type), vector16(content)])
const serverName = (name: string | Buffer) =>
  extension(0, vector16(u8(0), vector16(typeof name === 'string' ? Buffer.from(name, 'latin1') : name)))
const alpn = (...names: string[]) => extension(16, vector16(...names.map((name) => vector8(Buffer.from(name)))))
const ech = extension(0xfe0d, Buffer.from([0, 1, 2, 3]))

/** A ClientHello message, with its header. */
function message(extensions: Buffer | null, behind = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    vector8(Buffer.alloc(32, 8)),
    vector16(u16(0x1301)),
    vector8(u8(0)),
    ...(extensions === null ? [] : [vector16(extensions)]),
    behind,
  ])
  return Buffer.concat([u8(1), u8(0), u16(body.length), body])
}

/** In records of at most `size` bytes. */
function records(handshake: Buffer, size = 16384): Buffer {
  const all: Buffer[] = []
  for (let at = 0; at < handshake.length; at += size) {
    all.push(Buffer.from([22, 3, 1]), vector16(handshake.subarray(at, at + size)))
  }
  return Buffer.concat(all)
}

const hello = (...extensions: Buffer[]) => records(message(Buffer.concat(extensions)))

/** Reads `bytes` cut at `cuts`. */
function readCut(bytes: Buffer, cuts: readonly number[]) {
  const reader = new ClientHelloReader()
  const bounds = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  for (let i = 0; i + 1 < bounds.length; i++) reader.push(bytes.subarray(bounds[i], bounds[i + 1]))
  return reader.state
}

test("the hello of Node's own client gives its server name and its protocols", async () => {
  const bytes = await realHello({ servername: 'App.Example.test', ALPNProtocols: ['h2', 'http/1.1'] })
  assert.deepEqual(readClientHello(bytes), {
    kind: 'hello',
    hello: { serverName: 'app.example.test', alpn: ['h2', 'http/1.1'], ticketName: '', encryptedClientHello: false },
  })
})

test('hellos of TLS 1.2 and without a name are read too', async () => {
  const old = readClientHello(await realHello({ servername: 'a.test', maxVersion: 'TLSv1.2' }))
  assert.equal(old.kind === 'hello' && old.hello.serverName, 'a.test')
  const nameless = readClientHello(await realHello({}))
  assert.equal(nameless.kind === 'hello' && nameless.hello.serverName, '')
  assert.equal(readClientHello(records(message(null))).kind, 'hello')
})

test('with an encrypted ClientHello the outer name is read', () => {
  const state = readClientHello(hello(ech, serverName('cover.test')))
  assert.deepEqual(state, {
    kind: 'hello',
    hello: { serverName: 'cover.test', alpn: [], ticketName: '', encryptedClientHello: true },
  })
})

test('a hello says the same wherever segments and records are cut, and whatever follows it', () => {
  const name = fc.stringMatching(/^[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}$/)
  fc.assert(
    fc.property(
      name,
      fc.array(fc.constantFrom('h2', 'http/1.1', 'istio'), { maxLength: 3 }),
      fc.array(fc.nat(2000), { maxLength: 10 }),
      fc.integer({ min: 1, max: 300 }),
      fc.uint8Array({ maxLength: 50 }),
      (wanted, protocols, cuts, recordSize, tail) => {
        const handshake = message(Buffer.concat([extension(10, u16(29)), serverName(wanted), alpn(...protocols)]))
        const bytes = Buffer.concat([records(handshake, recordSize), tail])
        assert.deepEqual(readCut(bytes, cuts), {
          kind: 'hello',
          hello: { serverName: wanted, alpn: protocols, ticketName: '', encryptedClientHello: false },
        })
      },
    ),
    { numRuns: 300 },
  )
})

test('a hello that is cut off asks for more, and no prefix of it is taken for a hello or refused', () => {
  const bytes = hello(serverName('a.test'), alpn('h2'))
  for (let end = 0; end < bytes.length; end++) assert.equal(readClientHello(bytes.subarray(0, end)).kind, 'more')
})

test('no input throws, changed hellos and noise alike', () => {
  const bytes = hello(serverName('a.test'), alpn('h2', 'http/1.1'), ech)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 }),
      fc.array(fc.nat(500), { maxLength: 4 }),
      (changes, cuts) => {
        const changed = Buffer.from(bytes)
        for (const [at, value] of changes) changed[at] = value
        const whole = readClientHello(changed)
        const cut = readCut(changed, cuts)
        assert.deepEqual(cut, whole)
        if (whole.kind === 'hello') assert.match(whole.hello.serverName, /^[!-~]{0,255}$/)
      },
    ),
    { numRuns: 1000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      readClientHello(Buffer.from(noise))
    }),
  )
})

const refused: Record<string, Buffer> = {
  'HTTP in plain text': Buffer.from('GET / HTTP/1.1\r\n'),
  SSH: Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'),
  'a record of SSL 2': Buffer.from([0x80, 0x2e, 1, 0, 2]),
  'a record without content': Buffer.from([22, 3, 1, 0, 0]),
  'a record that is longer than any may be': Buffer.from([22, 3, 1, 0x40, 1]),
  'another message than a ClientHello': records(Buffer.from([2, 0, 0, 4, 1, 2, 3, 4])),
  'two server names': hello(
    extension(0, vector16(u8(0), vector16(Buffer.from('a')), u8(0), vector16(Buffer.from('b')))),
  ),
  'the extension of the server name twice': hello(serverName('a.test'), serverName('b.test')),
  'an empty server name': hello(serverName('')),
  'an empty list of server names': hello(extension(0, vector16())),
  'a server name of another kind': hello(extension(0, vector16(u8(1), vector16(Buffer.from('a'))))),
  'a NUL in the server name': hello(serverName('a.test\0.evil.test')),
  'a blank in the server name': hello(serverName('a .test')),
  'a server name that is too long': hello(serverName('a'.repeat(256))),
  'bytes behind the server name list': hello(
    extension(0, Buffer.concat([vector16(u8(0), vector16(Buffer.from('a'))), u8(0)])),
  ),
  'a nameless ALPN protocol': hello(alpn('')),
  'bytes behind the extensions': records(message(serverName('a.test'), u8(0))),
  'an extension that is longer than its list': hello(Buffer.concat([u16(5), u16(9), u8(0)])),
  'a message that says it is longer than the bound': records(Buffer.from([1, 1, 0, 0])),
}

for (const [name, bytes] of Object.entries(refused)) {
  test(`a ClientHello is refused: ${name}`, () => {
    assert.equal(readClientHello(bytes).kind, 'invalid')
  })
}

test('a hello in tiny records ends at the bound, however few of its bytes are content', () => {
  const reader = new ClientHelloReader()
  const huge = message(extension(21, Buffer.alloc(12_000)))
  const bytes = records(huge, 1)
  let sent = 0
  while (reader.state.kind === 'more' && sent < bytes.length) reader.push(bytes.subarray(sent, (sent += 6)))
  assert.equal(reader.state.kind, 'invalid')
  assert.ok(sent <= MAX_CLIENT_HELLO_BYTES + 6, `${sent} bytes were read`)
})
