import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import type { ChallengeAnswer } from '../../src/certificates/acme/challenge-answer.ts'
import { createFileStorage } from '../../src/certificates/acme/file-storage.ts'
import { createLocalCopies } from '../../src/certificates/acme/local-copies.ts'
import { createRedisStorage } from '../../src/certificates/acme/redis-storage.ts'
import {
  type AcmeStorage,
  isHeld,
  StaleLockError,
  type StorageListener,
  type StorageLock,
} from '../../src/certificates/acme/storage.ts'
import { eventually } from '../support/live.ts'
import { RedisServer } from '../support/redis-server.ts'
import { skipWithout } from '../support/requirements.ts'

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'acme-storage-'))
  folders.push(folder)
  return folder
}

const DEAF: StorageListener = { onCertificate() {}, onChallenges: () => Promise.resolve(), onResync() {} }

async function locked(storage: AcmeStorage, name: string, ttlMs = 10_000): Promise<StorageLock> {
  const lock = await storage.lock(name, ttlMs)
  if (isHeld(lock)) throw new Error(`${name} is held for ${lock.heldForMs} ms`)
  return lock
}

/** What every storage has to do. @param open Storages that share what they keep. */
function contract(open: () => Promise<AcmeStorage>): void {
  test('what is written is read, by name and all together, until it is removed', async () => {
    const storage = await open()
    const { fence } = await locked(storage, 'certificate/ns/a')
    await storage.write('certificate', 'ns/a', 'one', fence)
    await storage.write('certificate', 'ns/b', 'two', fence)
    await storage.write('certificate', 'ns/a', 'three', fence)
    assert.equal(await storage.read('certificate', 'ns/a'), 'three')
    assert.equal(await storage.read('order', 'ns/a'), null)
    assert.deepEqual(Object.fromEntries(await storage.readAll('certificate')), { 'ns/a': 'three', 'ns/b': 'two' })
    await storage.remove('certificate', 'ns/a', fence)
    assert.equal(await storage.read('certificate', 'ns/a'), null)
    await storage.close()
  })

  test('a lock has one holder, and is free once that one releases it', async () => {
    const [one, other] = [await open(), await open()]
    const lock = await locked(one, 'certificate/ns/locked')
    const refused = await other.lock('certificate/ns/locked', 10_000)
    assert.ok(isHeld(refused) && refused.heldForMs > 0 && refused.heldForMs <= 10_000)
    await locked(other, 'certificate/ns/another')
    assert.equal(await lock.renew(), true)
    await lock.release()
    await locked(other, 'certificate/ns/locked')
    assert.equal(await lock.renew(), false)
    await Promise.all([one.close(), other.close()])
  })

  test('a lock that is not renewed goes to the next one, and its first holder can write no more', async () => {
    const [one, other] = [await open(), await open()]
    const late = await locked(one, 'certificate/ns/late', 60)
    let next: StorageLock | null = null
    await eventually(async () => {
      next = await locked(other, 'certificate/ns/late')
    })
    await other.write('certificate', 'ns/late', 'new', next!.fence)
    await assert.rejects(one.write('certificate', 'ns/late', 'stale', late.fence), StaleLockError)
    await assert.rejects(one.remove('certificate', 'ns/late', late.fence), StaleLockError)
    assert.equal(await late.renew(), false)
    await late.release()
    assert.equal(await next!.renew(), true, 'what is released late is not the lock of the next one')
    assert.equal(await one.read('certificate', 'ns/late'), 'new')
    await Promise.all([one.close(), other.close()])
  })

  test('a budget is spent in all windows or in none, and has room again when the oldest is out', async () => {
    const storage = await open()
    const narrow = { key: `narrow ${Math.random()}`, limit: 2, windowMs: 1000 }
    const wide = { key: `wide ${Math.random()}`, limit: 3, windowMs: 100_000 }
    const at = Date.now()
    assert.equal(await storage.spend([narrow, wide], at), null)
    assert.equal(await storage.spend([narrow, wide], at + 100), null)
    assert.deepEqual(await storage.spend([wide, narrow], at + 200), { key: narrow.key, retryAt: at + 1000 })
    assert.equal(await storage.spend([narrow, wide], at + 1050), null, 'the refused one cost nothing')
    assert.deepEqual(await storage.spend([wide], at + 1060), { key: wide.key, retryAt: at + 100_000 })
    await storage.close()
  })

  test('of many that spend at the same time no more than the limit succeed', async () => {
    const storage = await open()
    const window = { key: `crowd ${Math.random()}`, limit: 5, windowMs: 60_000 }
    const answers = await Promise.all(Array.from({ length: 20 }, () => storage.spend([window], Date.now())))
    assert.equal(answers.filter((answer) => answer === null).length, 5)
    await storage.close()
  })
}

