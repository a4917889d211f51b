import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { createLocalCopies } from '../../src/certificates/acme/local-copies.ts'
import { createRedisStorage } from '../../src/certificates/acme/redis-storage.ts'
import { acmeGateway, shownBy, startAcmeGateway } from '../support/acme-gateway.ts'
import { TestCertificates } from '../support/certificates.ts'
import { eventually } from '../support/live.ts'
import { type Pebble, startPebble } from '../support/pebble.ts'
import { createWorkspace, type GatewayProcess, spawnGateway, type Workspace } from '../support/process.ts'
import { RedisServer } from '../support/redis-server.ts'
import { skipWithout } from '../support/requirements.ts'

const skip = skipWithout('pebble') || skipWithout('pebble-challtestsrv') || skipWithout('redis-server')
const WAIT_MS = 30_000

const certificates = new TestCertificates()
const folder = mkdtempSync(join(tmpdir(), 'acme-replicas-'))
after(() => {
  certificates.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe('several replicas on one Redis', { skip }, () => {
  let pebble: Pebble
  let redis: RedisServer
  before(async () => {
    ;[pebble, redis] = await Promise.all([startPebble({ certificates }), RedisServer.start()])
  })
  after(() => Promise.all([pebble.stop(), redis.stop()]))

  const storage = (name: string) =>
    createRedisStorage({
      connect: () => new Redis(redis.url, { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0 }),
      copies: createLocalCopies(join(folder, name)),
      now: Date.now,
      log: { warn() {} },
    })

  test('one of three orders, the others answer too, and all have the certificate within a second', async () => {
    const yaml = acmeGateway(['three.acme.test', 'more.acme.test', 'most.acme.test'])
    pebble.asked.length = pebble.http.length = 0
    const replicas = await Promise.all(
      ['a', 'b', 'c'].map((name) => startAcmeGateway({ pebble, yaml, storage: storage(name) })),
    )
    try {
      assert.equal(pebble.http.length, 3, 'the authority asks each in turn')
      let issuedAt = 0
      await eventually(() => {
        assert.ok(replicas.some(({ manager }) => manager.results.success === 1))
        issuedAt = performance.now()
      }, WAIT_MS)
      const serials = new Set<string>()
      await eventually(async () => {
        serials.clear()
        for (const replica of replicas) serials.add((await replica.shown('three.acme.test')).serialNumber)
      }, 1000)
      assert.ok(performance.now() - issuedAt < 1000)
      assert.equal(serials.size, 1)
      assert.equal(pebble.orders().length, 1)
      assert.equal(
        replicas.reduce((sum, { manager }) => sum + manager.results.success, 0),
        1,
      )
    } finally {
      await Promise.all(replicas.map((replica) => replica.stop()))
    }
  })

  test('a replica that is killed in the middle of an order leaves it to the next one', async () => {
    const workspace = createWorkspace({
      'gateway.yaml': acmeGateway(['killed.acme.test']),
      'sluice.yaml': `acme:
  lockExpiry: 1s
  issuers:
    test: { directory: '${pebble.directory}', caBundle: '${pebble.caBundle}' }
`,
    })
    pebble.asked.length = pebble.http.length = 0
    const gate = Promise.withResolvers<null>()
    const finalizing = Promise.withResolvers<void>()
    let finalized = 0
    pebble.intercept = ({ path }) => {
      if (path === '/order-plz') return gate.promise
      if (!path.startsWith('/finalize-order/') || finalized++ > 0) return null
      finalizing.resolve()
      // Never: by then nobody waits for it any more.
      return new Promise(() => {})
    }
    try {
      const first = await start(workspace, 'first')
      await eventually(() => assert.equal(pebble.orders().length, 1), WAIT_MS)
      const second = await start(workspace, 'second')
      // Only the one that does not order is asked.
      pebble.http.push(second.port(80))
      gate.resolve(null)
      await finalizing.promise
      const killed = performance.now()
      first.signal('SIGKILL')
      await first.exited
      await eventually(async () => {
        assert.equal((await shownBy(second.port(443), 'killed.acme.test')).subjectaltname, 'DNS:killed.acme.test')
      }, WAIT_MS)
      assert.ok(performance.now() - killed < 10_000)
      assert.equal(pebble.orders().length, 1, 'the order that was placed is taken on')
      const third = await start(workspace, 'third')
      await shownBy(third.port(443), 'killed.acme.test')
      const { certificates: shown } = await third.admin<{ certificates: Record<string, unknown>[] }>('/certs')
      assert.equal(shown[0]?.['source'], 'acme:test')
      assert.match(String(shown[0]?.['renewalAt']), /^20/)
      const metrics = await second.metrics()
      assert.equal(metrics.get('sluice_acme_orders_total{result="success"}'), 1)
      assert.ok(metrics.get('sluice_certificate_expiry_seconds{certificate="istio-system/shop-cert"}')! > 86_400)
    } finally {
      gate.resolve(null)
      pebble.intercept = () => null
      await workspace.remove()
    }
  })

  async function start(workspace: Workspace, name: string): Promise<GatewayProcess> {
    const args = ['--redis', redis.url, '--listen', '443=127.0.0.1:0']
    return spawnGateway({ workspace, args, workers: 1, state: join(workspace.root, name) }).untilReady()
  }
})
