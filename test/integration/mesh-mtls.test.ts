/** The gateway towards sidecars: ISTIO_MUTUAL and auto mTLS through a whole data plane, to real TLS peers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { ask, eventually, GATEWAY, type LiveGateway, routes, startGateway, startUpstream } from '../support/live.ts'
import { type KeyPairFiles, TestCertificates } from '../support/certificates.ts'
import { skipWithout } from '../support/requirements.ts'

const SIDECAR = 'spiffe://cluster.local/ns/default/sa/shop'
const GATEWAY_ID = 'spiffe://cluster.local/ns/istio-system/sa/gateway'

describe('mesh mTLS', { skip: skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  const mesh = made.authority('mesh')
  const read = (path: string) => readFileSync(path, 'utf8')
  const identityOf = (files: KeyPairFiles) => ({
    certificateChain: read(files.certificateFile),
    privateKey: read(files.keyFile),
    rootCertificates: read(mesh.certificateFile),
    notAfter: Date.now() + 3_600_000,
    spiffeId: GATEWAY_ID,
  })
  const own = made.leaf(mesh, [GATEWAY_ID])
  let sidecar: Server
  let impostor: Server
  let plain: Awaited<ReturnType<typeof startUpstream>>
  let gateway: LiveGateway
  const seen: { sni: string | false | null; alpn: string | false | null; peer: string; session: boolean }[] = []

  /** A peer that demands a certificate of the mesh, as a STRICT sidecar does. */
  const listen = async (files: KeyPairFiles): Promise<Server> => {
    const server = createServer(
      {
        cert: read(files.certificateFile),
        key: read(files.keyFile),
        ca: read(mesh.certificateFile),
        requestCert: true,
        rejectUnauthorized: true,
        ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
      },
      (req, res) => {
        const socket = req.socket as TLSSocket & { servername: string | false | null }
        seen.push({
          sni: socket.servername,
          alpn: socket.alpnProtocol,
          peer: socket.getPeerCertificate().subjectaltname ?? '',
          session: socket.isSessionReused(),
        })
        res.end('over mTLS')
      },
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  const portOf = (server: Server) => (server.address() as AddressInfo).port

  const meshService = (name: string, port: number, labels: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: shop, labels: ${labels} }]
---
`
  const istioMutual = (name: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec: { host: ${name}.default.svc.cluster.local, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }
---
`
  const to = (name: string) => `{ destination: { host: ${name}.default.svc.cluster.local } }`

  before(async () => {
    sidecar = await listen(made.leaf(mesh, [SIDECAR]))
    impostor = await listen(made.leaf(mesh, ['spiffe://cluster.local/ns/default/sa/other']))
    plain = await startUpstream((_req, res) => res.end('in plain text'))
    gateway = await startGateway(
      GATEWAY +
        meshService('strict', portOf(sidecar), '{}') +
        istioMutual('strict') +
        meshService('wrong', portOf(impostor), '{}') +
        istioMutual('wrong') +
        meshService('auto', portOf(sidecar), '{ security.istio.io/tlsMode: istio }') +
        meshService('bare', plain.port, '{}') +
        routes(`[
          { match: [{ uri: { prefix: /strict } }], route: [${to('strict')}] },
          { match: [{ uri: { prefix: /wrong } }], route: [${to('wrong')}], retries: { attempts: 0 } },
          { match: [{ uri: { prefix: /auto } }], route: [${to('auto')}] },
          { match: [{ uri: { prefix: /bare } }], route: [${to('bare')}] }]`),
      { mesh: { hasMeshIdentity: true } },
    )
  })
  after(async () => {
    await gateway.stop()
    for (const server of [sidecar, impostor]) {
      server.close()
      server.closeAllConnections()
    }
    plain.stop()
    made.remove()
  })

  test('without its certificate the gateway answers 503 and sends nothing', async () => {
    const { status } = await ask({ port: gateway.port(), path: '/strict' })
    assert.equal(status, 503)
    assert.deepEqual(seen, [])
  })

  test('ISTIO_MUTUAL: the sidecar sees the mesh’s ALPN, the service’s SNI and the gateway’s identity', async () => {
    gateway.plane.setIdentity(identityOf(own))
    await eventually(async () => {
      const { status, body } = await ask({ port: gateway.port(), path: '/strict' })
      assert.deepEqual([status, body], [200, 'over mTLS'])
    })
    assert.deepEqual(seen.at(-1), {
      sni: 'outbound_.80_._.strict.default.svc.cluster.local',
      alpn: 'istio-http/1.1',
      peer: `URI:${GATEWAY_ID}`,
      session: false,
    })
  })

  test('a peer with another service’s identity is refused: 503, and the request never reaches it', async () => {
    const before = seen.length
    const { status, body } = await ask({ port: gateway.port(), path: '/wrong' })
    assert.equal(status, 503)
    assert.match(
      body,
      /^upstream connect error .* reset reason: remote connection failure, transport failure reason: TLS_error/,
    )
    assert.equal(seen.length, before)
  })

  test('auto mTLS: endpoints with a sidecar get mTLS, the others plain text', async () => {
    assert.equal((await ask({ port: gateway.port(), path: '/auto' })).body, 'over mTLS')
    assert.equal((await ask({ port: gateway.port(), path: '/bare' })).body, 'in plain text')
  })

  test('a rotated certificate is shown to the next connection, and requests go on meanwhile', async () => {
    const next = 'spiffe://cluster.local/ns/istio-system/sa/gateway-next'
    gateway.plane.setIdentity({ ...identityOf(made.leaf(mesh, [next])), spiffeId: next })
    await eventually(async () => {
      assert.equal((await ask({ port: gateway.port(), path: '/strict' })).status, 200)
      assert.equal(seen.at(-1)?.peer, `URI:${next}`)
    })
  })
})
