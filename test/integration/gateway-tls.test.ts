/** TLS servers of a Gateway against real clients: which server answers, with what, and which clients it lets in. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { MeshOptions } from '../../src/compile/options.ts'
import { type Authority, type KeyPairFiles, TestCertificates } from '../support/certificates.ts'
import { type LiveGateway, raw, service, startGateway, startUpstream } from '../support/live.ts'
import { skipWithout } from '../support/requirements.ts'
import { askTls, type TlsAsk } from '../support/tls-client.ts'

const run = promisify(execFile)
const BUYER = 'spiffe://cluster.local/ns/shop/sa/buyer'

describe('TLS of a Gateway', { skip: skipWithout('openssl') }, () => {
  const certificates = new TestCertificates()
  let upstream: Awaited<ReturnType<typeof startUpstream>>
  let own: Authority
  let clients: Authority
  let app: KeyPairFiles
  let buyer: KeyPairFiles
  let seller: KeyPairFiles
  let stranger: KeyPairFiles
  const started: LiveGateway[] = []

  before(async () => {
    upstream = await startUpstream((req, res) => res.end(JSON.stringify(req.headers)))
    own = certificates.authority('own')
    clients = certificates.authority('clients')
    app = certificates.leaf(own, ['app.test', '*.wild.test'])
    buyer = certificates.leaf(clients, [BUYER, 'buyer.test'], { commonName: 'buyer' })
    seller = certificates.leaf(clients, ['spiffe://cluster.local/ns/shop/sa/seller'])
    stranger = certificates.leaf(certificates.authority('others'), [BUYER])
  })

  after(async () => {
    await Promise.all(started.map((gateway) => gateway.stop()))
    upstream.stop()
    certificates.remove()
  })

  /** A gateway with these TLS servers, each `HOST: tls block`, and everything routed to the upstream. */
  const gatewayOf = async (servers: Readonly<Record<string, string>>, more = '', mesh: Partial<MeshOptions> = {}) => {
    const gateway = await startGateway(resourcesOf(servers, more), { mesh })
    started.push(gateway)
    return gateway
  }

  const resourcesOf = (servers: Readonly<Record<string, string>>, more = '') => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec:
  servers:
${Object.entries(servers)
  .map(
    ([host, tls], index) =>
      `  - { port: { number: 443, name: s${index}, protocol: HTTPS }, hosts: ['${host}'], tls: ${tls} }\n`,
  )
  .join('')}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: all }
spec:
  hosts: ['*']
  gateways: [istio-system/gw]
  http: [{ route: [{ destination: { host: a.test } }] }]
