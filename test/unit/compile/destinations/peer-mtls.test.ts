import assert from 'node:assert/strict'
import test from 'node:test'
import { readPeerMtls } from '../../../../src/compile/destinations/peer-mtls.ts'
import type { PeerAuthenticationSpec } from '../../../../src/resources/peer-authentication.ts'
import { resource } from '../snapshots.ts'

const ROOT = 'istio-system'

function policy(namespace: string, spec: PeerAuthenticationSpec) {
  return resource('PeerAuthentication', 'one', spec, { namespace })
}

const off: PeerAuthenticationSpec = { mtls: { mode: 'DISABLE' } }
const strict: PeerAuthenticationSpec = { mtls: { mode: 'STRICT' } }
const legacy = { selector: { matchLabels: { app: 'legacy' } } }

test('mutual TLS is on where nobody says anything', () => {
  const peers = readPeerMtls([], ROOT)
  assert.equal(peers.isOffIn('shop'), false)
  assert.equal(peers.isOffAt('shop', { app: 'legacy' }, 80), false)
})

test('a policy of the root namespace holds for all namespaces that have none of their own', () => {
  const peers = readPeerMtls([policy(ROOT, off), policy('shop', strict), policy('unset', { mtls: {} })], ROOT)
  assert.equal(peers.isOffIn('other'), true)
  assert.equal(peers.isOffIn('shop'), false)
  assert.equal(peers.isOffIn('unset'), true)
})

test('the oldest policy of a namespace holds', () => {
  assert.equal(readPeerMtls([policy('shop', strict), policy('shop', off)], ROOT).isOffIn('shop'), false)
})

test('a policy with a selector is for those workloads of its namespace', () => {
  const peers = readPeerMtls([policy('shop', { ...legacy, ...off })], ROOT)
  assert.equal(peers.isOffIn('shop'), false)
  assert.equal(peers.isOffAt('shop', { app: 'legacy', version: 'v1' }, 80), true)
  assert.equal(peers.isOffAt('shop', { app: 'new' }, 80), false)
  assert.equal(peers.isOffAt('other', { app: 'legacy' }, 80), false)
})

test('a port of a workload may differ from the rest of it', () => {
  const spec: PeerAuthenticationSpec = {
    ...legacy,
    ...strict,
    portLevelMtls: { 8080: { mode: 'DISABLE' }, 8081: { mode: 'UNSET' } },
  }
  const peers = readPeerMtls([policy('shop', spec)], ROOT)
  const isOff = (port: number) => peers.isOffAt('shop', { app: 'legacy' }, port)
  assert.deepEqual([8080, 8081, 8082].map(isOff), [true, false, false])
})