describe('storage in files', () => {
  const folder = newFolder()
  contract(async () => {
    const storage = createFileStorage({ folder: join(folder, 'acme'), now: Date.now })
    await storage.start(DEAF)
    return storage
  })

  test('a lock of a process that is gone is free at once', async () => {
    const own = join(newFolder(), 'acme')
    const storage = createFileStorage({ folder: own, now: Date.now })
    const lock = await locked(storage, 'certificate/ns/a')
    const file = join(own, 'lock', `${encodeURIComponent('certificate/ns/a')}.json`)
    const { hostname } = await import('node:os')
    const dead = { host: hostname(), pid: 2 ** 22 + 1, bornAt: 0, token: 1, expiresAt: Date.now() + 3_600_000 }
    writeFileSync(file, JSON.stringify(dead))
    await locked(storage, 'certificate/ns/a')
    await lock.release()
  })

  test('a budget that is damaged is an error: nobody knows what was spent', async () => {
    const own = join(newFolder(), 'acme')
    const storage = createFileStorage({ folder: own, now: Date.now })
    await storage.start(DEAF)
    writeFileSync(join(own, 'budget.json'), '{')
    await assert.rejects(storage.spend([{ key: 'a', limit: 1, windowMs: 1 }], 0), /budget\.json is damaged/)
  })
})

describe('storage in Redis', { skip: skipWithout('redis-server') }, () => {
  let redis: RedisServer
  const opened: AcmeStorage[] = []
  before(async () => {
    redis = await RedisServer.start()
  })
  after(async () => {
    for (const storage of opened) await storage.close()
    await redis.stop()
  })

  const open = async (listener = DEAF, copies = newFolder(), url = redis.url): Promise<AcmeStorage> => {
    const storage = createRedisStorage({
      connect: () => new Redis(url, { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0 }),
      copies: createLocalCopies(copies),
      now: Date.now,
      log: { warn() {} },
    })
    opened.push(storage)
    await storage.start(listener)
    return storage
  }
  contract(open)

  test('others are told of a new certificate', async () => {
    const told: string[] = []
    const [one, other] = [await open(), await open({ ...DEAF, onCertificate: (name) => told.push(name) })]
    await one.write('certificate', 'ns/told', 'text', (await locked(one, 'certificate/ns/told')).fence)
    await eventually(() => assert.deepEqual(told, ['ns/told']))
    await Promise.all([one.close(), other.close()])
  })

  test('a challenge is shared once every other replica says that it answers it, and forgotten when it is over', async () => {
    const answered: ChallengeAnswer[][] = []
    const listener: StorageListener = {
      ...DEAF,
      async onChallenges(answers) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        answered.push([...answers])
      },
    }
    const [one, other] = [await open(), await open(listener)]
    const life = { token: 't', keyAuthorization: 't.k', kind: 'http-01' } as const
    const fresh: ChallengeAnswer = { ...life, id: 'fresh', expiresAt: Date.now() + 60_000 }
    await one.shareChallenges([fresh, { ...life, id: 'over', expiresAt: Date.now() - 1 }])
    assert.deepEqual(answered.at(-1), [fresh])
    const late: ChallengeAnswer[][] = []
    const third = await open({
      ...DEAF,
      onChallenges(answers) {
        late.push([...answers])
        return Promise.resolve()
      },
    })
    assert.deepEqual(late, [[fresh]], 'a replica that starts meanwhile answers, too')
    await one.withdrawChallenges(['fresh'])
    await eventually(() => assert.deepEqual([answered.at(-1), late.at(-1)], [[], []]))
    await Promise.all([one.close(), other.close(), third.close()])
  })

  test('without Redis certificates come from local copies, and nothing can be locked or spent', async () => {
    const copies = newFolder()
    const own = await RedisServer.start()
    const storage = await open(DEAF, copies, own.url)
    await storage.write('certificate', 'ns/kept', 'text', (await locked(storage, 'certificate/ns/kept')).fence)
    await storage.close()
    await own.kill()
    const cutOff = createRedisStorage({
      connect: () =>
        new Redis(own.url, {
          lazyConnect: true,
          enableOfflineQueue: false,
          maxRetriesPerRequest: 0,
          retryStrategy: () => 50,
        }),
      copies: createLocalCopies(copies),
      now: Date.now,
      log: { warn() {} },
    })
    opened.push(cutOff)
    let resynced = 0
    await assert.rejects(cutOff.start({ ...DEAF, onResync: () => void resynced++ }), /Redis cannot be used/)
    assert.deepEqual([...(await cutOff.readAll('certificate'))], [['ns/kept', 'text']])
    await assert.rejects(cutOff.lock('certificate/ns/kept', 1000), /Redis cannot be used: .*ECONNREFUSED/)
    await assert.rejects(cutOff.spend([{ key: 'a', limit: 1, windowMs: 1 }], 0), /Redis cannot be used/)
    await own.run()
    await eventually(() => assert.equal(resynced, 1), 10_000)
    // Commands have a connection of their own, which may be back a little later.
    await eventually(async () => void (await locked(cutOff, 'certificate/ns/kept')), 10_000)
    await cutOff.close()
    await own.stop()
  })
})
