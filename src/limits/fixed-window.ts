/**
 * Fixed windows in memory. A bucket's window begins with its first hit and lasts `perMs`; what is left of it is
 * admitted until then, whenever it comes. (So does the store's: `redis-limiter.ts`.)
 */
import type { LimitShape, MemoryLimiter, Verdict } from './limiter.ts'

interface Bucket {
  used: number
  endsAt: number
}

export class FixedWindow implements MemoryLimiter {
  readonly #shape: LimitShape
  readonly #maxBuckets: number
  /** In the order in which windows began. As all last equally long, that is the order in which they end. */
  readonly #buckets = new Map<string, Bucket>()

  /**
   * @param maxBuckets Bound: a bucket more makes room for itself by dropping the one whose window ends first. The
   * dropped one begins anew, so a client with as many keys as this is limited no longer; memory is, still.
   */
  constructor(shape: LimitShape, maxBuckets: number) {
    this.#shape = shape
    this.#maxBuckets = maxBuckets
  }

  get size(): number {
    return this.#buckets.size
  }

  take(key: string, hits: number, now: number): Verdict {
    const { capacity } = this.#shape
    const bucket = this.#bucket(key, now)
    const admitted = bucket.used + hits <= capacity
    if (admitted) bucket.used += hits
    return verdict(admitted, capacity - bucket.used, bucket.endsAt - now)
  }

  refusal(key: string, hits: number, now: number): Verdict | null {
    const { capacity, perMs } = this.#shape
    const bucket = this.#buckets.get(key)
    if (bucket === undefined || bucket.endsAt <= now) return hits <= capacity ? null : verdict(false, capacity, perMs)
    return bucket.used + hits <= capacity ? null : verdict(false, capacity - bucket.used, bucket.endsAt - now)
  }

  adjust(key: string, delta: number, now: number): void {
    const bucket = this.#bucket(key, now)
    bucket.used = Math.max(0, bucket.used + delta)
  }

  #bucket(key: string, now: number): Bucket {
    const known = this.#buckets.get(key)
    if (known !== undefined) {
      if (known.endsAt > now) return known
      this.#buckets.delete(key)
    } else this.#makeRoom(now)
    const bucket = { used: 0, endsAt: now + this.#shape.perMs }
    this.#buckets.set(key, bucket)
    return bucket
  }

  /** Each new bucket takes up to two dead ones away, so that they go faster than they come. */
  #makeRoom(now: number): void {
    let looked = 0
    for (const [key, { endsAt }] of this.#buckets) {
      if (endsAt > now && this.#buckets.size < this.#maxBuckets) return
      this.#buckets.delete(key)
      if (++looked === 2) return
    }
  }
}

function verdict(admitted: boolean, remaining: number, resetMs: number): Verdict {
  return { admitted, remaining: Math.max(0, remaining), resetMs: Math.max(0, resetMs) }
}
