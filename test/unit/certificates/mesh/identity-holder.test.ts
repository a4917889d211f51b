import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IdentityHolder } from '../../../../src/certificates/mesh/identity-holder.ts'
import { createRemoteIdentity } from '../../../../src/certificates/mesh/remote-identity.ts'
import type { MeshCertificate } from '../../../../src/certificates/mesh-identity.ts'
import { manualTime } from './manual-time.ts'

const START = Date.UTC(2026, 0, 1)
const HOUR_MS = 3_600_000

function certificate(name: string, lifeMs: number): MeshCertificate {
  return {
    certificateChain: name,
    privateKey: 'key',
    rootCertificates: 'roots',
    notAfter: START + lifeMs,
    spiffeId: 'spiffe://cluster.local/ns/a/sa/b',
  }
}

function setUp() {
  const time = manualTime(START)
  const expired: string[] = []
  const holder = new IdentityHolder(time, ({ certificateChain }) => expired.push(certificateChain))
  const seen: (string | null)[] = []
  const end = holder.onChange(() => seen.push(holder.current()?.certificateChain ?? null))
  return { time, holder, expired, seen, end }
}

test('a certificate is in force until it expires; that is a change, and said once', () => {
  const { time, holder, expired, seen } = setUp()
  holder.set(certificate('first', HOUR_MS))
  time.pass(HOUR_MS - 1)
  assert.equal(holder.current()?.certificateChain, 'first')
  time.pass(1)
  assert.equal(holder.current(), null)
  assert.deepEqual(seen, ['first', null])
  assert.deepEqual(expired, ['first'])
  time.pass(HOUR_MS)
  assert.deepEqual(expired, ['first'])
})

test('a newer certificate takes the place of the old one, whose end then means nothing', () => {
  const { time, holder, expired, seen } = setUp()
  holder.set(certificate('first', HOUR_MS))
  holder.set(certificate('second', 2 * HOUR_MS))
  time.pass(HOUR_MS + 1)
  assert.equal(holder.current()?.certificateChain, 'second')
  assert.deepEqual(seen, ['first', 'second'])
  assert.deepEqual(expired, [])
})

test('the same certificate again is no change, other roots are one', () => {
  const { holder, seen } = setUp()
  const first = certificate('first', HOUR_MS)
  assert.equal(holder.set(first), true)
  assert.equal(holder.set({ ...first }), false)
  assert.equal(holder.set({ ...first, rootCertificates: 'others' }), true)
  assert.equal(seen.length, 2)
})

test('a clock that is set forward ends a certificate at once, and it is told within a minute', () => {
  const { time, holder, seen } = setUp()
  holder.set(certificate('first', 100 * HOUR_MS))
  time.set(START + 100 * HOUR_MS)
  assert.equal(holder.current(), null)
  time.pass(60_000)
  assert.deepEqual(seen, ['first', null])
})

test('a certificate that lasts longer than a timer can wait does not end early', () => {
  const { time, holder, seen } = setUp()
  holder.set(certificate('first', 24 * 365 * HOUR_MS))
  time.pass(10 * HOUR_MS)
  assert.deepEqual(seen, ['first'])
})

test('who ended the subscription, and everybody after the close, hears nothing more', () => {
  const { time, holder, seen, end } = setUp()
  let others = 0
  holder.onChange(() => others++)
  end()
  holder.set(certificate('first', HOUR_MS))
  assert.deepEqual([seen, others], [[], 1])
  holder.close()
  time.pass(2 * HOUR_MS)
  assert.equal(holder.set(certificate('second', 9 * HOUR_MS)), false)
  assert.equal(others, 1)
})

test('a worker has what the primary sent, until it expires or the primary takes it back', async () => {
  const time = manualTime(START)
  const remote = createRemoteIdentity(time)
  let changes = 0
  remote.onChange(() => changes++)
  assert.equal(remote.current(), null)
  const sent = structuredClone(certificate('first', HOUR_MS))
  remote.update(sent)
  assert.deepEqual(remote.current(), sent)
  remote.update(null)
  assert.equal(remote.current(), null)
  remote.update(certificate('second', HOUR_MS))
  time.pass(HOUR_MS)
  assert.equal(remote.current(), null)
  assert.equal(changes, 4)
  await remote.close()
})
