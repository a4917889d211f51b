/**
 * Limits that all gateways with the same Redis count together. rate-limiter-flexible counts fixed windows, a script
 * sliding ones; commands of one turn of the event loop go in one message (ioredis' automatic pipelining), so a request
 * with several rules costs one round trip.
 *
 * Nothing waits longer for Redis than the timeout. After some failures in a row, or without a connection, Redis is not
 * asked at all until a probe succeeds: a dead Redis costs the first few requests their timeout and the others nothing.
 */
import { hash } from 'node:crypto'
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { LimitStore, StoreBuckets } from '../limit-store.ts'
import type { LimitShape, Verdict } from '../limiter.ts'
import { grainOf } from '../sliding-window.ts'
import { BlockedBuckets } from './blocked-buckets.ts'
import { createRedisClient, type RedisClient } from './client.ts'
import { Deadlines, type Waiting } from './deadlines.ts'
import { type FailureReason, REASONS, reasonOf } from './failure.ts'
import { ADJUST_FIXED, TAKE_FIXED, TAKE_SLIDING } from './scripts.ts'
import type { RedisSettings } from './settings.ts'

/** What is told of the store; all counts since it was made. */
export interface StoreStats {
  readonly up: boolean
  readonly seconds: number
  /** As many as there are bounds, and one more. */
  readonly durations: readonly number[]
  readonly errors: Readonly<Record<string, number>>
}

export interface RedisStoreOptions {
  readonly settings: RedisSettings
  /** Bound on what is remembered for each rule. */
  readonly maxBuckets: number
  /** Upper bounds of the buckets for durations, in seconds, ascending. */
  readonly durationBounds: readonly number[]
  /** Told once when Redis can no longer be used (with the reason), and once when it can again (null). */
  readonly onChange: (reason: string | null) => void
}

/** Failures in a row after which Redis is not asked any more. */
const MOST_FAILURES = 3
const PROBE_EVERY_MS = 100
/** Without an answer for so long a new connection is tried: the old one may lead to a machine that is gone. */
const RECONNECT_AFTER_MS = 1000

const CLOSED = 'the connection was closed'

/** The commands that the scripts are defined as. */
interface Scripted {
  sluiceAdjust(key: string, hits: string, perMs: string): Promise<unknown>
  sluiceSlide(
    key: string,
    hits: string,
    perMicros: string,
    capacity: string,
    grain: string,
    force: '0' | '1',
  ): Promise<[number, number, number]>
}

export class RedisStore implements LimitStore {
  readonly #options: RedisStoreOptions
  readonly #client: RedisClient & Scripted
  readonly #deadlines: Deadlines
  readonly #errors = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<FailureReason, number>
  readonly #durations: number[]
  #seconds = 0
  /** False until the first probe succeeds. */
  #up = false
  #failuresInARow = 0
  /** What went wrong last; nothing did: what it would be without further notice. */
  #lastReason = CLOSED
  #told: 'nothing' | 'up' | 'down' = 'nothing'
  #probe: NodeJS.Timeout | null = null
  #lastAnswer = 0
  #connected: Promise<void> | null = null
  #closed = false

