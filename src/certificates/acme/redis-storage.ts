/**
 * Storage in Redis, for any number of replicas. All keys share one hash tag, so a cluster keeps them on one node and a
 * script may touch several.
 *
 * Changes are announced on a channel; what is announced is read from Redis, never believed from the message. A replica
 * that was cut off reads everything again when it is back.
 */
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Cluster, type Redis } from 'ioredis'
import type { ChallengeAnswer } from './challenge-answer.ts'
import type { LocalCopies } from './local-copies.ts'
import { AcmeProblem } from './problem.ts'
import {
  type AcmeStorage,
  type BudgetRefusal,
  type BudgetWindow,
  type Fence,
  type Folder,
  type LockHeld,
  StaleLockError,
  type StorageListener,
  type StorageLock,
} from './storage.ts'

export interface RedisStorageOptions {
  /** Makes a client that connects, and connects again, by itself. Called twice: one of the two only listens. */
  readonly connect: () => Redis | Cluster
  /** What was read last, for a start while Redis is out of reach. */
  readonly copies: LocalCopies
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly log: { warn(fields: object, message: string): void }
  /** Begins every key; holds a hash tag. */
  readonly prefix?: string
}

const PREFIX = 'sluice:{acme}:'
/** Nothing of this is on the path of a request: a slow Redis is waited for. In ms. */
const COMMAND_MS = 3000
/** How long the first connection is waited for at the start, in ms. */
const CONNECT_MS = 3000
/** Replicas get so long to answer a challenge, in ms; one that takes longer may fail the authority's look. */
const ACKNOWLEDGE_MS = 2000
const LOOK_MS = 20
const ACKNOWLEDGEMENT_LIFE_MS = 60_000
/** A cluster's node does not know how many listen on the others: they get this long, in ms. */
const CLUSTER_WAIT_MS = 500

/** KEYS lock, fence; ARGV life. → [token, 0], or [0, ms until it is free]. */
const LOCK = `
local left = redis.call('PTTL', KEYS[1])
if left > 0 then return {0, left} end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return {token, 0}`

/** KEYS lock, fence; ARGV token, life. Free again and taken by nobody counts as held. */
const RENEW = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`

const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`

/** KEYS fence, folder; ARGV token, name, text, channel, message (empty: nothing is announced). */
const WRITE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return 1`

const REMOVE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
return 1`

/** KEYS windows; ARGV now, member, then limit and length of each. → 0, or [window from 1, when there is room]. */
const SPEND = `
local now = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local limit, length = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - length)
  local count = redis.call('ZCARD', key)
  if count >= limit then
    local oldest = redis.call('ZRANGE', key, count - limit, count - limit, 'WITHSCORES')
    return {i, string.format('%.0f', tonumber(oldest[2]) + length)}
  end
end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[2])
  redis.call('PEXPIRE', key, ARGV[2 + 2 * i])
end
return 0`

type Announcement =
  { readonly type: 'certificate'; readonly name: string } | { readonly type: 'challenges'; readonly id: string }

