/**
 * A bound on bytes a second, shared by all tunnels to a destination: a bucket for each direction that fills at the rate
 * and holds a quarter of a second of it. Whoever takes more than is in it goes into debt, and waits until that is paid.
 */

export interface Throttle {
  /** @returns Milliseconds to wait before more is read; 0: none. */
  take(direction: 'up' | 'down', bytes: number): number
}

const BURST_SECONDS = 0.25

/** @param now Monotonic ms. */
export function createThrottle(bytesPerSecond: number, now: () => number): Throttle {
  const most = bytesPerSecond * BURST_SECONDS
  const start = now()
  const buckets = { up: { left: most, at: start }, down: { left: most, at: start } }
  return {
    take(direction, bytes) {
      const bucket = buckets[direction]
      const at = now()
      bucket.left = Math.min(most, bucket.left + ((at - bucket.at) * bytesPerSecond) / 1000) - bytes
      bucket.at = at
      return bucket.left >= 0 ? 0 : Math.ceil((-bucket.left * 1000) / bytesPerSecond)
    },
  }
}
