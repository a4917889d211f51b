/**
 * A schedule in which each member has a deadline in virtual time, and the earliest is always next: weighted turns at
 * O(log n) each, as evenly interleaved as the weights allow. (The smooth round robin that adds every weight at every
 * turn is O(n), 1.5 µs for 1,000 endpoints.)
 *
 * Source: envoy: source/extensions/load_balancing_policies/common (`EdfScheduler`).
 */
export class EarliestDeadlineFirst {
  readonly #deadlines: Float64Array
  /** Members as a binary heap by deadline, then by number, so that equal deadlines are in order. */
  readonly #heap: Uint32Array
  #now = 0

  /** @param deadlines The first ones; kept and changed. Never empty. */
  constructor(deadlines: Float64Array) {
    this.#deadlines = deadlines
    this.#heap = Uint32Array.from(deadlines, (_, member) => member)
    this.#arrange()
  }

  /** Whose turn it is. */
  get next(): number {
    return this.#heap[0]!
  }

  /** The next one has had its turn and is due again after `interval` (virtual time, above 0). */
  postpone(interval: number): void {
    const member = this.#heap[0]!
    this.#now = this.#deadlines[member]!
    this.#deadlines[member] = this.#now + interval
    this.#sink(0)
  }

  /** Stretches what each member still has to wait. @param factorOf Above 0. */
  stretch(factorOf: (member: number) => number): void {
    const deadlines = this.#deadlines
    for (let member = 0; member < deadlines.length; member++) {
      deadlines[member] = this.#now + Math.max(0, deadlines[member]! - this.#now) * factorOf(member)
    }
    this.#arrange()
  }

  #arrange(): void {
    for (let i = (this.#heap.length >>> 1) - 1; i >= 0; i--) this.#sink(i)
  }

  #sink(from: number): void {
    const heap = this.#heap
    const deadlines = this.#deadlines
    const { length } = heap
    const member = heap[from]!
    const deadline = deadlines[member]!
    let at = from
    for (let child = 2 * at + 1; child < length; child = 2 * at + 1) {
      const right = child + 1
      if (right < length && isBefore(deadlines, heap[right]!, heap[child]!, deadlines[heap[child]!]!)) child = right
      const candidate = heap[child]!
      if (!isBefore(deadlines, candidate, member, deadline)) break
      heap[at] = candidate
      at = child
    }
    heap[at] = member
  }
}

function isBefore(deadlines: Float64Array, candidate: number, other: number, otherDeadline: number): boolean {
  const deadline = deadlines[candidate]!
  return deadline < otherDeadline || (deadline === otherDeadline && candidate < other)
}