export function createRedisStorage(options: RedisStorageOptions): AcmeStorage {
  const { copies, now, log, prefix = PREFIX } = options
  const channel = `${prefix}changes`
  const challenges = `${prefix}challenge`
  const commands = options.connect()
  const subscriber = options.connect()
  let listener: StorageListener | null = null
  let isClosed = false
  /** Announcements may have been missed. */
  let wasCutOff = false
  /** The first connection is made, or given up: later ones have to catch up by themselves. */
  let hasStarted = false
  let trouble = ''
  for (const client of [commands, subscriber]) {
    client.on('error', (error: Error) => {
      trouble = error.message
    })
  }

  const lockKey = (name: string) => `${prefix}lock:${name}`
  const fenceKey = (name: string) => `${prefix}fence:${name}`

  /** @throws AcmeProblem where Redis does not carry it out in time. */
  async function ask<T>(command: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    const late = new AbortController()
    try {
      return await Promise.race([
        command(commands),
        delay(COMMAND_MS, undefined, { signal: late.signal, ref: false }).then(() => {
          throw new Error(`no answer within ${COMMAND_MS} ms`)
        }),
      ])
    } catch (error) {
      const reason = trouble === '' ? (error as Error).message : trouble
      throw new AcmeProblem('storage', `Redis cannot be used: ${reason}`)
    } finally {
      late.abort()
    }
  }

  function evaluate(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return ask((client) => client.eval(script, keys.length, ...keys, ...args))
  }

  async function fenced(script: string, { name, token }: Fence, folder: Folder, args: readonly string[]) {
    const done = await evaluate(script, [fenceKey(name), prefix + folder], [token, ...args])
    if (done !== 1) throw new StaleLockError(name)
  }

  async function readAnswers(): Promise<ChallengeAnswer[]> {
    const all = await ask((client) => client.hgetall(challenges))
    const answers = Object.values(all).map((text) => JSON.parse(text) as ChallengeAnswer)
    const over = answers.filter(({ expiresAt }) => expiresAt <= now()).map(({ id }) => id)
    if (over.length > 0) await ask((client) => client.hdel(challenges, ...over))
    return answers.filter(({ expiresAt }) => expiresAt > now())
  }

  async function onMessage(text: string): Promise<void> {
    const message = JSON.parse(text) as Announcement
    if (message.type === 'certificate') {
      listener?.onCertificate(message.name)
      return
    }
    await listener?.onChallenges(await readAnswers())
    const key = `${prefix}acknowledged:${message.id}`
    await ask((client) => client.multi().incr(key).pexpire(key, ACKNOWLEDGEMENT_LIFE_MS).exec())
  }

  /** Has everybody read the challenges again. Resolves when all that listen have done so, or had their time. */
  async function announceChallenges(): Promise<void> {
    const id = randomUUID()
    const message: Announcement = { type: 'challenges', id }
    const listening = await ask((client) => client.publish(channel, JSON.stringify(message)))
    if (commands instanceof Cluster) {
      await delay(CLUSTER_WAIT_MS)
      return
    }
    const end = performance.now() + ACKNOWLEDGE_MS
    while (performance.now() < end) {
      const done = await ask((client) => client.get(`${prefix}acknowledged:${id}`))
      if (Number(done ?? 0) >= listening) return
      await delay(LOOK_MS)
    }
    log.warn({ listening }, 'not every replica said in time that it answers a challenge')
  }

  function lockOf(name: string, token: number, ttlMs: number): StorageLock {
    const keys = [lockKey(name), fenceKey(name)]
    return {
      fence: { name, token },
      renew: async () => (await evaluate(RENEW, keys, [token, ttlMs])) === 1,
      release: async () => {
        await evaluate(RELEASE, keys, [token])
      },
    }
  }

  return {
    kind: 'redis',
    async start(to) {
      listener = to
      subscriber.on('message', (_: string, text: string) => {
        onMessage(text).catch((error: unknown) => {
          log.warn({ reason: (error as Error).message }, 'an announcement of another replica could not be followed')
        })
      })
      subscriber.on('close', () => {
        wasCutOff = true
      })
      subscriber.on('ready', () => {
        trouble = ''
        subscriber
          .subscribe(channel)
          .then(async () => {
            if (!wasCutOff || !hasStarted || isClosed) return
            wasCutOff = false
            to.onResync()
            await to.onChallenges(await readAnswers())
          })
          .catch(() => {
            // The next connection tries again.
          })
      })
      await Promise.race([
        Promise.all([connected(commands), connected(subscriber)]),
        delay(CONNECT_MS, undefined, { ref: false }),
      ])
      wasCutOff = true
      try {
        // First listen, then read: nothing falls in between.
        await ask(() => subscriber.subscribe(channel))
        await to.onChallenges(await readAnswers())
        wasCutOff = false
      } finally {
        hasStarted = true
      }
    },
    read: async (folder, name) => {
      const text = await ask((client) => client.hget(prefix + folder, name))
      if (folder === 'certificate' && text !== null) await copies.save(name, text)
      return text
    },
    async readAll(folder) {
      try {
        const all = new Map(Object.entries(await ask((client) => client.hgetall(prefix + folder))))
        if (folder === 'certificate') for (const [name, text] of all) await copies.save(name, text)
        return all
      } catch (error) {
        const kept = folder === 'certificate' ? await copies.load() : new Map<string, string>()
        if (kept.size === 0) throw error
        wasCutOff = true
        log.warn(
          { reason: (error as Error).message, certificates: kept.size },
          'certificates are read from local copies',
        )
        return kept
      }
    },
    async write(folder, name, text, fence) {
      const message: Announcement | null = folder === 'certificate' ? { type: 'certificate', name } : null
      await fenced(WRITE, fence, folder, [name, text, channel, message === null ? '' : JSON.stringify(message)])
      if (folder === 'certificate') await copies.save(name, text)
    },
    remove: (folder, name, fence) => fenced(REMOVE, fence, folder, [name]),
    async lock(name, ttlMs): Promise<StorageLock | LockHeld> {
      const answer = await evaluate(LOCK, [lockKey(name), fenceKey(name)], [ttlMs])
      const [token, heldForMs] = answer as [number, number]
      return token === 0 ? { heldForMs } : lockOf(name, token, ttlMs)
    },
    async spend(windows: readonly BudgetWindow[], at): Promise<BudgetRefusal | null> {
      const keys = windows.map(({ key }) => `${prefix}budget:${createHash('sha256').update(key).digest('base64url')}`)
      const bounds = windows.flatMap(({ limit, windowMs }) => [limit, windowMs])
      const answer = await evaluate(SPEND, keys, [at, randomUUID(), ...bounds])
      if (!Array.isArray(answer)) return null
      const [index, retryAt] = answer as [number, string]
      return { key: windows[index - 1]!.key, retryAt: Number(retryAt) }
    },
    async shareChallenges(answers) {
      if (answers.length === 0) return
      const fields = Object.fromEntries(answers.map((answer) => [answer.id, JSON.stringify(answer)]))
      await ask((client) => client.hset(challenges, fields))
      await announceChallenges()
    },
    async withdrawChallenges(ids) {
      if (ids.length === 0) return
      await ask((client) => client.hdel(challenges, ...ids))
      const message: Announcement = { type: 'challenges', id: randomUUID() }
      await ask((client) => client.publish(channel, JSON.stringify(message)))
    },
    close: () => {
      isClosed = true
      listener = null
      commands.disconnect()
      subscriber.disconnect()
      return Promise.resolve()
    },
  }
}

/** Resolves with the first connection; a client that connects lazily is told to. */
async function connected(client: Redis | Cluster): Promise<void> {
  if (client.status === 'ready') return
  const ready = new Promise<void>((resolve) => client.once('ready', () => resolve()))
  if (client.status === 'wait') client.connect().catch(() => {})
  await ready
}