---
${service('a', upstream.port)}
${secret('app', { 'tls.crt': app.certificate, 'tls.key': app.key, 'ca.crt': clients.certificate })}
${more}`

  const refused = async (ask: TlsAsk, why: string) => {
    const answer = await askTls(ask)
    assert.notEqual(answer.error, '', why)
    return answer.error
  }

  test('the limits of each server hold, whatever those of the other servers of the port are', async () => {
    const gateway = await gatewayOf({
      'new.test': '{ mode: SIMPLE, credentialName: app, minProtocolVersion: TLSV1_3, ecdhCurves: [P-384] }',
      'old.test':
        '{ mode: SIMPLE, credentialName: app, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384] }',
      'ancient.test':
        '{ mode: SIMPLE, credentialName: app, minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_1, cipherSuites: [ECDHE-ECDSA-AES128-SHA] }',
      '*': '{ mode: SIMPLE, credentialName: app }',
    })
    const port = gateway.port(443)
    const legacy = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    assert.equal((await askTls({ port, servername: 'new.test' })).protocol, 'TLSv1.3')
    await refused({ port, servername: 'new.test', maxVersion: 'TLSv1.2' }, 'TLS 1.2 below a least version of 1.3')
    await refused({ port, servername: 'new.test', ecdhCurve: 'X25519' }, 'a curve that the server does not take')
    const old = await askTls({ port, servername: 'old.test' })
    assert.deepEqual([old.protocol, old.cipher], ['TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'])
    await refused({ port, servername: 'old.test', minVersion: 'TLSv1.3' }, 'TLS 1.3 above the highest version')
    const other = 'ECDHE-ECDSA-AES128-GCM-SHA256'
    await refused({ port, servername: 'old.test', maxVersion: 'TLSv1.2', ciphers: other }, 'another cipher suite')
    assert.equal((await askTls({ port, servername: 'ancient.test', ...legacy })).protocol, 'TLSv1.1')
    await refused({ port, servername: 'ancient.test' }, 'a new version where only old ones are')
    await refused(
      { port, servername: 'else.test', ...legacy, maxVersion: 'TLSv1.1' },
      'TLS 1.1 where it is not asked for',
    )
    assert.equal((await askTls({ port, servername: 'else.test' })).status, 200)
  })

  test('a server without cipher suites takes those of Envoy, AES-128 before AES-256, and ChaCha20 from who prefers it', async () => {
    const gateway = await gatewayOf({ '*': '{ mode: SIMPLE, credentialName: app }' })
    const port = gateway.port(443)
    const cipher = async (ask: Omit<TlsAsk, 'port'>) => (await askTls({ port, ...ask })).cipher
    assert.equal(await cipher({}), 'TLS_AES_128_GCM_SHA256')
    assert.equal(
      await cipher({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256' }),
      'TLS_CHACHA20_POLY1305_SHA256',
    )
    assert.equal(await cipher({ maxVersion: 'TLSv1.2' }), 'ECDHE-ECDSA-AES128-GCM-SHA256')
    for (const weak of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA']) {
      await refused({ port, maxVersion: 'TLSv1.2', ciphers: weak }, weak)
    }
  })

  test('of an RSA and an ECDSA certificate each client gets the one that it can use', async () => {
    const rsa = certificates.leaf(own, ['app.test'], { key: 'rsa' })
    const gateway = await gatewayOf(
      { 'app.test': '{ mode: SIMPLE, credentialNames: [app, app-rsa] }' },
      secret('app-rsa', { 'tls.crt': rsa.certificate, 'tls.key': rsa.key }),
    )
    const port = gateway.port(443)
    assert.equal((await askTls({ port, sigalgs: 'ecdsa_secp256r1_sha256' })).keyType, 'EC')
    assert.equal((await askTls({ port, sigalgs: 'rsa_pss_rsae_sha256' })).keyType, 'RSA')
    const legacy = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } as const
    assert.equal((await askTls({ port, ...legacy })).keyType, 'RSA')
  })

  test('a client that asks for a name of nobody is told so, and harms nobody', async () => {
    const gateway = await gatewayOf({
      'app.test': '{ mode: SIMPLE, credentialName: app }',
      'missing.test': '{ mode: SIMPLE, credentialName: missing }',
      '*.wild.test': '{ mode: SIMPLE, credentialName: app }',
    })
    const port = gateway.port(443)
    assert.equal(await refused({ port, servername: 'else.test' }, 'no server'), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME')
    assert.equal(await refused({ port, servername: 'wild.test' }, 'no label'), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME')
    assert.equal(await refused({ port, servername: '' }, 'no name'), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME')
    const error = await refused({ port, servername: 'missing.test' }, 'no certificate')
    assert.equal(error, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR')
    const plain = await raw(port, 'GET / HTTP/1.1\r\nhost: app.test\r\n\r\n')
    assert.deepEqual(plain, { text: '', closed: true })
    const halfHello = connect({ port, host: '127.0.0.1' })
    halfHello.on('error', () => {})
    halfHello.write(Buffer.from([22, 3, 1, 2, 0, 1]))
    assert.equal((await askTls({ port })).status, 200)
    assert.equal((await askTls({ port, servername: 'a.b.wild.test' })).status, 200)
    halfHello.destroy()
  })

  test('an HTTP/2 request for a host of another server is 421 where the certificate covers it, else 404', async () => {
    const servers = {
      'a.wild.test': '{ mode: SIMPLE, credentialName: app }',
      'b.wild.test': '{ mode: SIMPLE, credentialName: app }',
      'else.test': '{ mode: SIMPLE, credentialName: app }',
    }
    for (const misdirectedStatus of [421, 404] as const) {
      const gateway = await startGateway(resourcesOf(servers), { settings: { misdirectedStatus } })
      started.push(gateway)
      const session = connectHttp2(`https://127.0.0.1:${gateway.port(443)}`, {
        servername: 'a.wild.test',
        rejectUnauthorized: false,
      })
      const statusOf = async (authority: string) => {
        const stream = session.request({ ':authority': authority })
        const [headers] = (await once(stream, 'response')) as [Record<string, number>]
        stream.close()
        return headers[':status']
      }
      assert.equal(await statusOf('a.wild.test'), 200)
      assert.equal(await statusOf('b.wild.test'), misdirectedStatus)
      assert.equal(await statusOf('else.test'), 404, 'the certificate is not for it')
      assert.equal(await statusOf('nobody.wild.test'), 404, 'no server has it')
      session.close()
      const sameOnHttp1 = { port: gateway.port(443), servername: 'a.wild.test', host: 'b.wild.test' }
      assert.equal((await askTls(sameOnHttp1)).status, 404)
    }
  })

  const hash = (files: () => KeyPairFiles) => new X509Certificate(files().certificate).fingerprint256
  const keyHash = (files: () => KeyPairFiles) =>
    createHash('sha256')
      .update(new X509Certificate(files().certificate).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64')
  const demands: Readonly<Record<string, () => string>> = {
    'names of its own': () => `subjectAltNames: [other.test, '${BUYER}']`,
    'a DNS name': () => 'subjectAltNames: [buyer.test]',
    'the hash of its public key': () => `verifyCertificateSpki: ['${keyHash(() => buyer)}']`,
    'its own hash, with colons and in capitals': () => `verifyCertificateHash: ['${hash(() => buyer)}']`,
    'one of both kinds of hashes': () =>
      `verifyCertificateHash: ['${hash(() => stranger)}'], verifyCertificateSpki: ['${keyHash(() => buyer)}']`,
    'a name and a hash': () => `subjectAltNames: ['${BUYER}'], verifyCertificateHash: ['${hash(() => buyer)}']`,
  }
  for (const [what, fields] of Object.entries(demands)) {
    test(`a client certificate is demanded by ${what}`, async () => {
      const gateway = await gatewayOf({
        'app.test': `{ mode: MUTUAL, credentialName: app, ${fields()} }`,
        'optional.test': `{ mode: OPTIONAL_MUTUAL, credentialName: app, ${fields()} }`,
      })
      const port = gateway.port(443)
      assert.equal((await askTls({ port, client: buyer })).status, 200)
      await refused({ port, client: seller }, 'of the same authority')
      await refused({ port, client: stranger }, 'of another authority')
      assert.equal((await askTls({ port, servername: 'optional.test' })).status, 200)
      await refused({ port, servername: 'optional.test', client: seller }, 'shown, though it need not be')
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        assert.match(await refused({ port, maxVersion }, 'none'), /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/)
      }
    })
  }

  test('a hash does not stand in for a name, nor a good name for the authority', async () => {
    const gateway = await gatewayOf({
      'app.test': `{ mode: MUTUAL, credentialName: app, subjectAltNames: [nobody.test], verifyCertificateHash: ['${hash(() => buyer)}'] }`,
      'pinned.test': `{ mode: MUTUAL, credentialName: app, verifyCertificateHash: ['${hash(() => stranger)}'] }`,
    })
    const port = gateway.port(443)
    await refused({ port, client: buyer }, 'the name is missing')
    await refused({ port, servername: 'pinned.test', client: stranger }, 'the authority is another')
  })

  test('revoked and expired clients are refused, by the CRL of the Secret and by files', async () => {
    const authority = certificates.authority('revoking')
    const good = certificates.leaf(authority, ['good.test'])
    const revoked = certificates.leaf(authority, ['revoked.test'])
    const expired = certificates.leaf(authority, ['late.test'], { validity: 'expired' })
    const crl = certificates.revocationList(authority, [revoked])
    const crlFile = join(certificates.folder, 'crl.pem')
    writeFileSync(crlFile, crl)
    const gateway = await gatewayOf(
      {
        'app.test': '{ mode: MUTUAL, credentialName: app }',
        'files.test': `{ mode: MUTUAL, serverCertificate: '${app.certificateFile}', privateKey: '${app.keyFile}', caCertificates: '${authority.certificateFile}', caCrl: '${crlFile}' }`,
      },
      secret('app-cacert', { 'ca.crt': authority.certificate, 'ca.crl': crl }),
    )
    const port = gateway.port(443)
    for (const servername of ['app.test', 'files.test']) {
      assert.equal((await askTls({ port, servername, client: good })).status, 200)
      await refused({ port, servername, client: revoked }, 'revoked')
      await refused({ port, servername, client: expired }, 'expired')
      await refused({ port, servername, client: buyer }, 'the key pair’s Secret has another authority')
    }
  })

  test('authorities may be in a ConfigMap', async () => {
    const gateway = await gatewayOf(
      {
        'app.test': '{ mode: MUTUAL, credentialName: app, caCertCredentialName: configmap://default/roots }',
        'gone.test': '{ mode: MUTUAL, credentialName: app, caCertCredentialName: configmap://default/gone }',
      },
      `---
apiVersion: v1
kind: ConfigMap
metadata: { name: roots }
data: { ca.crt: ${JSON.stringify(clients.certificate)} }
`,
    )
    const port = gateway.port(443)
    assert.equal((await askTls({ port, client: buyer })).status, 200)
    await refused({ port, client: stranger }, 'of another authority')
    await refused({ port, servername: 'gone.test', client: buyer }, 'nobody can be verified')
  })

  test('an intermediate authority may be all that is trusted', async () => {
    const intermediate = certificates.authority('intermediate', own)
    const client = certificates.leaf(intermediate, ['client.test'])
    const gateway = await gatewayOf(
      { 'app.test': '{ mode: MUTUAL, credentialName: app }' },
      secret('app-cacert', { 'ca.crt': intermediate.certificate }),
    )
    const port = gateway.port(443)
    assert.equal((await askTls({ port, client })).status, 200)
    await refused({ port, client: certificates.leaf(own, ['other.test']) }, 'signed by the one above')
  })

  test('sessions are resumed at whichever worker, by the key before too, and only where they began', async () => {
    const servers = {
      'app.test': '{ mode: SIMPLE, credentialName: app }',
      'mutual.test': '{ mode: MUTUAL, credentialName: app }',
      'named.test': `{ mode: MUTUAL, credentialName: app, subjectAltNames: ['${BUYER}'] }`,
    }
    const [first, second] = await Promise.all([gatewayOf(servers), gatewayOf(servers)])
    const [old, middle, latest] = [randomBytes(48), randomBytes(48), randomBytes(48)]
    const tell = (current: Buffer, previous: Buffer | null) => {
      for (const gateway of [first, second]) gateway.plane.setTicketKeys({ current, previous })
    }
    tell(old, null)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      tell(old, null)
      const { session } = await askTls({ port: first.port(443), maxVersion })
      assert.notEqual(session, undefined)
      const again = { port: second.port(443), session: session!, maxVersion }
      assert.equal((await askTls(again)).resumed, true, `${maxVersion}: at the other worker`)
      tell(middle, old)
      assert.equal((await askTls(again)).resumed, true, `${maxVersion}: by the key before`)
      tell(latest, middle)
      assert.equal((await askTls(again)).resumed, false, `${maxVersion}: by a key that is gone`)
      const { session: mutual } = await askTls({
        port: first.port(443),
        servername: 'mutual.test',
        client: seller,
        maxVersion,
      })
      const asked = { port: second.port(443), session: mutual!, client: seller, maxVersion }
      assert.equal((await askTls({ ...asked, servername: 'mutual.test' })).resumed, true)
      await refused({ ...asked, servername: 'named.test' }, `${maxVersion}: a session of a server that asks for less`)
      assert.equal((await askTls({ ...asked, servername: 'app.test' })).resumed, false)
    }
  })

  test('a client that resumes is no longer let in once its authority is not trusted', async () => {
    const servers = { 'app.test': '{ mode: MUTUAL, credentialName: app }' }
    const gateway = await gatewayOf(servers, secret('app-cacert', { 'ca.crt': clients.certificate }))
    gateway.plane.setTicketKeys({ current: randomBytes(48), previous: null })
    const port = gateway.port(443)
    const { session } = await askTls({ port, client: buyer })
    assert.equal((await askTls({ port, client: buyer, session: session! })).resumed, true)
    await gateway.apply(resourcesOf(servers, secret('app-cacert', { 'ca.crt': own.certificate })))
    await refused({ port, client: buyer, session: session! }, 'resumed')
  })

  test('a replaced Secret is used for the next handshake; a bad one leaves the good one in use', async () => {
    const next = certificates.leaf(own, ['app.test', 'next.test'])
    const servers = { 'app.test': '{ mode: SIMPLE, credentialName: shop }' }
    const shop = (pair: { certificate: string; key: string }) =>
      resourcesOf(servers, secret('shop', { 'tls.crt': pair.certificate, 'tls.key': pair.key }))
    const gateway = await startGateway(shop(app))
    started.push(gateway)
    const port = gateway.port(443)
    assert.match((await askTls({ port })).names, /wild\.test/)
    await gateway.apply(shop(next))
    assert.match((await askTls({ port })).names, /next\.test/)
    const problems = await gateway.apply(shop({ certificate: app.certificate, key: next.key }))
    const bad = problems.find(({ code }) => code === 'secret/key-pair')
    assert.match(bad?.message ?? '', /the private key does not belong to the certificate/)
    assert.match((await askTls({ port })).names, /next\.test/)
    const wrongWay = await gateway.apply(shop({ certificate: own.certificate + app.certificate, key: app.key }))
    assert.match(wrongWay.map(({ message }) => message).join(), /wrong order: the key belongs to certificate 2 of 2/)
    await gateway.apply(shop({ certificate: 'junk', key: 'junk' }))
    assert.match((await askTls({ port })).names, /next\.test/)
    assert.equal((await askTls({ port })).status, 200)
  })

  test('x-forwarded-client-cert is what the mesh settings make of it', async () => {
    const servers = { 'app.test': '{ mode: OPTIONAL_MUTUAL, credentialName: app }' }
    const forged = { 'x-forwarded-client-cert': 'Hash=00;URI=spiffe://forged' }
    const sha256 = new X509Certificate(buyer.certificate).fingerprint256.replaceAll(':', '').toLowerCase()
    const element = new RegExp(
      `^Hash=${sha256};Cert="-----BEGIN%20CERTIFICATE-----%0A[^"]+";Subject="CN=buyer";URI=${BUYER};DNS=buyer.test$`,
    )
    const table = {
      SANITIZE: [undefined, undefined],
      SANITIZE_SET: [undefined, element],
      APPEND_FORWARD: [undefined, new RegExp(`^Hash=00;URI=spiffe://forged,${element.source.slice(1)}`)],
      FORWARD_ONLY: [undefined, /^Hash=00;URI=spiffe:\/\/forged$/],
      ALWAYS_FORWARD_ONLY: [/^Hash=00;URI=spiffe:\/\/forged$/, /^Hash=00;URI=spiffe:\/\/forged$/],
    } as const
    for (const [details, [without, shown]] of Object.entries(table)) {
      const mesh = { forwardClientCertDetails: details as keyof typeof table }
      const port = (await gatewayOf(servers, '', mesh)).port(443)
      for (const [expected, client] of [
        [without, undefined],
        [shown, buyer],
      ] as const) {
        const answer = await askTls({ port, headers: forged, ...(client === undefined ? {} : { client }) })
        const got = (JSON.parse(answer.body) as Record<string, string>)['x-forwarded-client-cert']
        if (expected === undefined) assert.equal(got, undefined, details)
        else assert.match(got ?? '', expected, details)
      }
    }
  })

  test('ISTIO_MUTUAL takes workloads of the trust domain and its aliases, and presents the gateway’s own identity', async () => {
    const mesh = certificates.authority('mesh')
    const identity = 'spiffe://cluster.local/ns/istio-system/sa/gateway'
    const gatewayPair = certificates.leaf(mesh, [identity])
    const gateway = await gatewayOf({ 'app.test': '{ mode: ISTIO_MUTUAL }' }, '', {
      hasMeshIdentity: true,
      trustDomainAliases: ['old.domain'],
    })
    const port = gateway.port(443)
    const of = (name: string) => certificates.leaf(mesh, [name])
    await refused({ port, client: of(BUYER) }, 'before there is an identity')
    gateway.plane.setIdentity({
      certificateChain: gatewayPair.certificate,
      privateKey: gatewayPair.key,
      rootCertificates: mesh.certificate,
      notAfter: Date.now() + 3_600_000,
      spiffeId: identity,
    })
    const answer = await askTls({ port, client: of(BUYER) })
    assert.equal(answer.names, `URI:${identity}`)
    const headers = JSON.parse(answer.body) as Record<string, string>
    assert.match(headers['x-forwarded-client-cert'] ?? '', new RegExp(`^By=${identity};Hash=`))
    assert.equal((await askTls({ port, client: of('spiffe://old.domain/ns/a/sa/b') })).status, 200)
    await refused({ port, client: of('spiffe://other.domain/ns/a/sa/b') }, 'another trust domain')
    await refused({ port, client: of('spiffe://cluster.local.other/ns/a/sa/b') }, 'a longer trust domain')
    await refused({ port, client: of('a.test') }, 'no workload')
    await refused({ port, client: stranger }, 'of another authority')
    await refused({ port }, 'none')
  })

  test('policies know workloads by their verified certificates', async () => {
    const both = certificates.leaf(clients, [BUYER, 'spiffe://cluster.local/ns/evil/sa/spy'])
    const policies = (rules: string) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow, namespace: istio-system }
spec:
  rules:
${rules}`
    const gateway = await gatewayOf(
      {
        'app.test': '{ mode: OPTIONAL_MUTUAL, credentialName: app }',
        'unverified.test': '{ mode: MUTUAL, credentialName: app, insecureSkipVerify: true }',
      },
      policies(`
  - { from: [{ source: { principals: [cluster.local/ns/shop/sa/buyer] } }], to: [{ operation: { paths: [/exact] } }] }
  - { from: [{ source: { principals: ['*/sa/buyer'] } }], to: [{ operation: { paths: [/suffix] } }] }
  - { from: [{ source: { principals: ['*'] } }], to: [{ operation: { paths: [/any] } }] }
  - { from: [{ source: { namespaces: [shop] } }], to: [{ operation: { paths: [/namespace] } }] }
  - { from: [{ source: { serviceAccounts: [shop/buyer] } }], to: [{ operation: { paths: [/account] } }] }
  - { from: [{ source: { trustDomains: [old.domain] } }], to: [{ operation: { paths: [/trust] } }] }
  - { from: [{ source: { notPrincipals: [cluster.local/ns/shop/sa/buyer] } }], to: [{ operation: { paths: [/not] } }] }
`),
      { trustDomainAliases: ['old.domain'] },
    )
    const port = gateway.port(443)
    const old = certificates.leaf(clients, ['spiffe://old.domain/ns/shop/sa/buyer'])
    const nameless = certificates.leaf(clients, ['plain.test'])
    const table: Readonly<
      Record<string, readonly [passes: readonly KeyPairFiles[], refuses: readonly KeyPairFiles[]]>
    > = {
      '/exact': [
        [buyer, old, both],
        [seller, nameless],
      ],
      '/suffix': [
        [buyer, old],
        [seller, nameless],
      ],
      '/any': [[buyer, seller, nameless], []],
      '/namespace': [
        [buyer, seller, old],
        [nameless, both],
      ],
      '/account': [
        [buyer, old],
        [seller, both],
      ],
      '/trust': [[old], [buyer, nameless]],
      '/not': [
        [seller, nameless],
        [buyer, old],
      ],
    }
    for (const [path, [passes, refuses]] of Object.entries(table)) {
      for (const client of passes) assert.equal((await askTls({ port, path, client })).status, 200, path)
      for (const client of refuses) assert.equal((await askTls({ port, path, client })).status, 403, path)
      const without = await askTls({ port, path })
      assert.equal(without.status, path === '/not' ? 200 : 403, path)
      const unverified = await askTls({ port, path, servername: 'unverified.test', client: buyer })
      assert.equal(unverified.status, path === '/not' ? 200 : 403, `${path}: nobody has verified the certificate`)
    }
    await refused({ port, servername: 'unverified.test' }, 'one has to be shown all the same')
  })

  test('curl and openssl agree with what Node’s client sees', { skip: skipWithout('curl') }, async () => {
    const gateway = await gatewayOf({ 'app.test': '{ mode: MUTUAL, credentialName: app }' })
    const port = gateway.port(443)
    const curl = ['-sS', '--resolve', `app.test:${port}:127.0.0.1`, '--cacert', own.certificateFile]
    const url = `https://app.test:${port}/x`
    const { stdout } = await run('curl', [...curl, '--cert', buyer.certificateFile, '--key', buyer.keyFile, url])
    assert.equal((JSON.parse(stdout) as Record<string, string>)['x-forwarded-proto'], 'https')
    // Whether it sees the alert or the closed connection first is a matter of luck.
    await assert.rejects(run('curl', [...curl, url]), /Command failed/)
    const request = String.raw`GET / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n`
    const shown = await run('sh', [
      '-c',
      `printf '${request}' | openssl s_client -quiet -verify_return_error "$@"`,
      'sh',
      '-connect',
      `127.0.0.1:${port}`,
      '-servername',
      'app.test',
      '-CAfile',
      own.certificateFile,
      '-cert',
      buyer.certificateFile,
      '-key',
      buyer.keyFile,
    ])
    assert.match(shown.stdout, /^HTTP\/1\.1 200 OK/)
    assert.match(shown.stderr, /verify return:1/)
  })
})

function secret(name: string, entries: Readonly<Record<string, string>>): string {
  const lines = Object.entries(entries).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`)
  return `---
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: istio-system }
stringData:
${lines.join('')}`
}