  constructor(options: RedisStoreOptions) {
    this.#options = options
    const { settings, durationBounds } = options
    this.#durations = new Array<number>(durationBounds.length + 1).fill(0)
    this.#deadlines = new Deadlines(settings.timeoutMs)
    const client = createRedisClient(settings)
    client.defineCommand('sluiceAdjust', { numberOfKeys: 1, lua: ADJUST_FIXED })
    client.defineCommand('sluiceSlide', { numberOfKeys: 1, lua: TAKE_SLIDING })
    this.#client = client as RedisClient & Scripted
    // Without a listener it would end the process. Why Redis cannot be used is told once, by `onChange`.
    client.on('error', (error: Error) => {
      this.#lastReason = error.message
    })
    client.on('close', () => this.#goDown(this.#lastReason))
  }

  isUp(): boolean {
    return this.#up
  }

  /**
   * Connects, where that has not begun. Resolves when Redis can be used, or after `waitMs` without it; it goes on being
   * tried then. Never rejects.
   */
  async start(waitMs: number): Promise<void> {
    this.#connected ??= this.#connect()
    if (this.#up) return
    await Promise.race([this.#connected, new Promise((resolve) => setTimeout(resolve, waitMs).unref())])
  }

  buckets(identity: string, shape: LimitShape, window: 'fixed' | 'sliding', mayGiveBack: boolean): StoreBuckets {
    void this.start(0)
    const send = window === 'fixed' ? this.#fixed(shape) : this.#sliding(shape)
    const base = `${identity}\0`
    const keyOf = (key: string) => this.#options.settings.keyPrefix + hash('sha256', base + key, 'base64url')
    const blocked = new BlockedBuckets(this.#options.maxBuckets)
    return {
      refusal: (key, hits, now) => blocked.refusal(key, hits, now),
      take: (key, hits) =>
        this.#within(
          () => send.take(keyOf(key), hits),
          ({ admitted, remaining, resetMs }) => {
            if (mayGiveBack || (admitted && remaining > 0)) return
            blocked.add(key, admitted ? 1 : hits, resetMs, performance.now())
          },
        ),
      adjust: (key, delta) => {
        void this.#within(() => send.adjust(keyOf(key), delta))
      },
    }
  }

  stats(): StoreStats {
    return { up: this.#up, seconds: this.#seconds, durations: this.#durations, errors: this.#errors }
  }

  close(): void {
    this.#closed = true
    if (this.#probe !== null) clearTimeout(this.#probe)
    this.#deadlines.close()
    this.#client.disconnect()
  }

  #fixed({ capacity, perMs }: LimitShape) {
    const limiter = new RateLimiterRedis({
      storeClient: this.#client,
      points: capacity,
      // The script is told milliseconds where the library thinks of seconds: its own windows are whole ones.
      duration: perMs,
      keyPrefix: '',
      customIncrTtlLuaScript: TAKE_FIXED,
    })
    return {
      take: (key: string, hits: number): Promise<Verdict> =>
        limiter.consume(key, hits).then(
          ({ remainingPoints, msBeforeNext }) => ({
            admitted: true,
            remaining: remainingPoints,
            resetMs: Math.max(0, msBeforeNext),
          }),
          (refused: unknown) => {
            // A refusal comes as a result, a failure as an error: the two must not be confused.
            if (!(refused instanceof RateLimiterRes)) throw refused
            const { consumedPoints, msBeforeNext } = refused
            const remaining = Math.max(0, capacity - (consumedPoints - hits))
            return { admitted: false, remaining, resetMs: Math.max(0, msBeforeNext) }
          },
        ),
      adjust: (key: string, delta: number) => this.#client.sluiceAdjust(key, String(delta), String(perMs)),
    }
  }

  #sliding(shape: LimitShape) {
    const perMicros = String(shape.perMs * 1000)
    const capacity = String(shape.capacity)
    const grain = String(Math.floor(grainOf(shape) * 1000))
    return {
      take: async (key: string, hits: number): Promise<Verdict> => {
        const [admitted, remaining, reset] = await this.#client.sluiceSlide(
          key,
          String(hits),
          perMicros,
          capacity,
          grain,
          '0',
        )
        return { admitted: admitted === 1, remaining, resetMs: Math.max(0, reset / 1000) }
      },
      adjust: (key: string, delta: number) =>
        this.#client.sluiceSlide(key, String(delta), perMicros, capacity, grain, '1'),
    }
  }

  /** What Redis answers within the timeout; null: it failed, which is counted. */
  #within<T>(send: () => Promise<T>, onAnswer?: (answer: T) => void): Promise<T | null> {
    const began = performance.now()
    return new Promise((resolve) => {
      const waiting: Waiting = {
        endsAt: began + this.#options.settings.timeoutMs,
        done: false,
        onTimeout: () => {
          this.#measure(began)
          this.#fail('timeout', `no answer within ${this.#options.settings.timeoutMs} ms`)
          resolve(null)
        },
      }
      send().then(
        (answer) => {
          this.#lastAnswer = performance.now()
          this.#failuresInARow = 0
          if (waiting.done) return
          waiting.done = true
          this.#measure(began)
          onAnswer?.(answer)
          resolve(answer)
        },
        (error: unknown) => {
          if (waiting.done) return
          waiting.done = true
          this.#measure(began)
          this.#fail(reasonOf(error), (error as Error).message)
          resolve(null)
        },
      )
      this.#deadlines.add(waiting)
    })
  }

  #measure(began: number): void {
    const seconds = (performance.now() - began) / 1000
    this.#seconds += seconds
    const bounds = this.#options.durationBounds
    let bucket = 0
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++
    this.#durations[bucket]!++
  }

  #fail(reason: FailureReason, message: string): void {
    this.#errors[reason]++
    this.#lastReason = message
    // What Redis says of itself holds for the next request too. Of a cluster it may hold for one node alone.
    const isCertain = reason !== 'timeout' && this.#options.settings.mode !== 'cluster'
    if (++this.#failuresInARow >= MOST_FAILURES || isCertain) this.#goDown(message)
  }

  #goDown(reason: string): void {
    if (this.#closed) return
    this.#lastReason = reason
    if (!this.#up && this.#told === 'down') return
    this.#up = false
    this.#told = 'down'
    this.#options.onChange(reason)
    this.#probeLater(0)
  }

  async #connect(): Promise<void> {
    this.#lastAnswer = performance.now()
    // What fails is tried again by the client itself; here only the first answer is waited for.
    await this.#client.connect().catch((error: unknown) => {
      this.#lastReason = (error as Error).message
    })
    await this.#ask()
    if (!this.#up) this.#goDown(this.#lastReason)
  }

  #probeLater(ms: number): void {
    if (this.#closed || this.#probe !== null) return
    this.#probe = setTimeout(() => {
      this.#probe = null
      void this.#ask()
    }, ms)
    this.#probe.unref()
  }

  /** Asks Redis for what requests would: it may answer to a PING and still take no writes. */
  async #ask(): Promise<void> {
    if (this.#up || this.#closed) return
    const { keyPrefix, timeoutMs } = this.#options.settings
    if (isReady(this.#client)) {
      const waited = new Promise<'late'>((resolve) => setTimeout(resolve, timeoutMs, 'late').unref())
      const asked = this.#client.set(`${keyPrefix}probe`, '1', 'PX', 1000).catch((error: unknown) => {
        this.#lastReason = (error as Error).message
        return null
      })
      const answer = await Promise.race([asked, waited])
      if (answer === 'OK') {
        this.#comeUp()
        return
      }
      if (answer === 'late') this.#lastReason = `no answer within ${timeoutMs} ms`
    }
    if (this.#closed) return
    if (performance.now() - this.#lastAnswer > RECONNECT_AFTER_MS) {
      this.#lastAnswer = performance.now()
      if (isReady(this.#client)) this.#client.disconnect(true)
    }
    this.#probeLater(PROBE_EVERY_MS)
  }

  #comeUp(): void {
    this.#lastAnswer = performance.now()
    this.#failuresInARow = 0
    this.#lastReason = CLOSED
    this.#up = true
    // A start that succeeds at once is nothing to tell.
    if (this.#told === 'down') this.#options.onChange(null)
    this.#told = 'up'
  }
}

function isReady({ status }: RedisClient): boolean {
  return status === 'ready' || status === 'connect'
}
