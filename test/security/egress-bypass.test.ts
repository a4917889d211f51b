/**
 * No way around: what people try to get past a forward proxy's list. Each trick is tried for real, against a server that
 * would answer, and has a counterpart beside it that shows what is refused: the same thing done honestly gets through.
 */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { systemResolve } from '../../src/upstreams/dns.ts'
import { type DnsServer, startDnsServer } from '../support/dns-server.ts'
import {
  entry,
  type ForwardProxy,
  pinnedTo,
  type Sink,
  startForwardProxy,
  startSink,
  talk,
} from '../support/forward-proxy.ts'
import { clientHello, ENCRYPTED, extension, serverNames } from '../support/hello.ts'
import { eventually } from '../support/live.ts'

let dns: DnsServer
/** What is listed, and what is not, on the same port of the same addresses wherever that makes the trick stronger. */
let good: { readonly server: Server; readonly port: number; readonly hosts: string[] }
let evil: { readonly server: Server; readonly port: number; readonly hosts: string[] }
let sink: Sink
let listed: ForwardProxy
/** The same, but everything is let through that leads outside. */
let open: ForwardProxy

async function startHttp(name: string): Promise<typeof good> {
  const hosts: string[] = []
  const server = createServer((req, res) => {
    hosts.push(req.headers.host ?? '')
    if (req.url === '/redirect') res.writeHead(302, { location: `http://evil.test:${evil.port}/` }).end()
    else res.end(`${name} saw ${req.headers.host}`)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return { server, port: (server.address() as AddressInfo).port, hosts }
}

before(async () => {
  dns = await startDnsServer()
  evil = await startHttp('evil')
  good = await startHttp('good')
  sink = await startSink()
  for (const name of ['evil.test', 'cdn.test', 'evilcdn.test', 'evilgood.test', 'good.test.evil.test']) {
    dns.records.set(name, [{ address: '127.0.0.1', ttl: 0 }])
  }
  const yaml = [
    entry('good.test', good.port, 'HTTP', pinnedTo(good.port)),
    entry('*.cdn.test', good.port, 'HTTP', pinnedTo(good.port)),
    entry('xn--bcher-kva.test', good.port, 'HTTP', pinnedTo(good.port)),
    entry('tls.test', 443, 'TLS', pinnedTo(sink.port)),
    entry(
      'https.test',
      443,
      'HTTPS',
      `resolution: DNS\naddresses: [127.0.0.1]\nendpoints: [{ address: https.test, ports: { p: ${sink.port} } }]`,
    ),
    entry('tcp.test', 5432, 'TCP', pinnedTo(sink.port)),
    entry('vip.test', 8443, 'TLS', `addresses: [127.0.0.1]\n${pinnedTo(sink.port)}`),
  ].join('')
  dns.records.set('https.test', [{ address: '127.0.0.1', ttl: 60 }])
  const resolve = systemResolve(60_000, { servers: [dns.address], families: () => ({ ipv4: true, ipv6: true }) })
  listed = await startForwardProxy(yaml, { helloTimeoutMs: 1000 }, { resolve })
  open = await startForwardProxy('', {}, { resolve, mesh: { outboundTrafficPolicy: 'ALLOW_ANY' } })
})

after(async () => {
  await Promise.all([listed.stop(), open.stop()])
  for (const { server } of [good, evil]) {
    server.close()
    server.closeAllConnections()
  }
  sink.stop()
  dns.stop()
})

/** Sends bytes to a proxy; gives the status of the first answer and `x-sluice-denied`. */
async function attempt(proxy: ForwardProxy, bytes: string): Promise<{ status: number; denied: string; text: string }> {
  const client = talk(proxy.proxyPort)
  client.socket.write(Buffer.from(bytes, 'latin1'))
  await client.until('\r\n\r\n')
  await client.until('saw')
  const text = client.text()
  client.socket.destroy()
  return {
    status: Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1] ?? 0),
    denied: /x-sluice-denied: ([a-z-]+)/.exec(text)?.[1] ?? '',
    text,
  }
}

