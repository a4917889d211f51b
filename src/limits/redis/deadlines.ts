/**
 * Many waits of the same length with one timer: the oldest ends first, so a list in the order of their beginnings is
 * enough.
 */

export interface Waiting {
  /** On the monotonic clock. */
  readonly endsAt: number
  done: boolean
  /** Called at most once, and only while `done` is false. */
  onTimeout(): void
}

export class Deadlines {
  readonly #timeoutMs: number
  #waiting: Waiting[] = []
  /** Those before it are done. */
  #first = 0
  #timer: NodeJS.Timeout | null = null

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  add(waiting: Waiting): void {
    this.#waiting.push(waiting)
    this.#timer ??= this.#start(this.#timeoutMs)
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (const waiting of this.#waiting.splice(0)) if (!waiting.done) waiting.onTimeout()
  }

  #start(ms: number): NodeJS.Timeout {
    // What arrived while the process was busy is read after the timers: it is looked at first, so that a busy moment of
    // this process is not taken for a slow Redis.
    return setTimeout(() => setImmediate(() => this.#expire()), Math.max(1, ms))
  }

  #expire(): void {
    if (this.#timer === null) return
    const now = performance.now()
    const waiting = this.#waiting
    while (this.#first < waiting.length) {
      const next = waiting[this.#first]!
      if (!next.done && next.endsAt > now) break
      this.#first++
      if (next.done) continue
      next.done = true
      next.onTimeout()
    }
    this.#waiting = waiting.slice(this.#first)
    this.#first = 0
    const next = this.#waiting[0]
    this.#timer = next === undefined ? null : this.#start(next.endsAt - now)
  }
}
