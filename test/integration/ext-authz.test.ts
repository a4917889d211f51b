/** External authorizers: connections to them, what the log says, and providers that cannot be used. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startGrpcAuthorizer } from '../support/authorizer.ts'
import { TestCertificates } from '../support/certificates.ts'
import { allow, askMine, services, useGuarded } from '../support/guarded.ts'
import { ask, eventually, startGateway } from '../support/live.ts'

const { app, open, guard, httpAuthorizer } = useGuarded()

const DENIED = 'RBAC: access denied'

describe('a connection to an authorizer', () => {
  const made = new TestCertificates()
  after(() => {
    made.remove()
  })
  const ca = made.authority('authorizers')
  const leaf = made.leaf(ca, ['secure.test'])
  const tls = (authority: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: authz }
spec:
  host: secure.test
  trafficPolicy: { tls: { mode: SIMPLE, caCertificates: ${authority} } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: secure }
spec:
  hosts: [secure.test]
  ports: [{ number: 443, name: PORT, protocol: PROTOCOL }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { PORT: ENDPOINT } }]
---
`
  const secure = { service: 'secure.test', port: 443 }
  const rule = (authority: string, protocol: string, port: number) =>
    tls(authority).replaceAll('PORT', 'p').replaceAll('PROTOCOL', protocol).replaceAll('ENDPOINT', String(port))

  test('is made with the TLS of its DestinationRule, for gRPC', async () => {
    const authorizer = await startGrpcAuthorizer({ tls: leaf })
    open.push(() => authorizer.stop())
    const trusted = await guard('Grpc', authorizer.port, secure, rule(ca.certificateFile, 'GRPC', authorizer.port))
    assert.equal((await ask({ port: trusted.port() })).status, 200)
    const other = made.authority('elsewhere').certificateFile
    const distrusted = await guard('Grpc', authorizer.port, secure, rule(other, 'GRPC', authorizer.port))
    assert.equal((await ask({ port: distrusted.port() })).status, 403)
    assert.equal(authorizer.seen.length, 1)
  })

  test('is made with the TLS of its DestinationRule, for HTTP', async () => {
    let requests = 0
    const server = createTlsServer({ cert: leaf.certificate, key: leaf.key }, (_, res) => {
      requests++
      res.end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(() => (server.closeAllConnections(), server.close()))
    const { port } = server.address() as AddressInfo
    const trusted = await guard('Http', port, secure, rule(ca.certificateFile, 'HTTP', port))
    assert.equal((await ask({ port: trusted.port() })).status, 200)
    const distrusted = await guard(
      'Http',
      port,
      secure,
      rule(made.authority('elsewhere').certificateFile, 'HTTP', port),
    )
    assert.equal((await ask({ port: distrusted.port() })).status, 403)
    assert.equal(requests, 1)
  })
})

describe('the access log', () => {
  test('has the flag UAEX, and tells a refusal from a failure by its details', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ext-authz-')), 'access.log')
    const authorizer = await httpAuthorizer((_, res) => void res.writeHead(401).end('no'))
    const gateway = await startGateway(services(app.port, authorizer.port) + askMine('/*'), {
      mesh: {
        accessLogFile: file,
        accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n',
        extensionProviders: [{ name: 'mine', envoyExtAuthzHttp: { service: 'authz.test', port: 80 } }],
      },
    })
    open.push(() => gateway.stop())
    await ask({ port: gateway.port() })
    authorizer.answer = (_, res) => void res.writeHead(500).end()
    await ask({ port: gateway.port() })
    await eventually(() => {
      assert.equal(readFileSync(file, 'utf8'), '401 UAEX ext_authz_denied\n403 UAEX ext_authz_error\n')
    })
    rmSync(dirname(file), { recursive: true })
  })
})

describe('a provider that cannot be used', () => {
  const bad: Record<string, object[]> = {
    'is not defined': [],
    'has a service that is not known': [{ name: 'mine', envoyExtAuthzHttp: { service: 'nowhere.test', port: 80 } }],
    'has a port that its service has not': [
      { name: 'mine', envoyExtAuthzHttp: { service: 'authz.test', port: 81, failOpen: true } },
    ],
    'is of another kind': [{ name: 'mine', zipkin: { service: 'authz.test', port: 80 } }],
    'has a field that is wrong': [
      { name: 'mine', envoyExtAuthzGrpc: { service: 'authz.test', port: 80, statusOnError: 'no', failOpen: true } },
    ],
  }
  for (const [what, extensionProviders] of Object.entries(bad)) {
    test(`because it ${what} closes what its policy guards, and nothing else`, async () => {
      const authorizer = await httpAuthorizer(allow)
      const gateway = await startGateway(services(app.port, authorizer.port) + askMine('/private*'), {
        mesh: { extensionProviders: extensionProviders as Record<string, unknown>[] },
      })
      open.push(() => gateway.stop())
      const refused = await ask({ port: gateway.port(), path: '/private' })
      assert.equal(refused.status, 403)
      assert.equal(refused.body, DENIED)
      assert.equal((await ask({ port: gateway.port(), path: '/public' })).status, 200)
    })
  }
})
