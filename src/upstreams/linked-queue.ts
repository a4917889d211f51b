/** A queue from which anything can step out, in constant time: who waits may leave before being served. */

/** A place in a queue, for `remove`. */
export interface QueuePlace<T> {
  readonly value: T
  /** Null once the place is given up. */
  queue: LinkedQueue<T> | null
  previous: QueuePlace<T> | null
  next: QueuePlace<T> | null
}

/** First in, first out. Its bound is that of whoever fills it. */
export class LinkedQueue<T> {
  #first: QueuePlace<T> | null = null
  #last: QueuePlace<T> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The next one to be shifted. */
  get first(): T | undefined {
    return this.#first?.value
  }

  push(value: T): QueuePlace<T> {
    const place: QueuePlace<T> = { value, queue: this, previous: this.#last, next: null }
    if (this.#last === null) this.#first = place
    else this.#last.next = place
    this.#last = place
    this.#size++
    return place
  }

  shift(): T | undefined {
    const place = this.#first
    if (place === null) return undefined
    this.remove(place)
    return place.value
  }

  /** @returns Whether it was still in this queue. */
  remove(place: QueuePlace<T>): boolean {
    if (place.queue !== this) return false
    const { previous, next } = place
    if (previous === null) this.#first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
    place.queue = null
    place.previous = null
    place.next = null
    this.#size--
    return true
  }

  /** Takes everything out, in order. */
  drain(): T[] {
    const all: T[] = []
    for (let value = this.shift(); value !== undefined; value = this.shift()) all.push(value)
    return all
  }
}
