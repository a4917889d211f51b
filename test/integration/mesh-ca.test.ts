import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { createCaClient } from '../../src/certificates/mesh/ca-client.ts'
import { type CaIdentityOptions, createCaIdentity } from '../../src/certificates/mesh/ca-identity.ts'
import type { ManagedIdentity } from '../../src/certificates/mesh/managed-identity.ts'
import { createKeyPair, createSigningRequest, type KeyType } from '../../src/certificates/mesh/signing-request.ts'
import { systemTimers } from '../../src/lib/timers.ts'
import { type AnswerOverride, CA_NAME, type MeshCa, startMeshCa } from '../support/mesh-ca.ts'
import { createAuthority, createKeys, signCertificate } from '../support/mesh-certificates.ts'
import { skipWithout } from '../support/requirements.ts'

const skip = skipWithout('openssl')
const ID = 'spiffe://cluster.local/ns/edge/sa/gateway'

const folder = mkdtempSync(join(tmpdir(), 'mesh-ca-'))
after(() => {
  rmSync(folder, { recursive: true })
})

let files = 0
function fileOf(text: string): string {
  const path = join(folder, `file-${files++}`)
  writeFileSync(path, text)
  return path
}

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

interface Setup {
  readonly identity: ManagedIdentity
  readonly lines: readonly Line[]
  readonly tokenPath: string
  readonly caRootsPath: string
}

interface Target {
  readonly address: string
  readonly authority: { readonly certificate: string }
}

/** An identity that asks this CA, with waits as short as a test needs them. */
function ask(
  context: TestContext,
  target: Target,
  options: Partial<CaIdentityOptions> & {
    readonly plaintext?: boolean
    readonly timeoutMs?: number
    readonly serverName?: string
  } = {},
): Setup {
  const { plaintext = false, timeoutMs = 5000, serverName = CA_NAME, ...rest } = options
  const lines: Line[] = []
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: fields as Line['fields'] })
  }
  const tokenPath = fileOf('good-token\n')
  const caRootsPath = fileOf(target.authority.certificate)
  const identity = createCaIdentity({
    clock: Date.now,
    timers: systemTimers(),
    request: createCaClient({ address: target.address, serverName, plaintext, timeoutMs }),
    trustDomain: 'cluster.local',
    namespace: 'edge',
    serviceAccount: 'gateway',
    tokenPath,
    caRootsPath,
    lifetimeMs: 3_600_000,
    keyType: 'ECDSA',
    clusterId: '',
    random: () => 0.5,
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    timing: { tickMs: 20, firstRetryMs: 20, lastRetryMs: 100, rootSpreadMs: 10 },
    ...rest,
  })
  context.after(() => identity.close())
  return { identity, lines, tokenPath, caRootsPath }
}

async function startCa(context: TestContext, options?: Parameters<typeof startMeshCa>[0]): Promise<MeshCa> {
  const ca = await startMeshCa(options)
  ca.tokens.set('good-token', ID)
  context.after(() => {
    ca.stop()
  })
  return ca
}

async function until(condition: () => boolean): Promise<void> {
  // The system's timers of the code under test do not keep the process running; this wait does.
  for (let tries = 0; tries < 500 && !condition(); tries++) await sleep(10)
  assert.ok(condition(), 'did not come about within 5 s')
}

for (const type of ['ECDSA', 'RSA'] satisfies KeyType[]) {
  test(
    `OpenSSL verifies a certification request for an ${type} key: empty subject, one URI, critical`,
    { skip },
    async () => {
      const csr = createSigningRequest(await createKeyPair(type), ID)
      const shown = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
        input: csr,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      assert.match(shown, /Subject: *\n/)
      assert.match(shown, new RegExp(`Subject Alternative Name: critical\\s+URI:${ID}\n`))
      assert.match(shown, type === 'RSA' ? /Public-Key: \(2048 bit\)/ : /ASN1 OID: prime256v1/)
    },
  )
}

test(
  'the CA gets request, lifetime, token and cluster, and signs a certificate for the key',
  { skip },
  async (context) => {
    const ca = await startCa(context)
    const { identity, lines } = ask(context, ca, { clusterId: 'east' })
    await identity.started
    const certificate = identity.current()
    assert.ok(certificate !== null)
    assert.equal(certificate.spiffeId, ID)
    const leaf = new X509Certificate(certificate.certificateChain)
    assert.ok(leaf.checkPrivateKey(createPrivateKey(certificate.privateKey)))
    assert.equal(certificate.notAfter, leaf.validToDate.getTime())
    assert.equal(certificate.rootCertificates, ca.authority.certificate)
    const [seen] = ca.seen
    assert.deepEqual([seen?.authorization, seen?.clusterId, seen?.validitySeconds], ['Bearer good-token', 'east', 3600])
    assert.deepEqual(
      lines.map(({ level, message }) => `${level} ${message}`),
      ['info mesh certificate in force'],
    )
  },
)

