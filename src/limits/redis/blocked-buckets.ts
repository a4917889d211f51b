/**
 * Buckets that are known to be exhausted, so that refusing their requests costs no message to Redis. What is known is
 * a refusal that Redis gave, or the last hit that it admitted; a window's end is Redis' own, taken when it was told.
 *
 * Bound: as many as a rule may hold in memory; one more forgets the one that is known longest, which then costs a
 * message again.
 */
import type { Verdict } from '../limiter.ts'

interface Blocked {
  /** Monotonic clock, in ms. */
  readonly until: number
  /** Requests that cost less may still pass. */
  readonly leastHits: number
}

export class BlockedBuckets {
  readonly #maxBuckets: number
  readonly #blocked = new Map<string, Blocked>()

  constructor(maxBuckets: number) {
    this.#maxBuckets = maxBuckets
  }

  get size(): number {
    return this.#blocked.size
  }

  refusal(key: string, hits: number, now: number): Verdict | null {
    const blocked = this.#blocked.get(key)
    if (blocked === undefined) return null
    if (blocked.until <= now) {
      this.#blocked.delete(key)
      return null
    }
    return hits < blocked.leastHits ? null : { admitted: false, remaining: 0, resetMs: blocked.until - now }
  }

  add(key: string, leastHits: number, resetMs: number, now: number): void {
    const until = now + resetMs
    if (!this.#blocked.has(key)) this.#makeRoom(now)
    this.#blocked.set(key, { until, leastHits })
  }

  delete(key: string): void {
    this.#blocked.delete(key)
  }

  #makeRoom(now: number): void {
    let looked = 0
    for (const [key, { until }] of this.#blocked) {
      if (until > now && this.#blocked.size < this.#maxBuckets) return
      this.#blocked.delete(key)
      if (++looked === 2) return
    }
  }
}
