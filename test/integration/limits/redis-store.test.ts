/** The store of the rate limits on a real Redis: the same behaviour as the limiters in memory, shared. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { StoreBuckets } from '../../../src/limits/limit-store.ts'
import { RedisStore, type RedisStoreOptions } from '../../../src/limits/redis/redis-store.ts'
import { RedisServer, redisSettingsFor } from '../../support/redis-server.ts'
import { skipWithout } from '../../support/requirements.ts'

const skip = skipWithout('redis-server')
const redis = skip === false ? await RedisServer.start() : null
after(() => redis?.stop())

const stores: RedisStore[] = []
after(() => {
  for (const store of stores) store.close()
})

async function storeOn(port: number, change: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = new RedisStore({
    settings: redisSettingsFor(port),
    maxBuckets: 1000,
    durationBounds: [0.001, 0.01],
    onChange: () => {},
    ...change,
  })
  stores.push(store)
  await store.start(5000)
  assert.equal(store.isUp(), true)
  return store
}

let rules = 0
const identity = () => `rule ${++rules}`

async function admitted(buckets: StoreBuckets, count: number, key = 'a'): Promise<number> {
  const verdicts = await Promise.all(Array.from({ length: count }, () => buckets.take(key, 1)))
  return verdicts.filter((verdict) => verdict?.admitted === true).length
}

for (const window of ['fixed', 'sliding'] as const) {
  test(`${window}: two gateways with one Redis admit the limit together`, { skip }, async () => {
    const [one, two] = [await storeOn(redis!.port), await storeOn(redis!.port)]
    const rule = identity()
    const shape = { capacity: 50, perMs: 60_000 }
    const counts = await Promise.all([one, two].map((store) => admitted(store.buckets(rule, shape, window, false), 60)))
    assert.equal(counts[0]! + counts[1]!, 50)
    one.close()
    two.close()
  })

  test(`${window}: other keys, and other rules, have buckets of their own`, { skip }, async () => {
    const store = await storeOn(redis!.port)
    const shape = { capacity: 1, perMs: 60_000 }
    const buckets = store.buckets(identity(), shape, window, false)
    assert.equal(await admitted(buckets, 2, 'a'), 1)
    assert.equal(await admitted(buckets, 2, 'b'), 1)
    assert.equal(await admitted(store.buckets(identity(), shape, window, false), 2, 'a'), 1)
    store.close()
  })

  test(`${window}: what does not fit takes nothing, and tells what is left and when more is`, { skip }, async () => {
    const store = await storeOn(redis!.port)
    const buckets = store.buckets(identity(), { capacity: 5, perMs: 60_000 }, window, false)
    const first = await buckets.take('a', 3)
    assert.deepEqual([first?.admitted, first?.remaining], [true, 2])
    const refused = await buckets.take('a', 3)
    assert.deepEqual([refused?.admitted, refused?.remaining], [false, 2])
    assert.ok(refused!.resetMs > 50_000 && refused!.resetMs <= 60_000, String(refused!.resetMs))
    assert.equal((await buckets.take('a', 2))?.admitted, true)
    store.close()
  })

  test(`${window}: a bucket that is known to be exhausted costs no message`, { skip }, async () => {
    const store = await storeOn(redis!.port)
    const buckets = store.buckets(identity(), { capacity: 2, perMs: 60_000 }, window, false)
    await buckets.take('a', 1)
    assert.equal(buckets.refusal('a', 1, performance.now()), null)
    await buckets.take('a', 1)
    const refusal = buckets.refusal('a', 1, performance.now())
    assert.deepEqual([refusal?.admitted, refusal?.remaining], [false, 0])
    assert.equal(buckets.refusal('b', 1, performance.now()), null)
    assert.equal(buckets.refusal('a', 1, performance.now() + 60_001), null)
    store.close()
  })

  test(`${window}: a window below a second ends, and leaves no key behind`, { skip }, async () => {
    const store = await storeOn(redis!.port, {
      settings: redisSettingsFor(redis!.port, { keyPrefix: `short-${window}:` }),
    })
    const buckets = store.buckets(identity(), { capacity: 1, perMs: 150 }, window, false)
    assert.equal(await admitted(buckets, 2), 1)
    await delay(200)
    assert.equal(await admitted(buckets, 1), 1)
    await delay(200)
    assert.deepEqual(
      (await redis!.client.keys(`short-${window}:*`)).filter((key) => !key.endsWith('probe')),
      [],
    )
    store.close()
  })

  test(`${window}: hits are given back, and charged beyond the capacity`, { skip }, async () => {
    const store = await storeOn(redis!.port)
    const buckets = store.buckets(identity(), { capacity: 2, perMs: 60_000 }, window, true)
    await buckets.take('a', 2)
    buckets.adjust('a', -1)
    assert.equal((await buckets.take('a', 1))?.admitted, true)
    buckets.adjust('a', 10)
    assert.equal((await buckets.take('a', 1))?.admitted, false)
    buckets.adjust('a', -100)
    assert.deepEqual([(await buckets.take('a', 2))?.admitted, (await buckets.take('a', 1))?.admitted], [true, false])
    store.close()
  })
}

test('a sliding window with many hits keeps a short log, and admits no more than its limit', { skip }, async () => {
  const prefix = 'many:'
  const store = await storeOn(redis!.port, { settings: redisSettingsFor(redis!.port, { keyPrefix: prefix }) })
  const buckets = store.buckets(identity(), { capacity: 5000, perMs: 60_000 }, 'sliding', true)
  let count = 0
  for (let i = 0; i < 8; i++) count += await admitted(buckets, 700)
  assert.equal(count, 5000)
  const [key] = (await redis!.client.keys(`${prefix}*`)).filter((each) => !each.endsWith('probe'))
  assert.ok((await redis!.client.strlen(key!)) < 500)
})

test('keys in Redis do not tell whom they are for', { skip }, async () => {
  const store = await storeOn(redis!.port, { settings: redisSettingsFor(redis!.port, { keyPrefix: 'secret:' }) })
  await store.buckets(identity(), { capacity: 1, perMs: 60_000 }, 'fixed', false).take('alice@example.com', 1)
  const keys = await redis!.client.keys('secret:*')
  assert.ok(keys.length >= 1 && keys.every((key) => !key.includes('alice')))
})

test('commands of one turn of the event loop are one message', { skip }, async () => {
  const store = await storeOn(redis!.port)
  const all = Array.from({ length: 20 }, () =>
    store.buckets(identity(), { capacity: 5, perMs: 60_000 }, 'fixed', false),
  )
  // The scripts are sent whole the first time.
  await Promise.all(all.map((buckets) => buckets.take('a', 1)))
  const reads = async () => Number(/total_reads_processed:(\d+)/.exec(await redis!.client.info('stats'))![1])
  const before = await reads()
  await Promise.all(all.map((buckets) => buckets.take('a', 1)))
  const messages = (await reads()) - before
  // The question itself is one of them.
  assert.ok(messages <= 4, `${messages} reads`)
})

test('scripts that Redis has forgotten are loaded again', { skip }, async () => {
  const store = await storeOn(redis!.port)
  const buckets = store.buckets(identity(), { capacity: 10, perMs: 60_000 }, 'fixed', false)
  await buckets.take('a', 1)
  await buckets.take('a', 1)
  await redis!.client.script('FLUSH')
  assert.equal((await buckets.take('a', 1))?.remaining, 7)
})

test(
  'a Redis that cannot be reached costs its start no more than it may wait, and is told once',
  { skip },
  async () => {
    const told: (string | null)[] = []
    const server = await RedisServer.start()
    await server.kill()
    const store = new RedisStore({
      settings: redisSettingsFor(server.port),
      maxBuckets: 10,
      durationBounds: [1],
      onChange: (reason) => told.push(reason),
    })
    const buckets = store.buckets('rule', { capacity: 1, perMs: 1000 }, 'fixed', false)
    await store.start(300)
    assert.equal(store.isUp(), false)
    assert.equal(await buckets.take('a', 1), null)
    assert.equal(told.length, 1)
    assert.match(told[0]!, /ECONNREFUSED/)
    await server.run()
    const end = performance.now() + 10_000
    while (!store.isUp() && performance.now() < end) await delay(20)
    assert.equal((await buckets.take('a', 1))?.admitted, true)
    assert.deepEqual(told.slice(1), [null])
    store.close()
    await server.stop()
  },
)
