/**
 * The keys of issuers in a process that does not fetch them: another one does, for all, and hands them on.
 */
import type { Timers } from '../lib/timers.ts'
import { type FetchedKeys, keySourceOf, type RemoteKeysPlan } from './key-store.ts'
import { KeySet } from './key-set.ts'
import type { CachedKeySet } from './key-set-cache.ts'
import { COOLDOWN_MS } from './remote-keys.ts'

export interface SharedKeysDeps {
  readonly timers: Timers
  /** Milliseconds since 1970. */
  now(): number
  /** Keys that could not be fetched again for this long (ms) are no longer used. */
  readonly maxAgeMs: number
  /** Asks for newer keys; what comes of it is told by {@link SharedKeyStore.take}. */
  readonly ask: (source: string) => void
}

export class SharedKeyStore {
  readonly #deps: SharedKeysDeps
  /** By source. Bound: those that the other process fetches, which follows the same plan. */
  readonly #taken = new Map<string, CachedKeySet>()
  readonly #users = new Map<string, Set<SharedKeys>>()

  constructor(deps: SharedKeysDeps) {
    this.#deps = deps
  }

  /** For a `KeyStore`. */
  create(plan: RemoteKeysPlan): FetchedKeys {
    const source = keySourceOf(plan)
    const users = this.#users.get(source) ?? new Set()
    this.#users.set(source, users)
    const keys = new SharedKeys(plan, this.#deps, this.#taken.get(source), () => {
      users.delete(keys)
      if (users.size > 0) return
      this.#users.delete(source)
      this.#taken.delete(source)
    })
    users.add(keys)
    return keys
  }

  /** @param keySet Null: there are no newer ones than those before. */
  take(source: string, keySet: CachedKeySet | null): void {
    if (keySet !== null) this.#taken.set(source, keySet)
    for (const keys of this.#users.get(source) ?? []) keys.take(keySet)
  }
}

class SharedKeys implements FetchedKeys {
  readonly #plan: RemoteKeysPlan
  readonly #deps: SharedKeysDeps
  readonly #onClose: () => void
  #keys: KeySet | null = null
  #text = ''
  #fetchedAt = 0
  #askedAt = -Infinity
  #waiting: { readonly promise: Promise<KeySet | null>; readonly resolve: (keys: KeySet | null) => void } | null = null

  constructor(plan: RemoteKeysPlan, deps: SharedKeysDeps, known: CachedKeySet | undefined, onClose: () => void) {
    this.#plan = plan
    this.#deps = deps
    this.#onClose = onClose
    if (known !== undefined) this.take(known)
  }

  current(): KeySet | null {
    return this.#deps.now() - this.#fetchedAt <= this.#deps.maxAgeMs ? this.#keys : null
  }

  newer(): Promise<KeySet | null> | null {
    if (this.#waiting !== null) return this.#waiting.promise
    const { timers, ask } = this.#deps
    if (timers.now() - this.#askedAt < COOLDOWN_MS) return null
    this.#askedAt = timers.now()
    const { promise, resolve } = Promise.withResolvers<KeySet | null>()
    // Discovery takes two fetches; and a process that is gone answers nothing.
    const cancel = timers.after(2 * this.#plan.timeoutMs + 1000, () => this.#answer(null))
    this.#waiting = {
      promise,
      resolve: (keys) => {
        cancel()
        resolve(keys)
      },
    }
    ask(keySourceOf(this.#plan))
    return promise
  }

  take(keySet: CachedKeySet | null): void {
    if (keySet !== null) {
      this.#fetchedAt = keySet.fetchedAt
      // The same keys stay the same object: tokens that were verified with it need not be again.
      if (keySet.text !== this.#text) {
        this.#text = keySet.text
        this.#keys = KeySet.parse(keySet.text)
      }
    }
    this.#answer(keySet === null ? null : this.#keys)
  }

  close(): void {
    this.#answer(null)
    this.#onClose()
  }

  #answer(keys: KeySet | null): void {
    this.#waiting?.resolve(keys)
    this.#waiting = null
  }
}
