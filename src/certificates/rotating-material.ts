/**
 * Material that is replaced while it is used: what is in force, and what is wrong with it.
 *
 * A replacement that cannot be used changes nothing until what is in force expires. One that is merely not valid now
 * waits while its predecessor is; with none it is used all the same, since the peer's clock is the one that counts,
 * and the peer then says why it refuses.
 */
import type { Validity } from './pem.ts'

/** One state of material. The same object as long as the same is in force. */
export interface Material<T> {
  readonly value: T
  /** Different for any two states of a store. */
  readonly generation: number
}

export class RotatingMaterial<T extends Validity> {
  /** As an operator would call it. */
  readonly name: string
  /** What new connections use; null: nothing, see {@link RotatingMaterial.problem}. */
  current: Material<T> | null = null
  /** What is wrong, in words; empty: nothing. */
  problem = ''
  readonly #report: (problem: string) => void
  #newest: Material<T> | null = null
  #previous: Material<T> | null = null
  /** Why the latest replacement cannot be used; empty: it can. */
  #refused = ''

  /** @param report Told of every change of the problem. */
  constructor(name: string, report: (problem: string) => void) {
    this.name = name
    this.#report = report
  }

  offer(material: Material<T>, now: number): void {
    this.#previous = this.#newest
    this.#newest = material
    this.#refused = ''
    this.refresh(now)
  }

  /** The replacement cannot be used. */
  refuse(reason: string, now: number): void {
    this.#refused = reason
    this.refresh(now)
  }

  /** There is none any more, and what there was must not be used. */
  withdraw(reason: string, now: number): void {
    this.#newest = null
    this.#previous = null
    this.refuse(reason, now)
  }

  /** To be called from time to time: validity passes by itself. @param now ms since the epoch. */
  refresh(now: number): void {
    const newest = this.#newest
    const previous = this.#previous
    const valid = [newest, previous].find((material) => material !== null && isValid(material.value, now))
    this.current = valid ?? (this.#refused === '' ? newest : null)
    const problem = this.#describe(now)
    if (problem === this.problem) return
    this.problem = problem
    this.#report(problem)
  }

  #describe(now: number): string {
    if (this.#refused !== '') {
      return this.current === null ? this.#refused : `${this.#refused}; the one before stays in use`
    }
    if (this.#newest === null) return ''
    const { validFrom, validTo } = this.#newest.value
    const instead = this.current === this.#newest ? '' : '; the one before stays in use'
    if (now >= validTo) return `expired at ${new Date(validTo).toISOString()}${instead}`
    if (now < validFrom) return `not valid before ${new Date(validFrom).toISOString()}${instead}`
    return ''
  }
}

function isValid({ validFrom, validTo }: Validity, now: number): boolean {
  return now >= validFrom && now < validTo
}
