import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_V2_BYTES,
  type ProxiedAddresses,
  readProxyHeader,
  writeProxyHeader,
} from '../../../src/lib/proxy-protocol.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const v2 = (versionAndCommand: number, family: number, body: Buffer) =>
  Buffer.concat([SIGNATURE, Buffer.from([versionAndCommand, family, body.length >> 8, body.length & 255]), body])

const IPV4: ProxiedAddresses = {
  source: { address: '192.0.2.1', port: 56_324 },
  destination: { address: '198.51.100.7', port: 443 },
}
const IPV6: ProxiedAddresses = {
  source: { address: '2001:db8::1', port: 1 },
  destination: { address: '::1', port: 65_535 },
}

test('headers read as the protocol writes them', () => {
  const line = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
  assert.deepEqual(readProxyHeader(Buffer.from(`${line}GET /`)), {
    kind: 'header',
    addresses: IPV4,
    length: line.length,
  })
  assert.equal(writeProxyHeader(IPV4, 1).toString(), line)
  assert.equal(writeProxyHeader(IPV6, 1).toString(), 'PROXY TCP6 2001:db8::1 ::1 1 65535\r\n')
  const binary = v2(0x21, 0x11, Buffer.from('c0000201c6336407dc0401bb', 'hex'))
  assert.deepEqual(writeProxyHeader(IPV4, 2), binary)
  assert.deepEqual(readProxyHeader(binary), { kind: 'header', addresses: IPV4, length: 28 })
})

test('what senders add to the addresses is passed over', () => {
  const extra = Buffer.from([0x04, 0x00, 0x02, 0xaa, 0xbb])
  const body = Buffer.concat([writeProxyHeader(IPV6, 2).subarray(16), extra])
  assert.deepEqual(readProxyHeader(v2(0x21, 0x21, body)), { kind: 'header', addresses: IPV6, length: 16 + body.length })
})

const nobody: Record<string, Buffer> = {
  'UNKNOWN of version 1': Buffer.from('PROXY UNKNOWN\r\n'),
  'UNKNOWN with whatever behind it': Buffer.from('PROXY UNKNOWN ffff:: ffff:: 1 2\r\n'),
  'LOCAL, a connection of the sender itself': v2(0x20, 0x11, Buffer.alloc(12)),
  'a Unix socket': v2(0x21, 0x31, Buffer.alloc(216)),
  datagrams: v2(0x21, 0x12, Buffer.alloc(12)),
  'no family': v2(0x21, 0x00, Buffer.alloc(0)),
}
for (const [name, bytes] of Object.entries(nobody)) {
  test(`a header that speaks for nobody is taken off: ${name}`, () => {
    assert.deepEqual(readProxyHeader(Buffer.concat([bytes, Buffer.from('x')])), {
      kind: 'header',
      addresses: null,
      length: bytes.length,
    })
  })
}

const refused: Record<string, Buffer> = {
  'no header': Buffer.from('GET / HTTP/1.1\r\n'),
  'another case': Buffer.from('proxy TCP4 192.0.2.1 198.51.100.7 1 2\r\n'),
  'another protocol': Buffer.from('PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n'),
  'an address of the other family': Buffer.from('PROXY TCP4 ::1 198.51.100.7 1 2\r\n'),
  'an address with a zone': Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'),
  'a name in place of an address': Buffer.from('PROXY TCP4 localhost 198.51.100.7 1 2\r\n'),
  'a port that is none': Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n'),
  'a port with a sign': Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n'),
  'a port with zeros in front': Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n'),
  'a field too many': Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n'),
  'two blanks': Buffer.from('PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n'),
  'a line without end': Buffer.from(`PROXY TCP4 ${'1'.repeat(120)}`),
  'a bare line feed': Buffer.from(`PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n${' '.repeat(100)}`),
  'version 3': v2(0x31, 0x11, Buffer.alloc(12)),
  'an unknown command': v2(0x22, 0x11, Buffer.alloc(12)),
  'no room for the addresses': v2(0x21, 0x21, Buffer.alloc(12)),
  'more than the bound': v2(0x21, 0x11, Buffer.alloc(MAX_V2_BYTES)),
}
for (const [name, bytes] of Object.entries(refused)) {
  test(`a PROXY header is refused: ${name}`, () => {
    assert.equal(readProxyHeader(bytes).kind, 'invalid')
  })
}

test('what is written reads back the same, and every prefix of it asks for more', () => {
  const port = fc.nat(65_535)
  const ends = (address: fc.Arbitrary<string>) =>
    fc
      .tuple(address, port, address, port)
      .map(([a, b, c, d]) => ({ source: { address: a, port: b }, destination: { address: c, port: d } }))
  // As Node and RFC 5952 write them: what is read is written that way.
  const ipv6 = fc.ipV6().map((text) => new URL(`http://[${text}]/`).hostname.slice(1, -1))
  fc.assert(
    fc.property(
      fc.oneof(ends(fc.ipV4()), ends(ipv6)),
      fc.constantFrom(1 as const, 2 as const),
      (addresses, version) => {
        const bytes = writeProxyHeader(addresses, version)
        const read = readProxyHeader(Buffer.concat([bytes, Buffer.from('rest')]))
        assert.deepEqual(read, { kind: 'header', addresses, length: bytes.length })
        for (let end = 0; end < bytes.length; end++) assert.equal(readProxyHeader(bytes.subarray(0, end)).kind, 'more')
      },
    ),
  )
})

test('no input throws, and what is read has addresses', () => {
  const good = [writeProxyHeader(IPV4, 1), writeProxyHeader(IPV6, 2)]
  fc.assert(
    fc.property(
      fc.constantFrom(...good),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
      (base, changes) => {
        const bytes = Buffer.from(base)
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        const state = readProxyHeader(bytes)
        if (state.kind === 'header' && state.addresses !== null) {
          assert.match(state.addresses.source.address, /^[0-9a-f.:]+$/i)
        }
      },
    ),
    { numRuns: 2000 },
  )
})
