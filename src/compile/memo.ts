/**
 * Values kept from one compilation to the next while what they were made from is the same, so that an unchanged part
 * of the plan keeps its identity and costs next to nothing. An optimisation only: a compiler without it gives an equal
 * plan.
 */
import { isDeepStrictEqual } from 'node:util'

interface Entry<V> {
  run: number
  inputs: readonly unknown[]
  value: V
}

/**
 * Values by key. A compilation calls {@link begin}, asks for all the values that it needs, and calls {@link end}.
 *
 * Bound: between compilations it holds what the last one asked for, and nothing else.
 */
export class Memo<V> {
  readonly #entries = new Map<string, Entry<V>>()
  #run = 0
  #used = 0
  #changed = false

  begin(): void {
    this.#run++
    this.#used = 0
    this.#changed = false
  }

  /** Whether this compilation has asked for the key. */
  isUsed(key: string): boolean {
    return this.#entries.get(key)?.run === this.#run
  }

  /**
   * @param inputs Everything that `make` depends on, compared one by one with `===`.
   * @param make Is given the value that was made from other inputs, if there is one: it may still be good.
   */
  get(key: string, inputs: readonly unknown[], make: (last: V | undefined) => V): V {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const value = make(undefined)
      this.#entries.set(key, { run: this.#run, inputs, value })
      this.#used++
      this.#changed = true
      return value
    }
    if (entry.run !== this.#run) this.#used++
    entry.run = this.#run
    if (sameElements(entry.inputs, inputs)) return entry.value
    const value = make(entry.value)
    this.#changed ||= value !== entry.value
    entry.inputs = inputs
    entry.value = value
    return value
  }

  /** Forgets what was not asked for. @returns Whether any value is new, another one, or gone since the last run. */
  end(): boolean {
    if (this.#used === this.#entries.size) return this.#changed
    for (const [key, { run }] of this.#entries) if (run !== this.#run) this.#entries.delete(key)
    return true
  }
}

/** Whether two lists hold the same objects in the same order. */
export function sameElements(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Remembers the last result of a function of one compilation's inputs, compared as in {@link Memo}. */
export function lastOf<A extends readonly unknown[], R>(make: (...inputs: A) => R): (...inputs: A) => R {
  let last: { readonly inputs: A; readonly result: R } | undefined
  return (...inputs) => {
    if (last === undefined || !sameElements(last.inputs, inputs)) last = { inputs, result: make(...inputs) }
    return last.result
  }
}

/** `next`, or `last` where both hold the same objects under the same keys. */
export function keepRecord<V>(
  last: Readonly<Record<string, V>>,
  next: Readonly<Record<string, V>>,
): Readonly<Record<string, V>> {
  const keys = Object.keys(next)
  if (keys.length !== Object.keys(last).length) return next
  return keys.every((key) => last[key] === next[key]) ? last : next
}

/** Remembers the last value, and gives it again for an equal one: whoever depends on it sees no change then. */
export function keepEqual<V>(): (next: V) => V {
  let last: V | undefined
  return (next) => (last = isDeepStrictEqual(last, next) ? last! : next)
}
