/**
 * The keys of one issuer that are fetched: ahead of need, again and again in the background, and at once when a token
 * names a key that is not known. Old keys stay in use while the issuer is out of reach, but not for ever.
 *
 * Source for the intervals: istio: pilot/pkg/model/jwks_resolver.go.
 */
import type { Timers } from '../lib/timers.ts'
import type { FetchText } from './fetch-text.ts'
import { KeySet } from './key-set.ts'
import type { CachedKeySet, KeySetCache } from './key-set-cache.ts'
import { type FetchedKeys, keySourceOf, type RemoteKeysPlan } from './key-store.ts'

export interface RemoteKeysDeps {
  readonly timers: Timers
  /** Milliseconds since 1970: the age of keys must outlive a restart. */
  now(): number
  /** From 0 to 1, 1 excluded. */
  random(): number
  readonly fetchText: FetchText
  /** Null: keys are not kept over a restart. */
  readonly cache: KeySetCache | null
  /** Keys that could not be fetched again for this long (ms) are no longer used. */
  readonly maxAgeMs: number
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
}

/** Fetches since the beginning. */
export interface KeyFetches {
  readonly successes: number
  readonly failures: number
}

/** `PILOT_JWT_PUB_KEY_REFRESH_INTERVAL`. */
export const REFRESH_MS = 20 * 60_000
/** After a failure: doubled each time, from the first to the second. */
const RETRY_MS = [1000, 60_000] as const
/** Tokens with made-up key ids cost the issuer one fetch in this time. */
export const COOLDOWN_MS = 10_000

/** For a `KeyStore` of a process that fetches for itself. */
export function fetching(deps: RemoteKeysDeps): (plan: RemoteKeysPlan) => FetchedKeys {
  return (plan) => new RemoteKeys(plan, deps)
}

export class RemoteKeys implements FetchedKeys {
  readonly #plan: RemoteKeysPlan
  readonly #deps: RemoteKeysDeps
  readonly #source: string
  readonly #onKeys: (keySet: CachedKeySet) => void
  #keys: KeySet | null = null
  #cached: CachedKeySet | null = null
  #fetches: KeyFetches = { successes: 0, failures: 0 }
  /** Start of the last fetch, on the timers' clock. */
  #askedAt = -Infinity
  #failures = 0
  #pending: Promise<KeySet | null> | null = null
  #cancel: (() => void) | null = null
  #closed = false

  /** Begins to fetch. @param onKeys Told of every key set that is there to be used. */
  constructor(plan: RemoteKeysPlan, deps: RemoteKeysDeps, onKeys: (keySet: CachedKeySet) => void = () => {}) {
    this.#plan = plan
    this.#deps = deps
    this.#onKeys = onKeys
    this.#source = keySourceOf(plan)
    const cached = deps.cache?.read(this.#source)
    const keys = cached === undefined ? null : KeySet.parse(cached.text)
    if (cached !== undefined && keys !== null) {
      // A clock that was wrong when they were written must not make them last longer.
      this.#use(keys, { text: cached.text, fetchedAt: Math.min(cached.fetchedAt, deps.now()) })
    }
    void this.#fetch()
  }

  get uri(): string {
    return this.#plan.uri
  }

  /** As they were fetched; null: there are none, not even old ones. */
  get cached(): CachedKeySet | null {
    return this.#cached
  }

  get fetches(): KeyFetches {
    return this.#fetches
  }

  current(): KeySet | null {
    const fetchedAt = this.#cached?.fetchedAt ?? 0
    return this.#deps.now() - fetchedAt <= this.#deps.maxAgeMs ? this.#keys : null
  }

  newer(): Promise<KeySet | null> | null {
    if (this.#pending !== null) return this.#pending
    if (this.#closed || this.#deps.timers.now() - this.#askedAt < COOLDOWN_MS) return null
    return this.#fetch()
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  /** Never rejects. At most one fetch is under way. */
  #fetch(): Promise<KeySet | null> {
    this.#cancel?.()
    this.#cancel = null
    this.#askedAt = this.#deps.timers.now()
    const pending = this.#fetchOnce()
      .then((text) => this.#take(text))
      .catch((error: unknown) => this.#fail(error as Error))
      .finally(() => {
        this.#pending = null
      })
    this.#pending = pending
    return pending
  }

  async #fetchOnce(): Promise<string> {
    const { kind, uri, timeoutMs } = this.#plan
    const { fetchText } = this.#deps
    if (kind === 'uri') return fetchText(uri, timeoutMs)
    const document: unknown = JSON.parse(await fetchText(uri, timeoutMs))
    const address = (document as { jwks_uri?: unknown } | null)?.jwks_uri
    if (typeof address !== 'string') throw new Error('the discovery document has no jwks_uri')
    return fetchText(address, timeoutMs)
  }

  #take(text: string): KeySet {
    const keys = KeySet.parse(text)
    // An issuer in trouble may well publish nothing; the keys that it had are the better guess.
    if (keys === null) throw new Error('no key set with a key for signatures')
    const { cache, log } = this.#deps
    if (this.#failures > 0) log.info({ uri: this.#plan.uri }, 'keys for tokens can be fetched again')
    this.#failures = 0
    this.#fetches = { ...this.#fetches, successes: this.#fetches.successes + 1 }
    const fetched = { text, fetchedAt: this.#deps.now() }
    this.#use(keys, fetched)
    // Up to a tenth earlier, so that many gateways do not ask at once.
    this.#schedule(REFRESH_MS * (1 - this.#deps.random() / 10))
    cache?.write(this.#source, fetched).catch((error: unknown) => {
      log.warn({ err: error, uri: this.#plan.uri }, 'keys for tokens cannot be saved; a restart will not have them')
    })
    return this.#keys ?? keys
  }

  #use(keys: KeySet, keySet: CachedKeySet): void {
    // The same keys stay the same object: tokens that were verified with it need not be again.
    if (this.#cached?.text !== keySet.text) this.#keys = keys
    this.#cached = keySet
    this.#onKeys(keySet)
  }

  #fail(error: Error): null {
    const [first, longest] = RETRY_MS
    const wait = Math.min(first * 2 ** Math.min(this.#failures, 10), longest)
    this.#failures++
    this.#fetches = { ...this.#fetches, failures: this.#fetches.failures + 1 }
    this.#schedule(wait * (1 - this.#deps.random() / 10))
    const has = this.current() === null ? 'every token of this issuer is refused' : 'the ones from before stay in use'
    // An issuer that is away for hours is one line a minute, no more.
    this.#deps.log.warn({ uri: this.#plan.uri, reason: error.message }, `keys for tokens cannot be fetched: ${has}`)
    return null
  }

  #schedule(ms: number): void {
    if (this.#closed) return
    this.#cancel = this.#deps.timers.after(ms, () => {
      void this.#fetch()
    })
  }
}