test('OpenSSL verifies the chain that comes over an intermediate', { skip }, async (context) => {
  const ca = await startCa(context)
  const root = ca.authority
  const intermediate = createAuthority('intermediate', root)
  Object.assign(ca, { authority: intermediate, parents: [root] })
  const { identity } = ask(context, { address: ca.address, authority: root })
  await identity.started
  const certificate = identity.current()!
  assert.equal(certificate.certificateChain.match(/BEGIN/g)?.length, 2)
  assert.equal(certificate.rootCertificates, root.certificate)
  const chain = fileOf(certificate.certificateChain)
  const verified = execFileSync(
    'openssl',
    ['verify', '-CAfile', fileOf(certificate.rootCertificates), '-untrusted', chain, chain],
    { encoding: 'utf8' },
  )
  assert.match(verified, /: OK/)
})

test('without a service account in the settings the token says which one', { skip }, async (context) => {
  const ca = await startCa(context)
  const claims = Buffer.from(JSON.stringify({ sub: 'system:serviceaccount:edge:gateway' })).toString('base64url')
  const token = `e30.${claims}.c2ln`
  ca.tokens.set(token, ID)
  const { identity } = ask(context, ca, { serviceAccount: null, tokenPath: fileOf(token) })
  await identity.started
  assert.equal(identity.current()?.spiffeId, ID)
})

test('plain text is spoken where that is asked for', { skip }, async (context) => {
  const ca = await startCa(context, { tls: false })
  const { identity } = ask(context, ca, { plaintext: true, caRootsPath: null })
  await identity.started
  assert.equal(identity.current()?.spiffeId, ID)
})

test('it is renewed at half of its life, each time with a new key', { skip }, async (context) => {
  const ca = await startCa(context)
  ca.validitySeconds = 3
  const { identity } = ask(context, ca)
  await identity.started
  const first = identity.current()!
  const { renewAt } = identity.status()
  assert.ok(renewAt! > Date.now() && renewAt! < first.notAfter - 500, 'well before its end')
  let changes = 0
  identity.onChange(() => changes++)
  await until(() => changes === 1)
  const second = identity.current()!
  assert.ok(Date.now() < first.notAfter)
  assert.notEqual(second.privateKey, first.privateKey)
  assert.ok(second.notAfter > first.notAfter)
})

test('new roots in the file lead to a new certificate, and with it to the new root', { skip }, async (context) => {
  const ca = await startCa(context)
  const { identity, caRootsPath } = ask(context, ca)
  await identity.started
  const old = ca.authority
  ca.authority = createAuthority('new root')
  writeFileSync(caRootsPath, `${old.certificate}${ca.authority.certificate}`)
  await until(() => identity.current()?.rootCertificates === ca.authority.certificate)
  assert.equal(ca.seen.length, 2)
})

test('a renewed token is taken from its file', { skip }, async (context) => {
  const ca = await startCa(context)
  const tokenPath = fileOf('old-token')
  const { identity, lines } = ask(context, ca, { tokenPath })
  await identity.started
  assert.equal(identity.current(), null)
  writeFileSync(tokenPath, 'good-token')
  await until(() => identity.current() !== null)
  assert.deepEqual(
    lines.map(({ level, fields }) => [level, fields['reason']]),
    [
      ['warn', 'unauthenticated'],
      ['info', undefined],
    ],
  )
})

const leafFor = (ca: MeshCa, parts: Omit<Parameters<typeof signCertificate>[1], 'name'>): AnswerOverride => ({
  chain: [signCertificate(ca.authority, parts), ca.authority.certificate],
})

