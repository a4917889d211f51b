/** Time as an argument: what waits gets this, so that a test can be its clock. */

export interface Timers {
  /** Milliseconds that only ever grow. */
  now(): number
  /** Calls once after at least `ms`; the result calls it off. */
  after(ms: number, call: () => void): () => void
}

/** The process's own. None of its timers keeps the process running. */
export function systemTimers(): Timers {
  return {
    now: () => performance.now(),
    after(ms, call) {
      const timer = setTimeout(call, ms)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
