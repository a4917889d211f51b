import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meshCertificateView } from '../../../src/admin/mesh-certificate.ts'
import { createAuthority, createKeys, pemOfKey, signCertificate } from '../../support/mesh-certificates.ts'

const ID = 'spiffe://cluster.local/ns/edge/sa/sluice'
const NOW = Date.UTC(2026, 5, 1)
const HOUR_MS = 3_600_000

test('the mesh certificate is shown with its id, expiry and renewal, and never with its key', () => {
  const root = createAuthority('root')
  const { publicKey, privateKey } = createKeys()
  const leaf = signCertificate(root, { publicKey, uris: [ID], notBefore: NOW, notAfter: NOW + 24 * HOUR_MS })
  const certificateChain = `${leaf}${pemOfKey(privateKey)}${root.certificate}`
  const state = { provider: 'istiod', certificateChain, renewAt: NOW + 12 * HOUR_MS, problem: null } as const
  const view = meshCertificateView(state, ['outbound|80||a'], NOW)
  assert.equal(view.name, 'mesh identity (istiod)')
  assert.deepEqual(view.usedBy, ['outbound|80||a'])
  assert.deepEqual(view.subjectAltNames, [`URI:${ID}`])
  assert.equal(view.notAfter, '2026-06-02T00:00:00.000Z')
  assert.equal(view.renewalAt, '2026-06-01T12:00:00.000Z')
  assert.equal(view.daysLeft, 1)
  assert.equal(view.chainLength, 2)
  assert.equal(view.problem, undefined)
  assert.doesNotMatch(JSON.stringify(view), /PRIVATE/)
})

test('without a certificate the reason is shown', () => {
  const state = {
    provider: 'istiod',
    certificateChain: null,
    renewAt: null,
    problem: 'the CA cannot be reached',
  } as const
  assert.equal(meshCertificateView(state, [], NOW).error, 'the CA cannot be reached')
  assert.equal(meshCertificateView({ ...state, problem: null }, [], NOW).error, 'there is none yet')
})