const refusals: Record<string, { reason: string; answer: (ca: MeshCa) => NonNullable<MeshCa['answer']> }> = {
  'a certificate for another key': {
    reason: 'key-mismatch',
    answer: (ca) => () => leafFor(ca, { publicKey: createKeys().publicKey, uris: [ID] }),
  },
  'a certificate for another workload': {
    reason: 'wrong-identity',
    answer: (ca) => (publicKey) => leafFor(ca, { publicKey, uris: ['spiffe://cluster.local/ns/edge/sa/other'] }),
  },
  'a certificate with a second name': {
    reason: 'wrong-identity',
    answer: (ca) => (publicKey) => leafFor(ca, { publicKey, uris: [ID, 'spiffe://other/ns/edge/sa/gateway'] }),
  },
  'a certificate that has expired': {
    reason: 'outside-validity',
    answer: (ca) => (publicKey) => leafFor(ca, { publicKey, uris: [ID], notAfter: Date.now() - 5000 }),
  },
  'a certificate that is valid only later': {
    reason: 'outside-validity',
    answer: (ca) => (publicKey) => leafFor(ca, { publicKey, uris: [ID], notBefore: Date.now() + 600_000 }),
  },
  'a certificate that another root signed': {
    reason: 'untrusted-chain',
    answer: (ca) => (publicKey) => ({
      chain: [signCertificate(createAuthority('root'), { publicKey, uris: [ID] }), ca.authority.certificate],
    }),
  },
  'a root that has expired': {
    reason: 'untrusted-chain',
    answer: () => (publicKey) => {
      const root = createAuthority('old', undefined, { notAfter: Date.now() - 1000 })
      return { chain: [signCertificate(root, { publicKey, uris: [ID] }), root.certificate] }
    },
  },
  'a signer that is no authority': {
    reason: 'untrusted-chain',
    answer: (ca) => (publicKey) => {
      const signer = { ...createKeys(), name: 'not a CA' }
      const between = signCertificate(ca.authority, { publicKey: signer.publicKey, name: signer.name })
      return { chain: [signCertificate(signer, { publicKey, uris: [ID] }), between, ca.authority.certificate] }
    },
  },
  'a reply without a chain': {
    reason: 'bad-reply',
    answer: (ca) => (publicKey) => ({ chain: [signCertificate(ca.authority, { publicKey, uris: [ID] })] }),
  },
  'an empty reply': { reason: 'bad-reply', answer: () => () => ({ chain: [] }) },
  'text that is no certificate': { reason: 'bad-reply', answer: () => () => ({ chain: ['hello', 'world'] }) },
  'a certificate that is damaged': {
    reason: 'bad-reply',
    answer: (ca) => () => ({
      chain: ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', ca.authority.certificate],
    }),
  },
  'a reply of several megabytes': { reason: 'ca-error', answer: () => () => ({ chain: ['x'.repeat(3_000_000)] }) },
  'a lifetime that the CA does not give': {
    reason: 'refused',
    answer: () => () => ({ code: status.INVALID_ARGUMENT, details: 'requested TTL is too long' }),
  },
  'a workload that the CA does not sign for': {
    reason: 'denied',
    answer: () => () => ({ code: status.PERMISSION_DENIED, details: 'no' }),
  },
  'a CA that fails': { reason: 'ca-error', answer: () => () => ({ code: status.INTERNAL, details: 'no' }) },
  'no answer': { reason: 'timeout', answer: () => () => 'silence' },
}

for (const [name, { reason, answer }] of Object.entries(refusals)) {
  test(`refused, told once, and the last good one stays: ${name}`, { skip }, async (context) => {
    const ca = await startCa(context)
    const { identity, lines, caRootsPath } = ask(context, ca, { timeoutMs: 500 })
    await identity.started
    const good = identity.current()
    assert.ok(good !== null)
    const proper = ca.answer
    ca.answer = answer(ca)
    writeFileSync(caRootsPath, `${ca.authority.certificate}\n`)
    await until(() => ca.seen.length >= 4)
    assert.equal(identity.current(), good)
    const [, warning, ...more] = lines
    assert.deepEqual([warning?.level, warning?.fields['reason']], ['warn', reason])
    assert.match(warning?.message ?? '', /^no new mesh certificate: .*; the one in force stays until 2/)
    assert.deepEqual(more, [])
    assert.match(warning?.message ?? '', new RegExp(RegExp.escape(identity.status().problem ?? '-')))
    ca.answer = proper
    await until(() => identity.current() !== good)
    assert.equal(lines.at(-1)?.message, 'mesh certificate in force')
    assert.equal(identity.status().problem, null)
  })
}

/** Ports where something answers that is no CA. */
const strangers: Record<string, { reason: string; answer: string | null; plaintext?: boolean }> = {
  'something that hangs up': { reason: 'unreachable', answer: null },
  'something that speaks no TLS': { reason: 'unreachable', answer: 'HTTP/1.1 400 Bad Request\r\n\r\n' },
  'something that speaks HTTP/1.1': { reason: 'unreachable', answer: 'HTTP/1.1 200 OK\r\n\r\n', plaintext: true },
}

