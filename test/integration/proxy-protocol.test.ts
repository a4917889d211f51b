import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { writeProxyHeader } from '../../src/lib/proxy-protocol.ts'
import { TestCertificates } from '../support/certificates.ts'
import { eventually, GATEWAY, raw, routes, service, startGateway, startUpstream } from '../support/live.ts'
import { skipWithout } from '../support/requirements.ts'

const certificates = new TestCertificates()
after(() => certificates.remove())
const CLIENT = { source: { address: '192.0.2.7', port: 1234 }, destination: { address: '198.51.100.1', port: 80 } }

const upstream = await startUpstream((req, res) => res.end(String(req.headers['x-forwarded-for'])))
after(() => upstream.stop())

const HTTP = GATEWAY + service('echo', upstream.port) + routes('[{ route: [{ destination: { host: echo.test } }] }]')
const EVERYWHERE = { ports: null, trustedSources: [] }
const GET = 'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n'

const policy = (field: string, block: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: guard, namespace: istio-system }
spec: { rules: [{ from: [{ source: { ${field}: [${block}] } }] }] }
---
`

test('the client is whom the header names: in x-forwarded-for, for remoteIpBlocks, and not for ipBlocks', async () => {
  const gateway = await startGateway(HTTP, { settings: { proxyProtocol: EVERYWHERE } })
  after(() => gateway.stop())
  for (const version of [1, 2] as const) {
    const { text } = await raw(gateway.port(), `${writeProxyHeader(CLIENT, version).toString('latin1')}${GET}`)
    assert.match(text, /^HTTP\/1\.1 200 [^]*192\.0\.2\.7$/, `version ${version}`)
  }
  const line = writeProxyHeader(CLIENT, 1).toString()
  const cases = [
    ['remoteIpBlocks', '192.0.2.0/24', 200],
    ['ipBlocks', '192.0.2.0/24', 403],
    ['ipBlocks', '127.0.0.0/8', 200],
  ] as const
  for (const [field, block, status] of cases) {
    await gateway.apply(HTTP + policy(field, block))
    const { text } = await raw(gateway.port(), line + GET)
    assert.match(text, new RegExp(`^HTTP/1.1 ${status} `), `${field} ${block}`)
  }
})

test('a connection without a header, or with a broken one, is closed without an answer', async () => {
  const gateway = await startGateway(HTTP, { settings: { proxyProtocol: EVERYWHERE } })
  after(() => gateway.stop())
  for (const bytes of [GET, `PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n${GET}`, `\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0${GET}`]) {
    assert.deepEqual(await raw(gateway.port(), bytes), { text: '', closed: true })
  }
  const { text } = await raw(gateway.port(), `PROXY UNKNOWN\r\n${GET}`)
  assert.match(text, /^HTTP\/1\.1 200 [^]*192\.0\.2\.1$/, "the balancer's own connection: a loopback peer")
})

test('a header from a source that is not trusted is not believed, and one is not asked for', async () => {
  const settings = { proxyProtocol: { ports: [80], trustedSources: ['10.0.0.0/8', '2001:db8::1'] } }
  const gateway = await startGateway(HTTP, { settings })
  after(() => gateway.stop())
  assert.match((await raw(gateway.port(), GET)).text, /^HTTP\/1\.1 200 /)
  assert.match((await raw(gateway.port(), writeProxyHeader(CLIENT, 1).toString() + GET)).text, /^HTTP\/1\.1 400 /)
})

test('ports that are not named are taken as they are', async () => {
  const gateway = await startGateway(HTTP, { settings: { proxyProtocol: { ports: [8080], trustedSources: [] } } })
  after(() => gateway.stop())
  assert.match((await raw(gateway.port(), GET)).text, /^HTTP\/1\.1 200 /)
})

test('in front of TCP nothing of the header, and all that follows it, reaches the upstream', async () => {
  let seen = ''
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => (seen += data.toString()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => server.close())
  const { port } = server.address() as AddressInfo
  const gateway = await startGateway(
    `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec: { servers: [{ port: { number: 8080, name: tcp, protocol: TCP }, hosts: ["*"] }] }
---
${service('t', port)}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: tcp }
spec: { hosts: ["*"], gateways: [istio-system/gw], tcp: [{ route: [{ destination: { host: t.test } }] }] }
---
${policy('remoteIpBlocks', '192.0.2.7')}`,
    { settings: { proxyProtocol: EVERYWHERE } },
  )
  after(() => gateway.stop())
  const client = connect(gateway.port(8080), '127.0.0.1')
  after(() => client.destroy())
  client.setNoDelay(true)
  // Byte by byte: the header is read whole, and no more than it.
  for (const byte of Buffer.concat([writeProxyHeader(CLIENT, 2), Buffer.from('the rest')])) {
    client.write(Buffer.from([byte]))
  }
  await eventually(() => assert.equal(seen, 'the rest'))
})

test('the header is in front of TLS', { skip: skipWithout('openssl') }, async () => {
  const ca = certificates.authority('ca')
  const leaf = certificates.leaf(ca, ['app.test'])
  const gateway = await startGateway(
    HTTP.replace(
      "{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }",
      `{ port: { number: 443, name: https, protocol: HTTPS }, hosts: [app.test], tls: { mode: SIMPLE, serverCertificate: ${leaf.certificateFile}, privateKey: ${leaf.keyFile} } }`,
    ),
    { settings: { proxyProtocol: { ports: [443], trustedSources: ['127.0.0.1'] } } },
  )
  after(() => gateway.stop())
  const tcp = connect(gateway.port(443), '127.0.0.1')
  tcp.write(writeProxyHeader(CLIENT, 2))
  const client = connectTls({ socket: tcp, servername: 'app.test', ca: ca.certificate })
  client.write(GET)
  let text = ''
  for await (const chunk of client) text += String(chunk)
  assert.match(text, /^HTTP\/1\.1 200 [^]*192\.0\.2\.7$/)
})