const get = (target: string, host = target.replace(/^[a-z]+:\/\/|[/?#].*$/g, '')) =>
  `GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`
const connectTo = (target: string, host = target) => `CONNECT ${target} HTTP/1.1\r\nhost: ${host}\r\n\r\n`

/** `{E}` and `{G}` stand for the ports of the server that is not listed, and of the one that is. */
const fill = (text: string) => text.replaceAll('{E}', String(evil.port)).replaceAll('{G}', String(good.port))

/** Ways to write this machine, its network and the metadata service; the last is how the honest one is written. */
const ADDRESSES: Record<string, string> = {
  'dotted decimal': '127.0.0.1',
  'another address of the loopback block': '127.8.9.10',
  'one decimal number': '2130706433',
  'one octal number': '017700000001',
  'one hexadecimal number': '0x7f000001',
  'octal parts': '0177.0.0.01',
  'hexadecimal parts': '0x7f.0x0.0x0.0x1',
  'two parts': '127.1',
  'three parts': '127.0.1',
  'a final dot': '127.0.0.1.',
  'leading zeros': '127.000.000.001',
  zero: '0',
  'the unspecified address': '0.0.0.0',
  'IPv6 loopback': '[::1]',
  'IPv6 loopback spelt out': '[0:0:0:0:0:0:0:1]',
  'the unspecified address of IPv6': '[::]',
  'IPv4 mapped into IPv6': '[::ffff:127.0.0.1]',
  'IPv4 mapped into IPv6 in hexadecimal': '[::ffff:7f00:1]',
  'IPv4 compatible IPv6': '[::127.0.0.1]',
  'IPv4 translated': '[::ffff:0:127.0.0.1]',
  NAT64: '[64:ff9b::7f00:1]',
  'NAT64 of a site': '[64:ff9b:1::7f00:1]',
  '6to4': '[2002:7f00:1::1]',
  Teredo: '[2001:0:7f00:1::1]',
  ISATAP: '[2a00::5efe:127.0.0.1]',
  'a link-local address': '[fe80::1]',
  'a unique local address': '[fd00::1]',
  'the metadata service': '169.254.169.254',
  'the metadata service as a number': '2852039166',
  'the metadata service over IPv6': '[fd00:ec2::254]',
  'RFC 1918': '10.0.0.1',
  'carrier-grade NAT': '100.64.0.1',
  broadcast: '255.255.255.255',
  localhost: 'localhost',
  'localhost in capitals with a final dot': 'LOCALHOST.',
  'a name below localhost': 'x.localhost',
}

for (const [way, address] of Object.entries(ADDRESSES)) {
  test(`an address written as ${way} leads nowhere, listed or not, in absolute form and by CONNECT`, async () => {
    const before = [evil.hosts.length, sink.connections()]
    for (const proxy of [listed, open]) {
      for (const bytes of [get(fill(`http://${address}:{E}/`)), connectTo(`${address}:${evil.port}`)]) {
        const { status, text } = await attempt(proxy, bytes)
        assert.ok([400, 403, 503].includes(status), `${bytes.slice(0, 60)} → ${text.slice(0, 200)}`)
        // A name that nobody knows is no address after all, and nothing was dialled for it.
        if (status === 503) assert.match(text, /DNS resolution failure/)
      }
    }
    assert.deepEqual([evil.hosts.length, sink.connections()], before)
  })
}

test('counterpart: an address that a ServiceEntry lists can be asked for, with a name of that entry', async () => {
  const client = talk(listed.proxyPort)
  client.socket.write(connectTo('127.0.0.1:8443'))
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200/)
  const hello = clientHello([serverNames('vip.test')])
  client.socket.write(hello)
  await client.until(hello.toString('latin1'))
  assert.ok(client.text().endsWith(hello.toString('latin1')))
  client.socket.destroy()
})

interface Trick {
  /** What is sent; `{E}` and `{G}` are ports. */
  readonly bytes: string
  readonly status: readonly number[]
  readonly denied?: string
}

const NOT_LISTED = { status: [403], denied: 'not-in-registry' }
const MALFORMED = { status: [400] }

/** A request whose Host agrees with its target as well as it can. */
const aimed = (target: string) => get(target)

const NAMES: Record<string, Trick> = {
  'a host that is not listed': { bytes: aimed('http://evil.test:{G}/'), ...NOT_LISTED },
  'a listed host on another port': { bytes: aimed('http://good.test:{E}/'), ...NOT_LISTED },
  'a listed name in front of another domain': { bytes: aimed('http://good.test.evil.test:{G}/'), ...NOT_LISTED },
  'a listed name at the end of another one': { bytes: aimed('http://evilgood.test:{G}/'), ...NOT_LISTED },
  'the domain that a wildcard stands below': { bytes: aimed('http://cdn.test:{G}/'), ...NOT_LISTED },
  'a domain that ends like a wildcard without the dot': { bytes: aimed('http://evilcdn.test:{G}/'), ...NOT_LISTED },
  'an empty label in place of the wildcard': { bytes: aimed('http://.cdn.test:{G}/'), status: [400, 403] },
  'the wildcard itself as a name': { bytes: aimed('http://*.cdn.test:{G}/'), status: [400, 403] },
  'an empty label inside': { bytes: aimed('http://a..cdn.test:{G}/'), status: [400, 403] },
  'two final dots': { bytes: aimed('http://good.test..:{G}/'), status: [400, 403] },
  'user information in front of another host': {
    bytes: get('http://good.test@evil.test:{G}/', 'evil.test:{G}'),
    ...MALFORMED,
  },
  'user information that looks like a port': {
    bytes: get('http://good.test:80@evil.test:{G}/', 'evil.test:{G}'),
    ...MALFORMED,
  },
  'user information in front of the listed host': {
    bytes: get('http://u:p@good.test:{G}/', 'good.test:{G}'),
    ...MALFORMED,
  },
  'an at sign in a percent sequence': { bytes: aimed('http://good.test%40evil.test:{G}/'), status: [400, 403] },
  'a back-slash before another host': {
    bytes: get('http://evil.test:{G}\\@good.test/', 'evil.test'),
    status: [400, 403],
  },
  'a fragment that hides the listed host': {
    bytes: get('http://evil.test:{G}#@good.test/', 'evil.test:{G}'),
    status: [400, 403],
  },
  'a query that hides the listed host': {
    bytes: get('http://evil.test:{G}?@good.test/', 'evil.test:{G}'),
    ...NOT_LISTED,
  },
  'a percent sequence for a dot': { bytes: aimed('http://good%2etest:{G}/'), status: [400, 403] },
  'a percent sequence for a letter': { bytes: aimed('http://%67ood.test:{G}/'), status: [400, 403] },
  'a null byte in a percent sequence': { bytes: aimed('http://evil.test%00.cdn.test:{G}/'), status: [400, 403] },
  'full-width letters': { bytes: aimed(Buffer.from('http://ｇｏｏｄ.test:{G}/').toString('latin1')), ...MALFORMED },
  'an ideographic full stop': { bytes: aimed(Buffer.from('http://good。test:{G}/').toString('latin1')), ...MALFORMED },
  'a listed international name in Unicode': {
    bytes: aimed(Buffer.from('http://bücher.test:{G}/').toString('latin1')),
    ...MALFORMED,
  },
  'a look-alike in Punycode': { bytes: aimed('http://xn--good-8nc.test:{G}/'), ...NOT_LISTED },
  'a soft hyphen': { bytes: aimed(Buffer.from('http://go­od.test:{G}/').toString('latin1')), ...MALFORMED },
  'a tab in the name': { bytes: aimed('http://evil.test\t.cdn.test:{G}/'), status: [400, 0] },
  'a port with a leading zero': { bytes: get('http://good.test:0{G}/', 'good.test:{G}'), status: [400] },
  'a port with a sign': { bytes: get('http://good.test:+{G}/', 'good.test:{G}'), status: [400] },
  'a port in hexadecimal': { bytes: get('http://good.test:0x50/', 'good.test'), status: [400] },
  'an empty port': { bytes: get('http://good.test:/', 'good.test'), status: [400] },
  'a port beyond all ports that wraps around': {
    bytes: get('http://good.test:65616/', 'good.test:65616'),
    status: [400],
  },
  'port zero': { bytes: aimed('http://good.test:0/'), status: [400] },
  'two ports': { bytes: get('http://good.test:{G}:{E}/', 'good.test'), status: [400] },
  'a Host of a listed name beside another target': {
    bytes: get('http://evil.test:{G}/', 'good.test:{G}'),
    status: [400, 403],
  },
  'a Host of another name beside a listed target': {
    bytes: get('http://good.test:{G}/', 'evil.test:{G}'),
    ...MALFORMED,
  },
  'a Host with another port': { bytes: get('http://good.test:{G}/', 'good.test:{E}'), ...MALFORMED },
  'two Hosts': {
    bytes: 'GET http://good.test:{G}/ HTTP/1.1\r\nhost: good.test:{G}\r\nhost: evil.test\r\n\r\n',
    status: [400],
  },
  'a path with a Host': { bytes: get('/', 'good.test:{G}'), ...MALFORMED },
  'a path that begins like a host': { bytes: get('//good.test:{G}/', 'good.test:{G}'), ...MALFORMED },
  'a URL without slashes': { bytes: get('http:good.test:{G}/', 'good.test:{G}'), status: [400, 404] },
  'a URL with one slash': { bytes: get('http:/good.test:{G}/', 'good.test:{G}'), status: [400, 404] },
  'a URL with three slashes': { bytes: get('http:///good.test:{G}/', 'good.test:{G}'), ...MALFORMED },
  'https in absolute form, which would leave in the clear': {
    bytes: get('https://good.test:{G}/', 'good.test:{G}'),
    ...MALFORMED,
  },
  'another scheme': { bytes: get('ftp://good.test:{G}/', 'good.test:{G}'), status: [400, 404] },
  'plain HTTP to a port that is listed for TLS': {
    bytes: aimed('http://https.test:443/'),
    status: [403],
    denied: 'protocol',
  },
  'CONNECT to a host that is not listed': { bytes: connectTo('evil.test:443'), ...NOT_LISTED },
  'CONNECT to another port of a listed host': { bytes: connectTo('tls.test:22'), ...NOT_LISTED },
  'CONNECT with a Host of a listed name': { bytes: connectTo('evil.test:443', 'tls.test:443'), status: [400, 403] },
  'CONNECT to a listed name with a Host of another': {
    bytes: connectTo('tls.test:443', 'evil.test:443'),
    ...MALFORMED,
  },
  'CONNECT without a port': { bytes: connectTo('tls.test'), status: [400] },
  'CONNECT with a URL': { bytes: connectTo('https://tls.test:443/'), status: [400, 403] },
  'CONNECT with user information': { bytes: connectTo('tls.test:443@evil.test:443'), status: [400] },
  'CONNECT with a path': { bytes: connectTo('tls.test:443/'), status: [400] },
  'CONNECT to a port with a leading zero': { bytes: connectTo('tls.test:0443'), status: [400] },
  'CONNECT below a listed name': { bytes: connectTo('a.tls.test:443'), ...NOT_LISTED },
}

for (const [name, { bytes, status, denied }] of Object.entries(NAMES)) {
  test(`refused: ${name}`, async () => {
    const before = [evil.hosts.length, good.hosts.length, sink.connections()]
    const answer = await attempt(listed, fill(bytes))
    assert.ok(status.includes(answer.status), answer.text.slice(0, 300))
    if (denied !== undefined) assert.equal(answer.denied, denied)
    assert.deepEqual([evil.hosts.length, good.hosts.length, sink.connections()], before)
  })
}

const HONEST: Record<string, string> = {
  'a listed host': get('http://good.test:{G}/'),
  'a listed host in capitals': get('http://GOOD.Test:{G}/'),
  'a listed host with one final dot': get('http://good.test.:{G}/'),
  'a name below a wildcard': get('http://a.cdn.test:{G}/'),
  'a name far below a wildcard': get('http://a.b.c.cdn.test:{G}/'),
  'an international name in Punycode': get('http://xn--bcher-kva.test:{G}/'),
  'a Host that differs in case and final dot': get('http://good.test:{G}/', 'Good.Test.:{G}'),
  'a listed host in a query': get('http://good.test:{G}/?u=http://evil.test/'),
  'headers that name other hosts': `GET http://good.test:{G}/ HTTP/1.1\r\nhost: good.test:{G}\r\nx-forwarded-host: evil.test\r\nx-original-url: http://evil.test/\r\nforwarded: host=evil.test\r\nconnection: close\r\n\r\n`,
}

for (const [name, bytes] of Object.entries(HONEST)) {
  test(`counterpart: ${name} gets through`, async () => {
    const answer = await attempt(listed, fill(bytes))
    assert.equal(answer.status, 200, answer.text)
    assert.match(answer.text, /good saw [a-z0-9.-]*(?:good|cdn|kva)\.test:/)
  })
}

test('a redirect to a host that is not listed is handed to the client, which is refused there', async () => {
  const answer = await attempt(listed, get(`http://good.test:${good.port}/redirect`))
  assert.equal(answer.status, 302)
  const location = /location: (\S+)/.exec(answer.text)![1]!
  const seen = evil.hosts.length
  assert.equal((await attempt(listed, get(location))).denied, 'not-in-registry')
  assert.equal(evil.hosts.length, seen)
})

test('every request of a connection is judged by itself', async () => {
  const client = talk(listed.proxyPort)
  const one = (host: string) => fill(`GET http://${host}:{G}/ HTTP/1.1\r\nhost: ${host}:{G}\r\n\r\n`)
  client.socket.write(one('good.test') + one('evil.test') + one('good.test'))
  await eventually(() => assert.equal(client.text().match(/HTTP\/1\.1 /g)?.length, 3))
  assert.deepEqual(
    [...client.text().matchAll(/HTTP\/1\.1 ([0-9]{3})/g)].map((match) => match[1]),
    ['200', '403', '200'],
  )
  client.socket.destroy()
})

/** Opens a tunnel, says `pieces` one after the other, and gives what the other end received of it. */
async function inTunnel(
  target: string,
  pieces: readonly Buffer[],
  together = false,
): Promise<{ received: string; closed: boolean; text: string }> {
  const seen = sink.received().length
  const client = talk(listed.proxyPort)
  if (together) client.socket.write(Buffer.concat([Buffer.from(connectTo(target)), ...pieces]))
  else {
    client.socket.write(connectTo(target))
    await client.until('\r\n\r\n')
    for (const piece of pieces) {
      client.socket.write(piece)
      if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const said = Buffer.concat(pieces).toString('latin1')
  const end = performance.now() + 3000
  while (!client.closed() && sink.received().length - seen < said.length && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const closed = client.closed()
  client.socket.destroy()
  return { received: sink.received().slice(seen), closed, text: client.text() }
}

const bytewise = (bytes: Buffer) => [...bytes].map((byte) => Buffer.from([byte]))
const honest = (name: string) => clientHello([serverNames(name)])

/** The ClientHello of SSL 2 (RFC 6101 appendix E). */
const SSL2 = Buffer.from([
  0x80,
  0x1c,
  0x01,
  0x03,
  0x01,
  0,
  3,
  0,
  0,
  0,
  16,
  1,
  0,
  0x80,
  ...new Array<number>(16).fill(9),
])

const TUNNELS: Record<
  string,
  { readonly target?: string; readonly pieces: () => readonly Buffer[]; readonly together?: boolean }
> = {
  'the server name of another host': { pieces: () => [honest('evil.test')] },
  'the server name of another host, sent along with the CONNECT': {
    pieces: () => [honest('evil.test')],
    together: true,
  },
  'the server name of another host, byte by byte': { pieces: () => bytewise(honest('evil.test')) },
  'the server name of another host, over many records': { pieces: () => [clientHello([serverNames('evil.test')], 3)] },
  'the server name of another listed host': { pieces: () => [honest('https.test')] },
  'a server name below the host': { pieces: () => [honest('a.tls.test')] },
  'a server name that only ends like the host': { pieces: () => [honest('eviltls.test')] },
  'no server name': { pieces: () => [clientHello([])] },
  'an empty server name': { pieces: () => [clientHello([serverNames('')])] },
  'an address for a server name': { pieces: () => [honest('127.0.0.1')] },
  'two server names in one list': { pieces: () => [clientHello([serverNames('tls.test', 'evil.test')])] },
  'the server name extension twice': {
    pieces: () => [clientHello([serverNames('tls.test'), serverNames('evil.test')])],
  },
  'a server name with a null byte': { pieces: () => [honest('tls.test\0.evil.test')] },
  'a server name with a line break': { pieces: () => [honest('tls.test\r\nevil.test')] },
  'an encrypted ClientHello under the right name': {
    pieces: () => [clientHello([serverNames('tls.test'), ENCRYPTED])],
  },
  'a ClientHello longer than all bounds': {
    pieces: () => [clientHello([extension(21, Buffer.alloc(40_000)), serverNames('tls.test')])],
  },
  'a ClientHello that never ends': { pieces: () => [honest('tls.test').subarray(0, 40)] },
  'a ClientHello of SSL 2': { pieces: () => [SSL2] },
  'a TLS record that is no handshake': { target: 'https.test:443', pieces: () => [Buffer.from([23, 3, 3, 0, 1, 0])] },
  'plain HTTP on a port for TLS': { pieces: () => [Buffer.from('GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n')] },
  'plain HTTP behind blank lines': {
    pieces: () => [Buffer.from('\r\n\r\n GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n')],
  },
  'plain HTTP byte by byte': { pieces: () => bytewise(Buffer.from('POST / HTTP/1.1\r\nHost: evil.test\r\n\r\n')) },
  'plain HTTP with a method in small letters': {
    pieces: () => [Buffer.from('get / HTTP/1.1\r\nHost: evil.test\r\n\r\n')],
  },
  'HTTP/2 in the clear': { pieces: () => [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')] },
  'another protocol where DNS says who answers': { target: 'https.test:443', pieces: () => [Buffer.from('ping')] },
  'TLS for another host on a port for any protocol': { target: 'tcp.test:5432', pieces: () => [honest('evil.test')] },
  'TLS for another host on a port for any protocol, byte by byte': {
    target: 'tcp.test:5432',
    pieces: () => bytewise(honest('evil.test')),
  },
  'a name of another entry for a listed address': { target: '127.0.0.1:8443', pieces: () => [honest('tls.test')] },
}

for (const [name, { target = 'tls.test:443', pieces, together = false }] of Object.entries(TUNNELS)) {
  test(`nothing of it leaves a tunnel: ${name}`, async () => {
    const { received, closed, text } = await inTunnel(target, pieces(), together)
    assert.equal(received, '')
    assert.ok(closed, 'the tunnel is still open')
    assert.match(text, /^HTTP\/1\.1 200/)
  })
}

const HONEST_TUNNELS: Record<
  string,
  { readonly target?: string; readonly pieces: () => readonly Buffer[]; readonly together?: boolean }
> = {
  'the right server name': { pieces: () => [honest('tls.test')] },
  'the right server name in capitals': { pieces: () => [honest('TLS.Test')] },
  'the right server name, byte by byte': { pieces: () => bytewise(honest('tls.test')) },
  'the right server name, over many records': { pieces: () => [clientHello([serverNames('tls.test')], 3)] },
  'the right server name, sent along with the CONNECT': { pieces: () => [honest('tls.test')], together: true },
  'the right server name behind a long extension': {
    pieces: () => [clientHello([extension(21, Buffer.alloc(9000)), serverNames('tls.test')])],
  },
  'the right server name where DNS says who answers': {
    target: 'https.test:443',
    pieces: () => [honest('https.test')],
  },
  'another protocol where the list says who answers': { pieces: () => [Buffer.from('ping')] },
  'any protocol on a port for it': {
    target: 'tcp.test:5432',
    pieces: () => [Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f])],
  },
  'TLS for the right host on a port for any protocol': { target: 'tcp.test:5432', pieces: () => [honest('tcp.test')] },
  'TLS without a name on a port for any protocol': { target: 'tcp.test:5432', pieces: () => [clientHello([])] },
}

for (const [name, { target = 'tls.test:443', pieces, together = false }] of Object.entries(HONEST_TUNNELS)) {
  test(`counterpart: through a tunnel goes ${name}`, async () => {
    const { received } = await inTunnel(target, pieces(), together)
    assert.equal(received, Buffer.concat(pieces()).toString('latin1'))
  })
}

/** Opens a tunnel to the HTTP port of the listed host. */
async function httpTunnel(bytes: string): Promise<string> {
  const client = talk(listed.proxyPort)
  client.socket.write(connectTo(`good.test:${good.port}`))
  await client.until('\r\n\r\n')
  client.socket.write(fill(bytes))
  const end = performance.now() + 3000
  const behind = () => client.text().slice(client.text().indexOf('\r\n\r\n') + 4)
  while (!client.closed() && !/^HTTP\/1\.1 [0-9]{3}.*\r\n\r\n/s.test(behind()) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  client.socket.destroy()
  return behind()
}

const INSIDE: Record<string, string> = {
  'another Host': 'GET / HTTP/1.1\r\nhost: evil.test\r\n\r\n',
  'another port in its Host': 'GET / HTTP/1.1\r\nhost: good.test:{E}\r\n\r\n',
  'another host in absolute form': 'GET http://evil.test:{E}/ HTTP/1.1\r\nhost: good.test:{G}\r\n\r\n',
  'no Host': 'GET / HTTP/1.1\r\n\r\n',
  'a tunnel inside of the tunnel': 'CONNECT tls.test:443 HTTP/1.1\r\nhost: tls.test:443\r\n\r\n',
  'bytes that are no HTTP': '\u0016\u0003\u0001 not http at all\r\n\r\n',
}

for (const [name, bytes] of Object.entries(INSIDE)) {
  test(`refused inside of a tunnel to an HTTP port: ${name}`, async () => {
    const before = [evil.hosts.length, good.hosts.length, sink.connections()]
    assert.match(await httpTunnel(bytes), /^HTTP\/1\.1 (?:400|403)/)
    assert.deepEqual([evil.hosts.length, good.hosts.length, sink.connections()], before)
  })
}

test('counterpart: inside of a tunnel to an HTTP port its own host is served', async () => {
  assert.match(
    await httpTunnel('GET / HTTP/1.1\r\nhost: good.test:{G}\r\nconnection: close\r\n\r\n'),
    /^HTTP\/1\.1 200/,
  )
})

/** What a name may lead to, besides where it should. */
const INSIDE_ADDRESSES = [
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.9',
  '192.168.1.1',
  '169.254.169.254',
  '100.100.100.200',
  '0.0.0.0',
  '224.0.0.1',
  '::1',
  '::',
  'fe80::1',
  'fd12::1',
  '::ffff:7f00:1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::a00:1',
  '2002:a00:1::',
]

for (const address of INSIDE_ADDRESSES) {
  test(`a listed name that leads to ${address} is refused, unless the ServiceEntry names the address`, async () => {
    const host = `n${address.replaceAll(/[:.]/g, '-')}n.test`
    dns.records.set(host, [{ address, ttl: 0 }])
    const names = `resolution: DNS\n`
    const proxy = await startForwardProxy(
      entry(host, evil.port, 'HTTP', names) + entry(host, 443, 'TCP', names),
      {},
      {
        resolve: systemResolve(60_000, { servers: [dns.address], families: () => ({ ipv4: true, ipv6: true }) }),
      },
    )
    try {
      const seen = evil.hosts.length
      for (const bytes of [get(`http://${host}:${evil.port}/`), connectTo(`${host}:443`)]) {
        const answer = await attempt(proxy, bytes)
        assert.deepEqual([answer.status, answer.denied], [403, 'private-address'], answer.text)
      }
      assert.equal(evil.hosts.length, seen)
      if (address !== '127.0.0.1') return
      await proxy.apply(entry(host, evil.port, 'HTTP', `resolution: DNS\naddresses: ['${address}']`))
      assert.equal((await attempt(proxy, get(`http://${host}:${evil.port}/`))).status, 200)
    } finally {
      await proxy.stop()
    }
  })
}

test('one inside address among others refuses the whole answer', async () => {
  dns.records.set('mixed.test', [
    { address: '127.0.0.5', ttl: 0 },
    { address: '127.0.0.1', ttl: 0 },
  ])
  const spec = 'resolution: DNS\naddresses: [127.0.0.5]'
  const proxy = await startForwardProxy(
    entry('mixed.test', evil.port, 'HTTP', spec),
    {},
    {
      resolve: systemResolve(60_000, { servers: [dns.address], families: () => ({ ipv4: true, ipv6: false }) }),
    },
  )
  try {
    const seen = evil.hosts.length
    const answer = await attempt(proxy, get(`http://mixed.test:${evil.port}/`))
    assert.equal(answer.denied, 'private-address')
    assert.equal(evil.hosts.length, seen)
  } finally {
    await proxy.stop()
  }
})

test('a name is resolved once, and what was judged is dialled: an answer that changes reaches nobody', async () => {
  const outside = await startSink('127.0.0.5')
  const inside = await startSink('127.0.0.1', outside.port)
  const spec = `resolution: DNS\naddresses: [127.0.0.5]`
  let answers = 0
  const proxy = await startForwardProxy(
    entry('rebind.test', outside.port, 'TCP', spec),
    { idleMs: 200 },
    // The attacker's name server: an outside address for whoever checks, an inside one for whoever dials.
    { resolve: async () => ({ addresses: [answers++ === 0 ? '127.0.0.5' : '127.0.0.1'], ttlMs: 0 }) },
  )
  const target = connectTo(`rebind.test:${outside.port}`)
  try {
    const first = talk(proxy.proxyPort)
    first.socket.write(target)
    assert.match(await first.until('\r\n\r\n'), /^HTTP\/1\.1 200/)
    assert.deepEqual([answers, outside.connections(), inside.connections()], [1, 1, 0])
    first.socket.destroy()
    // Once the destination was given up it is resolved anew, to what is then refused.
    await eventually(() => assert.equal(proxy.plane.stats().metrics.egress?.destinations, 0))
    assert.equal((await attempt(proxy, target)).denied, 'private-address')
    assert.equal(inside.connections(), 0)
  } finally {
    await proxy.stop()
    outside.stop()
    inside.stop()
  }
})
