import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { TestCertificates } from '../support/certificates.ts'
import { eventually, type LiveGateway, startGateway } from '../support/live.ts'
import { skipWithout } from '../support/requirements.ts'

const certificates = new TestCertificates()
after(() => certificates.remove())
const logFile = join(certificates.folder, 'access.log')

interface Peer {
  readonly port: number
  readonly sockets: Set<Socket>
}

async function listen(server: Server): Promise<Peer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sockets }
}

/** Echoes, with its name in front; says goodbye when its client has sent its last byte. */
function echo(name: string) {
  return (socket: Socket) => {
    socket.on('error', () => {})
    socket.write(`${name}:`)
    socket.on('data', (data) => {
      if (!socket.write(data)) socket.pause()
    })
    socket.on('drain', () => socket.resume())
    socket.on('end', () => socket.end(':bye'))
  }
}

const a = await listen(createTcpServer({ allowHalfOpen: true }, echo('a')))
const b = await listen(createTcpServer({ allowHalfOpen: true }, echo('b')))

const PORTS = [8080, 8443]
const gatewayOf = (servers: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec: { servers: [${servers}] }
---
`
const TCP = gatewayOf(`{ port: { number: ${PORTS[0]}, name: tcp, protocol: TCP }, hosts: ["*"] }`)

const service = (name: string, port: number, more = '') => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test]
  ports: [{ number: 9000, name: tcp, protocol: TCP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { tcp: ${port} }${more} }]
---
`
const to = (name: string, weight = '') => `{ destination: { host: ${name}.test, port: { number: 9000 } }${weight} }`
const routesOf = (kind: 'tcp' | 'tls', rules: string, hosts = '"*"') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: routes }
spec: { hosts: [${hosts}], gateways: [istio-system/gw], ${kind}: ${rules} }
---
`
const destinationRule = (name: string, policy: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec: { host: ${name}.test, trafficPolicy: ${policy} }
---
`
const policy = (name: string, spec: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: istio-system }
spec: ${spec}
---
`
const toA = TCP + service('a', a.port) + routesOf('tcp', `[{ route: [${to('a')}] }]`)

const gateway = await startGateway(toA, { mesh: { accessLogFile: logFile, accessLogEncoding: 'JSON' } })
after(() => gateway.stop())

/** What comes back until the gateway ends the connection, and the connection's line in the log. */
async function talkLogged(port: number, say: string): Promise<readonly [text: string, line: LogLine]> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const line = lineOf(socket)
  let text = ''
  socket.on('data', (data: Buffer) => (text += data.toString()))
  socket.end(say)
  await closed(socket)
  return [text, await line]
}

/** The same without looking into the log. */
async function talk(port: number, say: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  socket.on('data', (data: Buffer) => (text += data.toString()))
  socket.end(say)
  await closed(socket)
  return text
}

/** However it ends. */
async function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve))
}

/** The line of a connection, by its client's port, once it is there. */
async function lineOf(socket: Socket): Promise<LogLine> {
  if (socket.localPort === undefined || socket.connecting) await once(socket, 'connect')
  const client = `127.0.0.1:${socket.localPort}`
  let found: LogLine | undefined
  await eventually(() => {
    found = readLog().find((line) => line.downstream_remote_address === client)
    assert.ok(found, `no line for ${client}`)
  }, 10_000)
  return found!
}

interface LogLine {
  readonly method: string | null
  readonly protocol: string | null
  readonly response_code: number
  readonly response_flags: string
  readonly response_code_details: string | null
  readonly connection_termination_details: string | null
  readonly upstream_cluster: string | null
  readonly requested_server_name: string | null
  readonly bytes_received: number
  readonly bytes_sent: number
  readonly downstream_remote_address: string
}

function readLog(): readonly LogLine[] {
  try {
    const lines = readFileSync(logFile, 'utf8').trim().split('\n')
    return lines.filter(Boolean).map((line) => JSON.parse(line) as LogLine)
  } catch {
    return []
  }
}

test('bytes pass both ways; a client that has sent its last byte still gets the answer', async () => {
  const [text, line] = await talkLogged(gateway.port(PORTS[0]), 'hello')
  assert.equal(text, 'a:hello:bye')
  assert.deepEqual(
    [line.method, line.protocol, line.response_code, line.response_flags, line.upstream_cluster],
    [null, null, 0, '-', 'outbound|9000||a.test'],
  )
  assert.deepEqual([line.bytes_received, line.bytes_sent], [5, 11])
})

test('the metrics count connections and bytes, of open ones too', async () => {
  const series = () =>
    (gateway.plane.stats().metrics.tcp ?? [])
      .filter(({ labels }) => labels.includes('a.test') && labels.at(-2) === '-')
      .map(({ values }) => values)[0]!
  const before = series()
  const socket = connect(gateway.port(PORTS[0]), '127.0.0.1')
  socket.write('12345')
  await eventually(() => {
    const now = series()
    assert.deepEqual(
      now.map((value, i) => value - before[i]!),
      [1, 0, 7, 5],
    )
  })
  socket.destroy()
  await eventually(() => assert.equal(series()[1]! - before[1]!, 1))
})

test('weights draw a destination for each connection', async () => {
  await gateway.apply(
    TCP +
      service('a', a.port) +
      service('b', b.port) +
      routesOf('tcp', `[{ route: [${to('a', ', weight: 50')}, ${to('b', ', weight: 50')}] }]`),
  )
  const answers = await Promise.all(Array.from({ length: 40 }, () => talk(gateway.port(PORTS[0]), '')))
  assert.deepEqual([...new Set(answers)].sort(), ['a::bye', 'b::bye'])
  await gateway.apply(toA)
})

test('a connection that can go nowhere is closed, and the log says why', async () => {
  const cases = {
    NR: TCP,
    NC: TCP + routesOf('tcp', `[{ route: [${to('nowhere')}] }]`),
    UH:
      TCP +
      service('a', a.port).replace(/endpoints: .*/, 'endpoints: []') +
      routesOf('tcp', `[{ route: [${to('a')}] }]`),
    'UF,URX': TCP + service('dead', 1) + routesOf('tcp', `[{ route: [${to('dead')}] }]`),
  }
  for (const [flags, resources] of Object.entries(cases)) {
    await gateway.apply(resources)
    const [text, line] = await talkLogged(gateway.port(PORTS[0]), 'x')
    assert.deepEqual([text, line.response_flags], ['', flags])
  }
  await gateway.apply(toA)
})

test('connections beyond the limit are closed; one that ends makes room', async () => {
  await gateway.apply(toA + destinationRule('a', '{ connectionPool: { tcp: { maxConnections: 1 } } }'))
  const first = connect(gateway.port(PORTS[0]), '127.0.0.1')
  await once(first, 'data')
  const [text, line] = await talkLogged(gateway.port(PORTS[0]), '')
  assert.deepEqual([text, line.response_flags], ['', 'UO'])
  first.destroy()
  await eventually(async () => assert.equal(await talk(gateway.port(PORTS[0]), ''), 'a::bye'))
  await gateway.apply(toA)
})

test('an endpoint that cannot be connected is left out after a few tries', async () => {
  await gateway.apply(
    TCP +
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: two }
spec:
  hosts: [two.test]
  ports: [{ number: 9000, name: tcp, protocol: TCP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { tcp: 1 } }, { address: 127.0.0.2, ports: { tcp: ${a.port} } }]
---
` +
      routesOf('tcp', `[{ route: [${to('two')}] }]`) +
      destinationRule('two', '{ outlierDetection: { consecutive5xxErrors: 2, maxEjectionPercent: 100 } }'),
  )
  for (let i = 0; i < 12; i++) await talk(gateway.port(PORTS[0]), '')
  const cluster = gateway.plane.stats().clusters.find(({ name }) => name === 'outbound|9000||two.test')!
  assert.ok(cluster.endpoints.some(({ ejectedUntil }) => typeof ejectedUntil === 'number'))
  await gateway.apply(toA)
})

