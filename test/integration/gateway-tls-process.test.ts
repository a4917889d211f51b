/** TLS of a whole gateway with two workers: what operators see of certificates, and sessions that any worker resumes. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestCertificates } from '../support/certificates.ts'
import { eventually } from '../support/live.ts'
import { createWorkspace, type GatewayProcess, runCommand, startGatewayProcess } from '../support/process.ts'
import { skipWithout } from '../support/requirements.ts'
import { askTls } from '../support/tls-client.ts'

interface Certs {
  readonly certificates: readonly { readonly name: string; readonly unusable?: string; readonly error?: string }[]
}

describe('TLS of a whole gateway', { skip: skipWithout('openssl') }, () => {
  const certificates = new TestCertificates()
  const workspace = createWorkspace()
  let gateway: GatewayProcess
  const missing = join(certificates.folder, 'missing.pem')

  before(async () => {
    const own = certificates.authority('own')
    const app = certificates.leaf(own, ['app.test'])
    const expired = certificates.leaf(own, ['late.test'], { validity: 'expired' })
    const names = ['app', 'late', 'files', 'mutual']
    const tls = [
      '{ mode: SIMPLE, credentialName: app }',
      '{ mode: SIMPLE, credentialName: late }',
      `{ mode: SIMPLE, serverCertificate: '${missing}', privateKey: '${app.keyFile}' }`,
      `{ mode: MUTUAL, serverCertificate: '${app.certificateFile}', privateKey: '${app.keyFile}', caCertificates: '${app.keyFile}' }`,
    ]
    const secret = (name: string, pair: { certificate: string; key: string }) => `---
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: istio-system }
type: kubernetes.io/tls
stringData: { tls.crt: ${JSON.stringify(pair.certificate)}, tls.key: ${JSON.stringify(pair.key)} }
`
    workspace.write(
      'tls.yaml',
      `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec:
  servers:
${names.map((name, index) => `  - { port: { number: 443, name: ${name}, protocol: HTTPS }, hosts: [${name}.test], tls: ${tls[index]!} }\n`).join('')}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: all }
spec: { hosts: ['*'], gateways: [istio-system/gw], http: [{ directResponse: { status: 200, body: { string: ok } } }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow, namespace: istio-system }
spec:
  action: DENY
  rules: [{ from: [{ source: { namespaces: [evil] } }] }]
${secret('app', app)}${secret('late', expired)}`,
    )
    gateway = await startGatewayProcess({ workspace, workers: 2 })
  })

  after(async () => {
    await workspace.remove()
    certificates.remove()
  })

  test('certificates that cannot be used are in the status and in certs, with the reason', async () => {
    const reasons: Readonly<Record<string, RegExp>> = {
      'istio-system/late': /expired at 2020-02-01/,
      [`file:${missing}`]: /missing\.pem cannot be read \(ENOENT\)/,
      [certificates.leaf(certificates.authority('own'), ['app.test']).keyFile]: /there is no PEM certificate in it/,
    }
    await eventually(async () => {
      const { unusableCertificates: told } = (await gateway.status()) as unknown as {
        unusableCertificates: readonly { name: string; problem: string }[]
      }
      assert.deepEqual(told.map(({ name }) => name).sort(), Object.keys(reasons).sort())
      for (const { name, problem } of told) assert.match(problem, reasons[name]!)
    }, 10_000)
    const status = await runCommand(['status', '--admin', gateway.ready.admin])
    assert.equal(status.code, 1)
    assert.match(status.stdout, /certificate istio-system\/late cannot be used as it is: expired/)
    const certs = await runCommand(['certs', '--admin', gateway.ready.admin, '--output', 'json'])
    const { certificates: views } = JSON.parse(certs.stdout) as Certs
    assert.match(views.find(({ name }) => name === 'istio-system/late')?.unusable ?? '', /expired/)
    assert.match(views.find(({ name }) => name === `file:${missing}`)?.error ?? '', /ENOENT|no such file/)
    assert.equal(views.find(({ name }) => name === 'istio-system/app')?.unusable, undefined)
  })

  test('an expired certificate is shown all the same; a missing one refuses its own server alone', async () => {
    const port = gateway.port(443)
    assert.match((await askTls({ port, servername: 'late.test' })).names, /late\.test/)
    assert.equal((await askTls({ port, servername: 'files.test' })).error, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR')
    assert.equal((await askTls({ port, servername: 'mutual.test' })).error, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR')
    assert.equal((await askTls({ port })).status, 200)
  })

  test('a session is resumed by whichever worker its client reaches', async () => {
    const port = gateway.port(443)
    const { session } = await askTls({ port })
    const answers = await Promise.all(Array.from({ length: 12 }, () => askTls({ port, session: session! })))
    assert.deepEqual(
      answers.map(({ resumed }) => resumed),
      answers.map(() => true),
    )
  })

  test('explain tells what a client with a certificate gets, and what one without', async () => {
    const explain = async (...args: string[]) =>
      (await runCommand(['explain', 'GET', ...args, '--admin', gateway.ready.admin])).stdout
    const [evil, good] = ['cluster.local/ns/evil/sa/spy', 'spiffe://cluster.local/ns/shop/sa/buyer']
    assert.match(await explain('https://mutual.test/'), /refused in the TLS handshake: .*mutual demands a certificate/)
    assert.match(await explain('https://mutual.test/', '--principal', evil), /^403/)
    assert.match(await explain('https://mutual.test/', '--principal', good), /^200/)
    assert.match(await explain('https://app.test/', '--principal', evil), /^200/)
  })

  test('a file that appears is used, and no longer told of', async () => {
    const { certificate } = certificates.leaf(certificates.authority('own'), ['app.test'])
    writeFileSync(missing, certificate)
    await eventually(async () => {
      assert.equal((await askTls({ port: gateway.port(443), servername: 'files.test' })).status, 200)
      const status = await runCommand(['status', '--admin', gateway.ready.admin])
      assert.doesNotMatch(status.stdout, /missing\.pem/)
    }, 20_000)
  })
})
