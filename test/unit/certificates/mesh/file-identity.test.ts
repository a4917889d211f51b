import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createFileIdentity, type FileIdentityTiming } from '../../../../src/certificates/mesh/file-identity.ts'
import { systemTimers } from '../../../../src/lib/timers.ts'
import {
  createAuthority,
  createKeys,
  pemOfKey,
  signCertificate,
  type CertificateParts,
} from '../../../support/mesh-certificates.ts'

const ID = 'spiffe://cluster.local/ns/vm/sa/edge'
const root = createAuthority('root')

interface Material {
  readonly chain: string
  readonly key: string
  readonly roots: string
}

function material(parts: Partial<CertificateParts> = {}): Material {
  const { publicKey, privateKey } = createKeys()
  return {
    chain: signCertificate(root, { publicKey, uris: [ID], ...parts }),
    key: pemOfKey(privateKey),
    roots: root.certificate,
  }
}

const NAMES = { chain: 'cert-chain.pem', key: 'key.pem', roots: 'root-cert.pem' } as const

function write(folder: string, files: Partial<Material>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, NAMES[name as keyof Material]), text)
}

function setUp(context: TestContext, timing: Partial<FileIdentityTiming> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'file-identity-'))
  const lines: string[] = []
  const log = (level: string) => (fields: { reason?: string }, message: string) => {
    lines.push(`${level} ${fields.reason ?? message}`)
  }
  const start = (paths = folder) => {
    const identity = createFileIdentity({
      clock: Date.now,
      timers: systemTimers(),
      paths: {
        certificateChain: join(paths, NAMES.chain),
        privateKey: join(paths, NAMES.key),
        rootCertificates: join(paths, NAMES.roots),
      },
      log: { info: log('info'), warn: log('warn'), error: log('error') },
      timing: { pollMs: 10, graceMs: 60_000, ...timing },
    })
    context.after(() => identity.close())
    return identity
  }
  context.after(() => {
    rmSync(folder, { recursive: true })
  })
  return { folder, lines, start }
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 300 && !condition(); tries++) await sleep(10)
  assert.ok(condition(), 'did not come about within 3 s')
}

test('the three files are the identity', async (context) => {
  const { folder, lines, start } = setUp(context)
  const files = material()
  write(folder, files)
  const identity = start()
  await identity.started
  const certificate = identity.current()
  assert.equal(certificate?.certificateChain, files.chain)
  assert.equal(certificate?.privateKey, files.key)
  assert.equal(certificate?.rootCertificates, files.roots)
  assert.equal(certificate?.spiffeId, ID)
  assert.deepEqual(lines, ['info mesh certificate in force'])
  assert.deepEqual(identity.status(), { provider: 'files', renewAt: null, problem: null })
})

test('of the chain file only certificates are handed on: a key or a comment in it stays there', async (context) => {
  const { folder, start } = setUp(context)
  const files = material()
  write(folder, { ...files, chain: `# comment\n${files.key}${files.chain}` })
  const identity = start()
  await identity.started
  assert.equal(identity.current()?.certificateChain, files.chain)
})

test('files that come later are taken when they come; until then the log has one line', async (context) => {
  const { folder, lines, start } = setUp(context)
  const identity = start()
  await identity.started
  assert.equal(identity.current(), null)
  write(folder, material())
  await until(() => identity.current() !== null)
  assert.deepEqual(lines, ['warn file', 'info mesh certificate in force'])
})