test('idle connections are closed after tcp.idleTimeout, and none lasts longer than maxConnectionDuration', async () => {
  for (const [settings, details] of [
    ['idleTimeout: 100ms', 'tcp_session_idle_timeout'],
    ['maxConnectionDuration: 100ms', 'max_connection_duration'],
  ]) {
    await gateway.apply(toA + destinationRule('a', `{ connectionPool: { tcp: { ${settings} } } }`))
    const socket = connect(gateway.port(PORTS[0]), '127.0.0.1')
    socket.resume()
    assert.equal((await lineOf(socket)).response_code_details, details)
    await closed(socket)
  }
  await gateway.apply(toA)
})

test('policies that say nothing of requests guard connections; what denies by a request denies them all', async () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['allow loopback', `{ rules: [{ from: [{ source: { ipBlocks: [127.0.0.0/8] } }] }] }`, true],
    ['allow others', `{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/8] } }] }] }`, false],
    ['allow by path', `{ rules: [{ to: [{ operation: { paths: ["/*"] } }] }] }`, false],
    ['deny the port', `{ action: DENY, rules: [{ to: [{ operation: { ports: ["${PORTS[0]}"] } }] }] }`, false],
    ['deny by method', `{ action: DENY, rules: [{ to: [{ operation: { methods: [DELETE] } }] }] }`, false],
    [
      'deny others by method',
      `{ action: DENY, rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/8] } }], to: [{ operation: { methods: [DELETE] } }] }] }`,
      true,
    ],
  ]
  for (const [name, spec, passes] of cases) {
    await gateway.apply(toA + policy('guard', spec))
    const [text, line] = await talkLogged(gateway.port(PORTS[0]), 'x')
    assert.equal(text, passes ? 'a:x:bye' : '', name)
    if (!passes) assert.match(line.connection_termination_details!, /^rbac_access_denied_matched_policy\[/)
  }
  await gateway.apply(toA)
})

