/** The ways to reach Redis other than one plain server: users, TLS, a Cluster, Sentinels. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { RedisStore } from '../../../src/limits/redis/redis-store.ts'
import type { RedisSettings } from '../../../src/limits/redis/settings.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { eventually } from '../../support/live.ts'
import { RedisServer, redisSettingsFor, freePort } from '../../support/redis-server.ts'
import { skipWithout } from '../../support/requirements.ts'

const skip = skipWithout('redis-server')
const SOON_MS = 20_000
const SHAPE = { capacity: 10, perMs: 600_000 }

async function startServer(context: TestContext, args: readonly string[] = []): Promise<RedisServer> {
  const server = await RedisServer.start(args)
  context.after(() => server.stop())
  return server
}

async function storeWith(
  context: TestContext,
  settings: RedisSettings,
): Promise<{ store: RedisStore; told: string[] }> {
  const told: string[] = []
  const store = new RedisStore({
    settings,
    maxBuckets: 1000,
    durationBounds: [1],
    onChange: (reason) => told.push(reason ?? 'up'),
  })
  context.after(() => store.close())
  await store.start(SOON_MS)
  return { store, told }
}

async function admitted(store: RedisStore, identity: string, key: string): Promise<number> {
  const buckets = store.buckets(identity, SHAPE, 'fixed', true)
  const verdicts = await Promise.all(Array.from({ length: 12 }, () => buckets.take(key, 1)))
  return verdicts.filter((verdict) => verdict?.admitted === true).length
}

test('a user with a password, who may only touch the keys of the limits', { skip }, async (t) => {
  const server = await startServer(t)
  await server.client.acl('SETUSER', 'sluice', 'on', '>secret', '~sluice:rl:*', '+@all', '-@admin', '-@dangerous')
  const { store } = await storeWith(t, redisSettingsFor(server.port, { username: 'sluice', password: 'secret' }))
  assert.equal(await admitted(store, 'rule', 'a'), 10)
})

test(
  'TLS: the server is verified, and may ask for a certificate',
  { skip: skip || skipWithout('openssl') },
  async (t) => {
    const certificates = new TestCertificates()
    t.after(() => certificates.remove())
    const authority = certificates.authority('redis')
    const server = certificates.leaf(authority, ['redis.test'])
    const own = certificates.leaf(authority, ['sluice.test'])
    const tlsPort = await freePort()
    await startServer(t, [
      '--tls-port',
      String(tlsPort),
      '--tls-cert-file',
      server.certificateFile,
      '--tls-key-file',
      server.keyFile,
      '--tls-ca-cert-file',
      authority.certificateFile,
      '--tls-auth-clients',
      'yes',
    ])
    const tls = {
      ca: readFileSync(authority.certificateFile, 'utf8'),
      cert: readFileSync(own.certificateFile, 'utf8'),
      key: readFileSync(own.keyFile, 'utf8'),
      serverName: 'redis.test',
    }
    const { store } = await storeWith(t, redisSettingsFor(tlsPort, { tls }))
    assert.equal(await admitted(store, 'rule', 'a'), 10)
    const wrong = await storeWith(t, redisSettingsFor(tlsPort, { tls: { ...tls, serverName: 'other.test' } }))
    assert.equal(wrong.store.isUp(), false)
    assert.match(wrong.told[0] ?? '', /altnames|Hostname/)
    const unknown = await storeWith(t, redisSettingsFor(tlsPort, { tls: { ...tls, ca: null } }))
    assert.equal(unknown.store.isUp(), false)
  },
)

test('a Cluster: keys lie on all its nodes, and each bucket is exact', { skip }, async (t) => {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const servers = await Promise.all([startServer(t, args), startServer(t, args)])
  const [one, two] = servers as [RedisServer, RedisServer]
  await one.client.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: 8192 }, (_, slot) => slot))
  await two.client.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: 8192 }, (_, slot) => slot + 8192))
  await one.client.call('CLUSTER', 'MEET', '127.0.0.1', two.port)
  for (const { client } of servers) {
    await eventually(async () => {
      const info = String(await client.call('CLUSTER', 'INFO'))
      assert.match(info, /cluster_state:ok[^]*cluster_slots_ok:16384/)
    }, SOON_MS)
  }
  const { store } = await storeWith(t, redisSettingsFor(one.port, { mode: 'cluster' }))
  assert.equal(store.isUp(), true)
  for (let key = 0; key < 10; key++) assert.equal(await admitted(store, 'rule', String(key)), 10)
  const sizes = await Promise.all(servers.map(({ client }) => client.dbsize()))
  assert.ok(
    sizes.every((size) => size > 0),
    `keys on the nodes: ${sizes.join(', ')}`,
  )
})

test('Sentinels: the limits follow the primary when it fails over', { skip }, async (t) => {
  const primary = await startServer(t)
  const replica = await startServer(t, ['--replicaof', '127.0.0.1', String(primary.port), '--replica-priority', '1'])
  await eventually(async () => {
    assert.match(await replica.client.info('replication'), /master_link_status:up/)
  }, SOON_MS)
  const sentinel = await RedisServer.startSentinel(primary.port)
  t.after(() => sentinel.stop())
  await eventually(async () => {
    assert.match(await sentinel.client.info('sentinel'), /slaves=1/)
  }, SOON_MS)
  const { store } = await storeWith(t, redisSettingsFor(sentinel.port, { mode: 'sentinel' }))
  assert.equal(await admitted(store, 'before', 'a'), 10)
  await primary.kill()
  await eventually(() => assert.equal(store.isUp(), false), SOON_MS)
  await eventually(() => assert.equal(store.isUp(), true), SOON_MS)
  assert.equal(await admitted(store, 'after', 'a'), 10)
  assert.match(await replica.client.info('replication'), /role:master/)
})
