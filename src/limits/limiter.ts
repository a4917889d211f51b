/** What every limiter does, in memory or on a store. */

/** How much may pass within which time. */
export interface LimitShape {
  /** Hits that are admitted within `perMs`: at least 1. */
  readonly capacity: number
  /** At least 1 ms. */
  readonly perMs: number
}

export interface Verdict {
  readonly admitted: boolean
  /** Hits that are left in the bucket, at least 0. */
  readonly remaining: number
  /**
   * Milliseconds, at least 0. Refused: until as many hits are free. Admitted: to the end of the window, or, where it
   * slides, until the bucket's oldest hits are free again.
   */
  readonly resetMs: number
}

/** A limiter that never waits. */
export interface MemoryLimiter {
  /**
   * Counts `hits` where all of them fit, and nothing otherwise.
   *
   * @param key Of the bucket.
   * @param hits At least 1.
   * @param now Monotonic clock, in ms.
   */
  take(key: string, hits: number, now: number): Verdict
  /** The refusal that {@link take} would give; null: it would admit. Counts nothing. */
  refusal(key: string, hits: number, now: number): Verdict | null
  /** Counts `delta` hits whether they fit or not; a negative number gives hits back. */
  adjust(key: string, delta: number, now: number): void
  /** Buckets that are held. */
  readonly size: number
}

/** Counts for this gateway process; where several workers share a limit it may have to wait for another process. */
export interface LocalLimiter {
  readonly take: (key: string, hits: number, now: number) => Verdict | Promise<Verdict>
  readonly refusal: (key: string, hits: number, now: number) => Verdict | null
  readonly adjust: (key: string, delta: number, now: number) => void
}
