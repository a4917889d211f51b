/**
 * Sliding windows in memory: no interval of `perMs` admits more than the capacity. A bucket is a log of what it
 * admitted. Up to {@link PRECISE} hits the log is exact; above that hits that lie closer together than a hundredth of
 * `perMs` are one entry with the time of the last of them, so that a log has a bounded length, and a hit is free again
 * up to a hundredth of `perMs` late, and never early. (The store's script does the same: `sliding-window.lua.ts`.)
 */
import type { LimitShape, MemoryLimiter, Verdict } from './limiter.ts'

/** Entries of a log, at most one more. */
export const PRECISE = 100

interface Log {
  /** Ascending; with `hits`, one entry each. */
  readonly times: number[]
  readonly hits: number[]
  /** When the last entry's first hit was. */
  lastBegan: number
  used: number
}

export class SlidingWindow implements MemoryLimiter {
  readonly #shape: LimitShape
  readonly #maxBuckets: number
  /** Time within which hits are one entry, in ms; 0: each is its own. */
  readonly #grain: number
  /** In the order of their last hit. */
  readonly #logs = new Map<string, Log>()

  /**
   * @param maxBuckets Bound: one more drops the one that was idle longest, whose count is lost. A bucket holds up to
   * 100 entries of 16 bytes.
   */
  constructor(shape: LimitShape, maxBuckets: number) {
    this.#shape = shape
    this.#maxBuckets = maxBuckets
    this.#grain = grainOf(shape)
  }

  get size(): number {
    return this.#logs.size
  }

  take(key: string, hits: number, now: number): Verdict {
    const { capacity } = this.#shape
    const log = this.#log(key, now)
    if (log.used + hits > capacity) return this.#refuse(log, hits, now)
    this.#append(key, log, hits, now)
    return { admitted: true, remaining: capacity - log.used, resetMs: this.#freeIn(log, 1, now) }
  }

  refusal(key: string, hits: number, now: number): Verdict | null {
    const { capacity, perMs } = this.#shape
    const log = this.#logs.get(key)
    if (log === undefined) return hits <= capacity ? null : { admitted: false, remaining: capacity, resetMs: perMs }
    this.#expire(log, now)
    return log.used + hits <= capacity ? null : this.#refuse(log, hits, now)
  }

  adjust(key: string, delta: number, now: number): void {
    const log = this.#log(key, now)
    if (delta > 0) this.#append(key, log, delta, now)
    else giveBack(log, -delta)
  }

  #refuse(log: Log, hits: number, now: number): Verdict {
    const { capacity } = this.#shape
    const remaining = Math.max(0, capacity - log.used)
    return { admitted: false, remaining, resetMs: this.#freeIn(log, log.used + hits - capacity, now) }
  }

  /** Milliseconds until `count` of the hits are free. More than there ever are: until all are. */
  #freeIn({ times, hits }: Log, count: number, now: number): number {
    let freed = 0
    for (let i = 0; i < times.length; i++) {
      freed += hits[i]!
      if (freed >= count) return Math.max(0, times[i]! + this.#shape.perMs - now)
    }
    return this.#shape.perMs
  }

  #append(key: string, log: Log, hits: number, now: number): void {
    const last = log.times.length - 1
    if (last >= 0 && now - log.lastBegan < this.#grain) {
      log.times[last] = now
      log.hits[last]! += hits
    } else {
      log.times.push(now)
      log.hits.push(hits)
      log.lastBegan = now
    }
    log.used += hits
    // Now the one that was hit last.
    this.#logs.delete(key)
    this.#logs.set(key, log)
  }

  #log(key: string, now: number): Log {
    const known = this.#logs.get(key)
    if (known !== undefined) {
      this.#expire(known, now)
      return known
    }
    this.#makeRoom(now)
    const log: Log = { times: [], hits: [], lastBegan: 0, used: 0 }
    this.#logs.set(key, log)
    return log
  }

  #expire(log: Log, now: number): void {
    const { times, hits } = log
    let gone = 0
    while (gone < times.length && times[gone]! + this.#shape.perMs <= now) log.used -= hits[gone++]!
    if (gone === 0) return
    times.splice(0, gone)
    hits.splice(0, gone)
  }

  #makeRoom(now: number): void {
    let looked = 0
    for (const [key, { times }] of this.#logs) {
      const isDead = times.length === 0 || times.at(-1)! + this.#shape.perMs <= now
      if (!isDead && this.#logs.size < this.#maxBuckets) return
      this.#logs.delete(key)
      if (++looked === 2) return
    }
  }
}

/** Time within which hits are one entry, in the unit of `perMs`; 0: each is its own. */
export function grainOf({ capacity, perMs }: LimitShape): number {
  return capacity <= PRECISE ? 0 : perMs / PRECISE
}

/** The newest hits are given back first: those are the ones that were counted for nothing. */
function giveBack(log: Log, count: number): void {
  let left = Math.min(count, log.used)
  log.used -= left
  while (left > 0) {
    const last = log.hits.length - 1
    const own = log.hits[last]!
    if (own > left) {
      log.hits[last] = own - left
      return
    }
    left -= own
    log.hits.pop()
    log.times.pop()
  }
}