for (const [name, { reason, answer, plaintext = false }] of Object.entries(strangers)) {
  test(`told once: where the CA should be, there is ${name}`, { skip }, async (context) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(answer ?? '')
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    context.after(() => server.close())
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const authority = createAuthority('root')
    const { identity, lines } = ask(context, { address, authority }, { plaintext, timeoutMs: 2000 })
    await identity.started
    await sleep(150)
    assert.equal(identity.current(), null)
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields['reason']]),
      [['warn', reason]],
      JSON.stringify(lines),
    )
    assert.match(lines[0]?.message ?? '', /there is no mesh certificate until that changes$/)
  })
}

test('nothing listens: told once, and the certificate comes when the CA does', { skip }, async (context) => {
  const first = await startCa(context)
  first.stop()
  const { identity, lines } = ask(context, first)
  await identity.started
  await sleep(200)
  assert.deepEqual(
    lines.map(({ fields }) => fields['reason']),
    ['unreachable'],
  )
  await startCa(context, { port: first.port, root: first.authority })
  await until(() => identity.current() !== null)
  assert.equal(lines.length, 2)
})

const untrusted: Record<string, { roots?: string; serverName?: string }> = {
  'another root': { roots: createAuthority('other').certificate },
  'another name': { serverName: 'ca.example' },
}

for (const [name, { roots, serverName }] of Object.entries(untrusted)) {
  test(`the token is not sent to a CA whose certificate has ${name}`, { skip }, async (context) => {
    const ca = await startCa(context)
    const { identity, lines } = ask(context, ca, {
      ...(roots === undefined ? {} : { caRootsPath: fileOf(roots) }),
      ...(serverName === undefined ? {} : { serverName }),
    })
    await identity.started
    assert.equal(ca.seen.length, 0)
    assert.deepEqual(
      lines.map(({ fields }) => fields['reason']),
      ['untrusted-ca'],
      JSON.stringify(lines),
    )
  })
}

const missing: Record<string, { reason: string; options: Partial<CaIdentityOptions> }> = {
  'no token file': { reason: 'token', options: { tokenPath: join(folder, 'none') } },
  'an empty token file': { reason: 'token', options: { tokenPath: fileOf('\n') } },
  'a token that names nobody, and no service account': { reason: 'token', options: { serviceAccount: null } },
  'no file of roots': { reason: 'trust-root', options: { caRootsPath: join(folder, 'none') } },
  'a file of roots without any': { reason: 'trust-root', options: { caRootsPath: fileOf('nothing') } },
  'a namespace that cannot be in an id': { reason: 'wrong-identity', options: { namespace: 'a/b' } },
}

for (const [name, { reason, options }] of Object.entries(missing)) {
  test(`the CA is not asked: ${name}`, { skip }, async (context) => {
    const ca = await startCa(context)
    const { identity, lines } = ask(context, ca, options)
    await identity.started
    await sleep(60)
    assert.equal(ca.seen.length, 0)
    assert.deepEqual(
      lines.map(({ fields }) => fields['reason']),
      [reason],
    )
  })
}

test('without a newer one it ends when it expires, and the log says so', { skip }, async (context) => {
  const ca = await startCa(context)
  ca.validitySeconds = 3
  const { identity, lines } = ask(context, ca)
  await identity.started
  ca.tokens.clear()
  let changes = 0
  identity.onChange(() => changes++)
  await until(() => identity.current() === null)
  await until(() => changes === 1)
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['info', 'warn', 'error'],
  )
})

test('closing ends a call that waits, and nothing is asked for afterwards', { skip }, async (context) => {
  const ca = await startCa(context)
  ca.answer = () => 'silence'
  const { identity, lines } = ask(context, ca, { timeoutMs: 60_000 })
  await until(() => ca.seen.length === 1)
  await identity.close()
  await sleep(60)
  assert.equal(ca.seen.length, 1)
  assert.deepEqual(lines, [])
})

test(
  'what a CA says goes to the log cut short, and what the gateway says has neither token nor key',
  { skip },
  async (context) => {
    const ca = await startCa(context)
    const { identity, lines, caRootsPath } = ask(context, ca)
    await identity.started
    const { privateKey } = identity.current()!
    ca.answer = () => ({ code: status.INTERNAL, details: 'x'.repeat(5000) })
    writeFileSync(caRootsPath, `${ca.authority.certificate}\n`)
    await until(() => lines.length === 2)
    const text = JSON.stringify(lines)
    assert.ok(text.length < 2000)
    assert.ok(!text.includes('good-token'))
    assert.ok(!text.includes(privateKey.split('\n')[1]!))
  },
)