test('a swapped symbolic link, as Kubernetes renews a mounted Secret, changes all three at once', async (context) => {
  const { folder, lines, start } = setUp(context)
  const mount = (version: string, files: Material) => {
    mkdirSync(join(folder, version))
    write(join(folder, version), files)
    symlinkSync(version, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  }
  for (const name of Object.values(NAMES)) symlinkSync(join('..data', name), join(folder, name))
  mount('..1', material())
  const identity = start()
  await identity.started
  const second = material()
  let changes = 0
  identity.onChange(() => changes++)
  mount('..2', second)
  await until(() => identity.current()?.certificateChain === second.chain)
  assert.equal(changes, 1)
  assert.equal(lines.length, 2)
})

for (const first of ['chain', 'key'] as const) {
  test(`when the ${first} is replaced first, the old pair stays until the other is there, without a word`, async (context) => {
    const { folder, lines, start } = setUp(context)
    const old = material()
    write(folder, old)
    const identity = start()
    await identity.started
    const next = material()
    write(folder, { [first]: next[first] })
    await until(() => identity.status().problem !== null)
    assert.equal(identity.current()?.certificateChain, old.chain)
    write(folder, next)
    await until(() => identity.current()?.certificateChain === next.chain)
    assert.deepEqual(lines, ['info mesh certificate in force', 'info mesh certificate in force'])
  })
}

test('new roots alone are taken over', async (context) => {
  const { folder, start } = setUp(context)
  const files = material()
  write(folder, files)
  const identity = start()
  await identity.started
  const roots = `${root.certificate}${createAuthority('new root').certificate}`
  write(folder, { roots })
  await until(() => identity.current()?.rootCertificates === roots)
  assert.equal(identity.current()?.certificateChain, files.chain)
})

const other = createKeys()
const faults: Record<string, { files: () => Partial<Material>; reason: string }> = {
  'a key for another certificate': { files: () => ({ key: pemOfKey(other.privateKey) }), reason: 'file' },
  'a key that is none': { files: () => ({ key: 'hello' }), reason: 'file' },
  'an empty chain': { files: () => ({ chain: '' }), reason: 'file' },
  'half a certificate': { files: () => ({ chain: material().chain.slice(0, 200) }), reason: 'file' },
  'roots that are none': { files: () => ({ roots: 'hello' }), reason: 'file' },
  'a certificate that has expired': {
    files: () => material({ notAfter: Date.now() - 2000 }),
    reason: 'outside-validity',
  },
  'a certificate for later': {
    files: () => material({ notBefore: Date.now() + 600_000 }),
    reason: 'outside-validity',
  },
}

for (const [name, { files, reason }] of Object.entries(faults)) {
  test(`told once when it lasts, and the last good one stays: ${name}`, async (context) => {
    const { folder, lines, start } = setUp(context, { graceMs: 30 })
    const good = material()
    write(folder, good)
    const identity = start()
    await identity.started
    write(folder, files())
    await until(() => lines.length === 2)
    await sleep(50)
    assert.equal(identity.current()?.certificateChain, good.chain)
    write(folder, good)
    await until(() => lines.length === 3)
    assert.deepEqual(lines.slice(1), [`warn ${reason}`, 'info mesh certificate in force'])
    assert.equal(identity.status().problem, null)
  })
}

test('a file that is gone leaves the last good one until it expires', async (context) => {
  const { folder, lines, start } = setUp(context)
  write(folder, material({ notAfter: Date.now() + 2000 }))
  const identity = start()
  await identity.started
  unlinkSync(join(folder, NAMES.key))
  await until(() => identity.status().problem !== null)
  assert.ok(identity.current() !== null)
  await until(() => identity.current() === null)
  await until(() => lines.length === 3)
  assert.deepEqual([...lines].sort(), [
    'error the mesh certificate has expired and there is no newer one: mutual TLS inside the mesh fails from now on',
    'info mesh certificate in force',
    'warn file',
  ])
})

test('a certificate without a SPIFFE id is used, with a warning', async (context) => {
  const { folder, lines, start } = setUp(context)
  write(folder, material({ uris: [], dnsNames: ['edge.example'] }))
  const identity = start()
  await identity.started
  assert.equal(identity.current()?.spiffeId, '')
  assert.deepEqual(lines, ['warn mesh certificate in force; it has no SPIFFE id, so peers may refuse it'])
})
