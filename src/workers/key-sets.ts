/**
 * The key sets of token issuers, fetched once for all workers: by the primary, which hands each one on as it comes.
 */
import type { PoliciesPlan } from '../plan/policy.ts'
import type { CachedKeySet } from '../tokens/key-set-cache.ts'
import { keySourceOf } from '../tokens/key-store.ts'
import { type KeyFetches, RemoteKeys, type RemoteKeysDeps } from '../tokens/remote-keys.ts'

/** How the fetching of one key set goes. */
export interface KeySetFacts extends KeyFetches {
  readonly uri: string
  /** Since the keys in use were fetched, in seconds; null: there are none. */
  readonly ageSeconds: number | null
}

export class KeySets {
  readonly #deps: RemoteKeysDeps
  readonly #tell: (source: string, keySet: CachedKeySet) => void
  #remote = new Map<string, RemoteKeys>()

  /** @param tell Gets every key set that is new. */
  constructor(deps: RemoteKeysDeps, tell: (source: string, keySet: CachedKeySet) => void) {
    this.#deps = deps
    this.#tell = tell
  }

  /** Fetches what the plan asks for from now on, and nothing else. */
  use({ jwt }: Pick<PoliciesPlan, 'jwt'>): void {
    const before = this.#remote
    this.#remote = new Map()
    for (const { keys } of jwt) {
      if (keys.kind === 'none' || keys.kind === 'inline') continue
      const source = keySourceOf(keys)
      if (this.#remote.has(source)) continue
      const onKeys = (keySet: CachedKeySet) => this.#tell(source, keySet)
      this.#remote.set(source, before.get(source) ?? new RemoteKeys(keys, this.#deps, onKeys))
    }
    for (const [source, keys] of before) if (!this.#remote.has(source)) keys.close()
  }

  /** Everything that a new worker has to know. */
  all(): (readonly [source: string, keySet: CachedKeySet])[] {
    return [...this.#remote].flatMap(([source, { cached }]) => (cached === null ? [] : [[source, cached] as const]))
  }

  /** @returns Null where there are no newer keys, or asking again is not allowed yet. Never rejects. */
  async newer(source: string): Promise<CachedKeySet | null> {
    const remote = this.#remote.get(source)
    if (remote === undefined) return null
    const newer = await remote.newer()
    return newer === null ? null : remote.cached
  }

  facts(): KeySetFacts[] {
    return [...this.#remote.values()].map((remote) => ({
      uri: remote.uri,
      ageSeconds: remote.cached === null ? null : (this.#deps.now() - remote.cached.fetchedAt) / 1000,
      ...remote.fetches,
    }))
  }

  close(): void {
    for (const remote of this.#remote.values()) remote.close()
    this.#remote = new Map()
  }
}
