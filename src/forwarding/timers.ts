/** The timers of one forwarded request; none outlives it. */
import { MAX_TIMER_MS } from './timeout.ts'

export class Timers {
  #total: NodeJS.Timeout | null = null
  #perTry: NodeJS.Timeout | null = null
  #backoff: NodeJS.Timeout | null = null

  startTotal(ms: number | null, onTimeout: () => void): void {
    if (ms !== null) this.#total = start(ms, onTimeout)
  }

  startPerTry(ms: number | null, onTimeout: () => void): void {
    if (ms !== null) this.#perTry = start(ms, onTimeout)
  }

  startBackoff(ms: number, onEnd: () => void): void {
    this.#backoff = start(ms, onEnd)
  }

  /** The try is over, or its answer has begun. */
  endTry(): void {
    clear(this.#perTry)
    this.#perTry = null
  }

  end(): void {
    clear(this.#total)
    clear(this.#perTry)
    clear(this.#backoff)
  }
}

function start(ms: number, callback: () => void): NodeJS.Timeout {
  return setTimeout(callback, Math.min(ms, MAX_TIMER_MS))
}

function clear(timer: NodeJS.Timeout | null): void {
  if (timer !== null) clearTimeout(timer)
}