test('a reload leaves connections alone; one whose port is gone ends after the time to drain', async () => {
  const own = await startGateway(toA, { settings: { drainMs: 400 } })
  const socket = connect(own.port(PORTS[0]), '127.0.0.1')
  await once(socket, 'data')
  await own.apply(TCP + service('b', b.port) + routesOf('tcp', `[{ route: [${to('b')}] }]`))
  assert.equal(await talk(own.port(PORTS[0]), ''), 'b::bye')
  socket.write('still here')
  assert.equal(String((await once(socket, 'data'))[0]), 'still here')
  await own.apply(gatewayOf(`{ port: { number: ${PORTS[1]}, name: tcp, protocol: TCP }, hosts: ["*"] }`))
  socket.resume()
  await closed(socket)
  await own.stop()
})

describe('TLS that is passed on, and TLS that ends here', { skip: skipWithout('openssl') }, () => {
  const ca = certificates.authority('ca')
  const leaf = (name: string) => certificates.leaf(ca, [name])

  async function tlsPeer(name: string): Promise<Peer> {
    const { certificate, key } = leaf(name)
    const options = { cert: certificate, key, ca: ca.certificate, requestCert: true, rejectUnauthorized: false }
    const server = createTlsServer({ ...options, ALPNProtocols: ['own/1', 'istio'] }, (socket) => {
      socket.on('error', () => {})
      const subject = String(socket.getPeerCertificate()?.subject?.CN ?? 'nobody')
      socket.write(`${name} ${String(socket.alpnProtocol)} ${subject}`)
    })
    server.on('tlsClientError', () => {})
    return listen(server)
  }

  const setUp = async (): Promise<LiveGateway> => {
    const [one, other] = [await tlsPeer('one.pass.test'), await tlsPeer('two.pass.test')]
    const web = leaf('web.test')
    const db = leaf('db.test')
    return startGateway(
      gatewayOf(`
        { port: { number: 8443, name: tls, protocol: TLS }, hosts: ["*.pass.test"], tls: { mode: PASSTHROUGH } },
        { port: { number: 8443, name: https, protocol: HTTPS }, hosts: [web.test], tls: { mode: SIMPLE, serverCertificate: ${web.certificateFile}, privateKey: ${web.keyFile} } },
        { port: { number: 8443, name: tls-db, protocol: TLS }, hosts: [db.test], tls: { mode: SIMPLE, serverCertificate: ${db.certificateFile}, privateKey: ${db.keyFile} } }`) +
        service('one', one.port) +
        service('two', other.port) +
        service('a', a.port) +
        routesOf(
          'tls',
          `[{ match: [{ sniHosts: [one.pass.test] }], route: [${to('one')}] }, { match: [{ sniHosts: ["*.pass.test"] }], route: [${to('two')}] }], tcp: [{ match: [{ port: 8443 }], route: [${to('a')}] }], http: [{ directResponse: { status: 200, body: { string: web } } }]`,
          '"*.pass.test", db.test, web.test',
        ),
      { mesh: { accessLogFile: logFile, accessLogEncoding: 'JSON' } },
    )
  }
  const started = setUp()
  after(async () => (await started).stop())

  async function handshake(servername: string, more: object = {}): Promise<TLSSocket> {
    const port = (await started).port(8443)
    const socket = connectTls({ host: '127.0.0.1', port, servername, ca: ca.certificate, ...more })
    await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), closed(socket)])
    return socket
  }

  test('certificates, ALPN and client certificates are between the client and the upstream of its SNI', async () => {
    const { certificate, key } = certificates.leaf(ca, ['client.test'], { commonName: 'me' })
    const socket = await handshake('one.pass.test', { ALPNProtocols: ['own/1'], cert: certificate, key })
    assert.equal(socket.authorized, true)
    assert.equal(String((await once(socket, 'data'))[0]), 'one.pass.test own/1 me')
    const found = lineOf(socket)
    socket.end()
    const line = await found
    assert.deepEqual([line.requested_server_name, line.upstream_cluster], ['one.pass.test', 'outbound|9000||one.test'])
    const wild = await handshake('two.pass.test')
    assert.equal(String((await once(wild, 'data'))[0]), 'two.pass.test false nobody')
    wild.destroy()
  })

  test('a ClientHello that comes byte by byte is read as one that comes whole', async () => {
    const port = (await started).port(8443)
    const front = createTcpServer((near) => {
      const far = connect({ port, host: '127.0.0.1', noDelay: true })
      near.on('error', () => far.destroy())
      far.on('error', () => near.destroy())
      near.on('data', (data: Buffer) => {
        for (let i = 0; i < data.length; i++) far.write(data.subarray(i, i + 1))
      })
      far.pipe(near)
    })
    const { port: slow } = await listen(front)
    const socket = connectTls({ host: '127.0.0.1', port: slow, servername: 'one.pass.test', ca: ca.certificate })
    assert.match(String((await once(socket, 'data'))[0]), /^one\.pass\.test/)
    socket.destroy()
  })

  test('names that nobody has, no name, and what is no TLS are closed; nothing reaches an upstream', async () => {
    for (const name of ['pass.test', 'other.test']) {
      const socket = connectTls({ host: '127.0.0.1', port: (await started).port(8443), servername: name })
      const line = lineOf(socket)
      await closed(socket)
      const { response_flags: flags, response_code_details: details, requested_server_name: asked } = await line
      assert.deepEqual([flags, details, asked], ['NR', 'filter_chain_not_found', name])
    }
    assert.equal(await talk((await started).port(8443), 'GET / HTTP/1.1\r\n\r\n'), '')
  })

  test('beside it the same port ends TLS: for HTTP, and for bytes that go on in plain text', async () => {
    const web = await handshake('web.test')
    web.write('GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n')
    let text = ''
    web.on('data', (data: Buffer) => (text += data.toString()))
    await closed(web)
    assert.match(text, /^HTTP\/1\.1 200 [^]*\r\n\r\nweb$/)
    const db = await handshake('db.test')
    let got = ''
    db.on('data', (data: Buffer) => (got += data.toString()))
    const line = lineOf(db)
    db.end('query')
    await closed(db)
    assert.equal(got, 'a:query:bye')
    assert.equal((await line).requested_server_name, 'db.test')
  })

  test('AUTO_PASSTHROUGH takes a cluster by its name from clients of the mesh, and from nobody else', async () => {
    const peer = await tlsPeer('outbound_.9000_._.one.test')
    const own = await startGateway(
      gatewayOf(
        `{ port: { number: 8443, name: tls, protocol: TLS }, hosts: ["*.test"], tls: { mode: AUTO_PASSTHROUGH } }`,
      ) +
        service('one', peer.port).replace('resolution:', 'location: MESH_INTERNAL\n  resolution:') +
        policy('guard', '{}'),
    )
    const options = { host: '127.0.0.1', port: own.port(8443), servername: 'outbound_.9000_._.one.test' }
    const friend = connectTls({ ...options, ALPNProtocols: ['istio'], rejectUnauthorized: false })
    assert.match(String((await once(friend, 'data'))[0]), /^outbound_\.9000_\._\.one\.test istio/)
    friend.destroy()
    for (const stranger of [{ ALPNProtocols: ['h2'] }, { ALPNProtocols: ['istio'], servername: 'one.test' }]) {
      const socket = connectTls({ ...options, rejectUnauthorized: false, ...stranger })
      await closed(socket)
    }
    await own.stop()
  })

  test('TLS towards the upstream is begun by the DestinationRule, and its peer has to be who it should', async () => {
    const peer = await tlsPeer('a.test')
    const tls = (more: string) =>
      destinationRule('a', `{ tls: { mode: SIMPLE, caCertificates: ${ca.certificateFile}${more} } }`)
    const resources = TCP + service('a', peer.port) + routesOf('tcp', `[{ route: [${to('a')}] }]`)
    await gateway.apply(resources + tls(''))
    const socket = connect(gateway.port(PORTS[0]), '127.0.0.1')
    assert.equal(String((await once(socket, 'data'))[0]), 'a.test false nobody')
    socket.destroy()
    await gateway.apply(resources + tls(', subjectAltNames: [other.test]'))
    const [text, line] = await talkLogged(gateway.port(PORTS[0]), 'secret')
    assert.deepEqual([text, line.response_flags], ['', 'UF,URX'])
    await gateway.apply(toA)
  })
})
