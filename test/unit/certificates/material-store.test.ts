import assert from 'node:assert/strict'
import { mkdirSync, renameSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { MaterialStore, type MaterialStoreDeps } from '../../../src/certificates/material-store.ts'
import type { MeshCertificate } from '../../../src/certificates/mesh-identity.ts'
import { systemTimers } from '../../../src/lib/timers.ts'
import { type KeyPairFiles, TestCertificates } from '../../support/certificates.ts'
import { eventually } from '../../support/live.ts'
import { skipWithout } from '../../support/requirements.ts'

describe('MaterialStore', { skip: skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  const stores: MaterialStore[] = []
  after(() => {
    for (const store of stores) store.close()
    made.remove()
  })
  const ca = made.authority('store')
  const first = made.leaf(ca, ['first.test'])
  const second = made.leaf(ca, ['second.test'])

  const open = (deps: Partial<MaterialStoreDeps> = {}) => {
    const reports: string[] = []
    const store = new MaterialStore({
      timers: systemTimers(),
      now: Date.now,
      pollMs: 5,
      settleMs: 5,
      mesh: null,
      systemRoots: () => [ca.certificate],
      report: (material, problem) => reports.push(`${material}: ${problem}`),
      ...deps,
    })
    stores.push(store)
    return { store, reports }
  }
  const secret = (name: string, { certificate, key }: KeyPairFiles) => ({
    name,
    certificateChain: certificate,
    privateKey: key,
  })
  /** Files of their own in a folder of their own. */
  const folder = (name: string, { certificate, key }: KeyPairFiles) => {
    const path = join(made.folder, name)
    mkdirSync(path)
    const files = { certificatePath: join(path, 'tls.crt'), keyPath: join(path, 'tls.key') }
    writeFileSync(files.certificatePath, certificate)
    writeFileSync(files.keyPath, key)
    return { path, ...files }
  }
  const namesOf = (lease: ReturnType<MaterialStore['keyPair']>) =>
    lease.material.current?.value.leaf.subjectAltName ?? null

  test('a Secret is used from when it is there, and no longer than it is', () => {
    const { store, reports } = open()
    const lease = store.keyPair({ kind: 'certificate', name: 'a/b' })
    assert.equal(namesOf(lease), null)
    store.setCertificate('a/b', secret('a/b', first))
    assert.equal(namesOf(lease), 'DNS:first.test')
    store.setCertificate('a/b', secret('a/b', second))
    assert.equal(namesOf(lease), 'DNS:second.test')
    store.deleteCertificate('a/b')
    assert.equal(namesOf(lease), null)
    assert.deepEqual(reports, ['a/b: there is no such object', 'a/b: ', 'a/b: there is no such object'])
  })

  test('a Secret that becomes unusable leaves the one before in use', () => {
    const { store, reports } = open()
    store.setCertificate('a/b', secret('a/b', first))
    const lease = store.keyPair({ kind: 'certificate', name: 'a/b' })
    store.setCertificate('a/b', { ...secret('a/b', first), privateKey: second.key })
    assert.equal(namesOf(lease), 'DNS:first.test')
    assert.match(reports.join(), /^a\/b: the private key does not belong .*; the one before stays in use$/)
  })

  test('authorities are no key pair, and a key pair is no authorities', () => {
    const { store, reports } = open()
    store.setCertificate('a/b', secret('a/b', first))
    store.setCertificate('ca:a/b', { name: 'ca:a/b', caCertificates: ca.certificate })
    const wrong = [
      store.keyPair({ kind: 'certificate', name: 'ca:a/b' }).material.current,
      store.trust({ kind: 'certificate', name: 'a/b' }).material.current,
    ]
    assert.deepEqual(wrong, [null, null])
    assert.deepEqual(reports, [
      'ca:a/b: it holds authorities, and no key pair',
      'a/b: it holds a key pair, and no authorities',
    ])
    assert.notEqual(store.trust({ kind: 'certificate', name: 'ca:a/b' }).material.current, null)
  })

  test('files of a plan entry are read, and read again when they change', async () => {
    const { store } = open()
    const { certificatePath, keyPath } = folder('entry', first)
    store.setCertificate('file:x', { name: 'file:x', certificateFile: certificatePath, privateKeyFile: keyPath })
    const lease = store.keyPair({ kind: 'certificate', name: 'file:x' })
    assert.equal(namesOf(lease), 'DNS:first.test')
    writeFileSync(certificatePath, second.certificate)
    writeFileSync(keyPath, second.key)
    await eventually(() => assert.equal(namesOf(lease), 'DNS:second.test'))
  })

  test('a mount that Kubernetes swaps is read again', async () => {
    const { store, reports } = open()
    const one = folder('mount-1', first)
    const two = folder('mount-2', second)
    const data = join(made.folder, '..data')
    symlinkSync(one.path, data)
    const lease = store.keyPair({
      kind: 'file',
      certificatePath: join(data, 'tls.crt'),
      keyPath: join(data, 'tls.key'),
    })
    assert.equal(namesOf(lease), 'DNS:first.test')
    symlinkSync(two.path, `${data}.tmp`)
    renameSync(`${data}.tmp`, data)
    await eventually(() => assert.equal(namesOf(lease), 'DNS:second.test'))
    assert.deepEqual(reports, [])
  })

  test('half a rotation changes nothing until the other half is there', async () => {
    const { store, reports } = open()
    const { certificatePath, keyPath } = folder('half', first)
    const lease = store.keyPair({ kind: 'file', certificatePath, keyPath })
    writeFileSync(keyPath, second.key)
    await eventually(() => assert.equal(reports.length, 1))
    assert.match(reports[0]!, /the private key does not belong to the certificate .*; the one before stays in use$/)
    assert.equal(namesOf(lease), 'DNS:first.test')
    writeFileSync(certificatePath, second.certificate)
    await eventually(() => assert.equal(namesOf(lease), 'DNS:second.test'))
    assert.equal(reports[1], `${certificatePath} with ${keyPath}: `)
  })

  test('a file that goes away leaves what it held in use, and one that comes late is found', async () => {
    const { store, reports } = open()
    const { certificatePath, keyPath } = folder('late', first)
    const lease = store.keyPair({ kind: 'file', certificatePath, keyPath })
    unlinkSync(certificatePath)
    await eventually(() => assert.match(reports.join(), /tls\.crt cannot be read \(ENOENT\); the one before stays/))
    assert.equal(namesOf(lease), 'DNS:first.test')

    const path = join(made.folder, 'late-ca.pem')
    const trust = store.trust({ kind: 'file', path })
    assert.equal(trust.material.current, null)
    writeFileSync(path, ca.certificate)
    await eventually(() => assert.notEqual(trust.material.current, null))
  })

  test('a file that is only touched makes no new generation', async () => {
    const { store } = open()
    const { certificatePath, keyPath } = folder('touched', first)
    const lease = store.keyPair({ kind: 'file', certificatePath, keyPath })
    const before = lease.material.current
    utimesSync(certificatePath, new Date(), new Date())
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.equal(lease.material.current, before)
  })

  test('what is no plain file is refused without being opened', () => {
    const { store, reports } = open()
    store.trust({ kind: 'file', path: made.folder })
    store.trust({ kind: 'file', path: '/dev/zero' })
    assert.deepEqual(reports, [`${made.folder}: ${made.folder} is no file`, '/dev/zero: /dev/zero is no file'])
  })

  test('expiry is noticed while nothing else happens', async () => {
    let now = Date.now()
    const { store, reports } = open({ now: () => now })
    store.setCertificate('a/b', secret('a/b', first))
    const lease = store.keyPair({ kind: 'certificate', name: 'a/b' })
    now += 365 * 24 * 3600 * 1000
    await eventually(() => assert.match(reports.join(), /^a\/b: expired at \d{4}-/))
    assert.equal(namesOf(lease), 'DNS:first.test')
  })

  test('the mesh identity is followed', () => {
    let identity: MeshCertificate | null = null
    const callbacks = new Set<() => void>()
    const changed = () => {
      for (const callback of callbacks) callback()
    }
    const mesh = {
      current: () => identity,
      onChange: (callback: () => void) => {
        callbacks.add(callback)
        return () => callbacks.delete(callback)
      },
      close: () => Promise.resolve(),
    }
    const { store, reports } = open({ mesh })
    const lease = store.keyPair({ kind: 'mesh' })
    const trust = store.trust({ kind: 'mesh' })
    assert.deepEqual([namesOf(lease), trust.material.current], [null, null])
    identity = {
      certificateChain: first.certificate,
      privateKey: first.key,
      rootCertificates: ca.certificate,
      notAfter: 0,
      spiffeId: '',
    }
    changed()
    assert.equal(trust.material.current?.value.certificates.length, 1)
    assert.equal(namesOf(lease), 'DNS:first.test')
    const before = trust.material.current
    identity = { ...identity, certificateChain: second.certificate, privateKey: second.key }
    changed()
    assert.equal(trust.material.current, before, 'the same roots are no change')
    assert.equal(namesOf(lease), 'DNS:second.test')
    lease.release()
    assert.equal(callbacks.size, 1)
    assert.deepEqual(reports.slice(0, 2), [
      'mesh identity: there is no workload certificate',
      'mesh identity: there is no workload certificate',
    ])
  })

  test('without an identity in a mesh nothing of it is used', () => {
    const { store, reports } = open()
    assert.equal(store.keyPair({ kind: 'mesh' }).material.current, null)
    assert.deepEqual(reports, ['mesh identity: this gateway has no identity in a mesh'])
  })

  test('equal demands share one context, and other material makes another', () => {
    const { store } = open()
    store.setCertificate('a/b', secret('a/b', first))
    const tls = {
      trust: { kind: 'system' },
      clientCertificate: { kind: 'certificate', name: 'a/b' },
      minVersion: 'TLSv1.2',
    } as const
    const [one, other] = [store.clientContext(tls), store.clientContext({ ...tls })]
    const before = one.current()!
    assert.equal(one.current(), before)
    assert.equal(other.current()!.secureContext, before.secureContext)
    store.setCertificate('a/b', secret('a/b', second))
    assert.notEqual(one.current()!.generation, before.generation)
    assert.equal(one.current()!.secureContext, other.current()!.secureContext)
    store.deleteCertificate('a/b')
    assert.deepEqual([one.current(), one.problem], [null, 'there is no such object'])
  })

  test('what nobody uses any more is neither kept nor looked at', () => {
    let reads = 0
    const { store } = open({
      systemRoots: () => {
        reads++
        return [ca.certificate]
      },
    })
    const leases = [store.trust({ kind: 'system' }), store.trust({ kind: 'system' })]
    assert.equal(reads, 1)
    for (const lease of leases) lease.release()
    leases[0]!.release()
    store.trust({ kind: 'system' })
    assert.equal(reads, 2)
  })
})
