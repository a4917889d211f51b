/** A clock that a test turns. */
import type { Time } from '../../../../src/certificates/mesh/identity-holder.ts'

export interface ManualTime extends Time {
  /** Moves on; what falls due meanwhile is called in order. */
  pass(ms: number): void
  /** Sets the clock of the certificates, as an administrator does; the timers do not notice. */
  set(ms: number): void
}

export function manualTime(start = Date.now()): ManualTime {
  let now = 0
  let offset = start
  let waiting: { readonly at: number; readonly call: () => void }[] = []
  return {
    clock: () => offset + now,
    timers: {
      now: () => now,
      after(ms, call) {
        const entry = { at: now + ms, call }
        waiting.push(entry)
        return () => {
          waiting = waiting.filter((other) => other !== entry)
        }
      },
    },
    pass(ms) {
      const end = now + ms
      for (let calls = 0; calls < 1000; calls++) {
        const next = waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        waiting = waiting.filter((other) => other !== next)
        now = next.at
        next.call()
      }
      now = end
    },
    set(ms) {
      offset = ms - now
    },
  }
}
