import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeshIdentity } from '../../../src/certificates/mesh/create.ts'
import { systemTimers } from '../../../src/lib/timers.ts'
import { loadSettings } from '../../../src/settings/load.ts'

const load = async (env: Record<string, string> = {}, file?: string) => {
  const host = { env, cwd: '/srv', cores: 1, root: false, home: '/home/op', readFile: () => file }
  return (await loadSettings({ values: {} }, host)).settings
}

const silent = { info() {}, warn() {}, error() {} }

test('without a setting there is no mesh identity', async () => {
  const { identity } = await load()
  const time = { clock: Date.now, timers: systemTimers() }
  const deps = { ...time, trustDomain: 'cluster.local', namespace: 'edge', random: Math.random, log: silent }
  assert.equal(createMeshIdentity(identity, deps), null)
})

test('the variables of Istio’s agent are read', async () => {
  const { identity } = await load({
    CA_ADDR: 'istiod-east.istio-system.svc:15012',
    CA_ROOT_CA: 'SYSTEM',
    ISTIOD_SAN: 'istiod.example',
    SERVICE_ACCOUNT: 'sluice',
    SECRET_TTL: '1h',
    ISTIO_META_CLUSTER_ID: 'east',
  })
  assert.equal(identity.caAddress, 'istiod-east.istio-system.svc:15012')
  assert.equal(identity.rootCertPath, 'SYSTEM')
  assert.equal(identity.caServerName, 'istiod.example')
  assert.equal(identity.serviceAccount, 'sluice')
  assert.equal(identity.secretTtl, 3_600_000)
  assert.equal(identity.clusterId, 'east')
})

test('our own variable wins over Istio’s, which wins over the file', async () => {
  const file = 'identity: { caAddress: "file:1", clusterId: file }\n'
  const env = { SLUICE_IDENTITY_CA_ADDRESS: 'own:1', CA_ADDR: 'theirs:1', ISTIO_META_CLUSTER_ID: 'theirs' }
  const { identity } = await load(env, file)
  assert.deepEqual([identity.caAddress, identity.clusterId], ['own:1', 'theirs'])
})

test('an empty variable of Istio counts as not set', async () => {
  assert.equal((await load({ CA_ADDR: '' })).identity.caAddress, 'istiod.istio-system.svc:15012')
})

test('a mistake in a variable of Istio names it', async () => {
  await assert.rejects(load({ SECRET_TTL: '86400' }), {
    message: 'SECRET_TTL: error: expected a duration of at least 1s, such as "24h", found "86400".',
  })
})
