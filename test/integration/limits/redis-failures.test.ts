/** A whole gateway while its Redis fails in all the ways that it can: no request is lost, and counting comes back. */
import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Answer,
  ask,
  eventually,
  GATEWAY,
  routes,
  service,
  startGateway,
  startUpstream,
} from '../../support/live.ts'
import { freePort, RedisServer, redisSettingsFor } from '../../support/redis-server.ts'
import { skipWithout } from '../../support/requirements.ts'

const skip = skipWithout('redis-server')
/** A busy machine has moments in which a healthy Redis takes this long. */
const TIMEOUT_MS = 250
/** What a test that is not about time gives a machine. */
const SOON_MS = 10_000

const upstream = await startUpstream((_req, res) => res.end('up'))
after(() => upstream.stop())

const rule = (name: string, requests: number, whenStoreFails: string) =>
  `{ name: ${name}, match: [{ uri: { prefix: /${name} } }], limit: { requests: ${requests}, per: 600s }, whenStoreFails: ${whenStoreFails} }`

const POLICY = `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: limits }
spec:
  rules:
  - ${rule('allow', 1, 'allow')}
  - ${rule('deny', 1, 'deny')}
  - ${rule('local', 2, 'local')}
  - ${rule('back', 1_000_000, 'allow')}
`

async function start(context: TestContext, prepare: (redis: RedisServer) => Promise<unknown> = async () => {}) {
  const redis = await RedisServer.start()
  context.after(() => redis.stop())
  await prepare(redis)
  const gateway = await startGateway(
    GATEWAY + service('a', upstream.port) + routes('[{ route: [{ destination: { host: a.test } }] }]') + POLICY,
    {
      mesh: { hasRedis: true },
      settings: { redis: redisSettingsFor(redis.port, { timeoutMs: TIMEOUT_MS }) },
    },
  )
  context.after(() => gateway.stop())
  const send = (path: string): Promise<Answer> => ask({ port: gateway.port(), path })
  /** Requests of a rule that Redis counts tell what is left; those that it does not count do not. */
  const isCounted = async () => (await send('/back')).headers['x-ratelimit-remaining'] !== undefined
  return {
    redis,
    send,
    gateway,
    counts: () => eventually(async () => assert.equal(await isCounted(), true), SOON_MS),
    countsNot: () => eventually(async () => assert.equal(await isCounted(), false), SOON_MS),
    errors: () => gateway.plane.stats().metrics.rateLimits?.store?.errors ?? {},
    isUp: () => gateway.plane.stats().metrics.rateLimits?.store?.up,
  }
}

type Live = Awaited<ReturnType<typeof start>>

/** What `whenStoreFails` promises. */
async function goesByWhenStoreFails({ send }: Live): Promise<void> {
  const statuses = async (path: string) => [
    (await send(path)).status,
    (await send(path)).status,
    (await send(path)).status,
  ]
  assert.deepEqual(await statuses('/allow'), [200, 200, 200])
  assert.deepEqual(await statuses('/deny'), [500, 500, 500])
  assert.deepEqual(await statuses('/local'), [200, 200, 429])
}

test('a Redis that stops answering is left alone until it goes on', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  live.redis.freeze()
  const began = performance.now()
  const answers = await Promise.all(Array.from({ length: 50 }, () => live.send('/back')))
  assert.ok(answers.every(({ status }) => status === 200))
  // They waited at the same time: one after the other they would have taken longer.
  assert.ok(performance.now() - began < 50 * TIMEOUT_MS, `${performance.now() - began} ms`)
  assert.equal(live.isUp(), false)
  const before = live.errors()['timeout']!
  assert.ok(before >= 3)
  for (let i = 0; i < 20; i++) assert.equal((await live.send('/back')).status, 200)
  await goesByWhenStoreFails(live)
  assert.equal(live.errors()['timeout'], before, 'Redis was asked although it does not answer')
  live.redis.thaw()
  await live.counts()
  assert.equal(live.isUp(), true)
})

test('a Redis that is gone for longer than connections last is found again', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  live.redis.freeze()
  await live.countsNot()
  // Long enough for a new connection to be tried.
  await delay(1500)
  live.redis.thaw()
  await live.counts()
})

test('a Redis that is started anew counts again', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  await live.redis.kill()
  await live.countsNot()
  await goesByWhenStoreFails(live)
  await live.redis.run()
  await live.counts()
})

test('a Redis that was flushed counts from zero', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  await live.send('/back')
  await live.redis.client.flushall()
  assert.equal((await live.send('/back')).headers['x-ratelimit-remaining'], '999999')
  assert.deepEqual(
    Object.values(live.errors()).filter((count) => count > 0),
    [],
  )
})

test('a Redis without memory left is not asked, and is when it has some', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  await live.redis.client.config('SET', 'maxmemory', '1')
  await live.countsNot()
  await goesByWhenStoreFails(live)
  assert.ok(live.errors()['out_of_memory']! >= 1)
  await live.redis.client.config('SET', 'maxmemory', '0')
  await live.counts()
})

test('a Redis that became a replica is not asked, and is when it is a primary again', { skip }, async (t) => {
  const live = await start(t)
  await live.counts()
  await live.redis.client.replicaof('127.0.0.1', await freePort())
  await live.countsNot()
  await goesByWhenStoreFails(live)
  assert.ok(live.errors()['read_only']! >= 1)
  await live.redis.client.replicaof('NO', 'ONE')
  await live.counts()
})

test('a Redis that still loads its data is not asked until it has', { skip }, async (t) => {
  const live = await start(t)
  const pipeline = live.redis.client.pipeline()
  for (let i = 0; i < 2000; i++) pipeline.set(`key ${i}`, i)
  await pipeline.exec()
  await live.redis.client.save()
  await live.redis.kill()
  await live.countsNot()
  // 2000 keys of 500 µs are a second of loading.
  await live.redis.run(['--key-load-delay', '500', '--loading-process-events-interval-bytes', '1024'], false)
  await eventually(async () => {
    await assert.rejects(live.redis.client.get('key 1'), /LOADING/)
  }, SOON_MS)
  await goesByWhenStoreFails(live)
  await live.counts()
  assert.equal(await live.redis.client.get('key 1'), '1')
})

test('a wrong password is no reason to refuse requests', { skip }, async (t) => {
  const live = await start(t, ({ client }) => client.config('SET', 'requirepass', 'secret'))
  await goesByWhenStoreFails(live)
  assert.equal(live.isUp(), false)
})
