/**
 * The keys of all rules in force. Keys that are fetched are kept while any rule asks for the same address, so a reload
 * fetches nothing anew; each address lives by itself, so the trouble of one issuer is not another's.
 */
import type { JwtKeysPlan } from '../plan/jwt.ts'
import { KeySet } from './key-set.ts'

/** Keys at hand, wherever they come from. */
export interface Keys {
  /** Null: there are none that may be used now. */
  current(): KeySet | null
  /**
   * For a token that `current()` has no key for.
   *
   * @returns Newer keys, once they are here; null: there are none, and asking again would change nothing for now.
   */
  newer(): Promise<KeySet | null> | null
}

/** Keys that come from elsewhere. */
export interface FetchedKeys extends Keys {
  /** They are no longer used. */
  close(): void
}

export type RemoteKeysPlan = Extract<JwtKeysPlan, { uri: string }>

/** What keys are fetched for: the same for all rules that name the same address. */
export function keySourceOf({ kind, uri }: RemoteKeysPlan): string {
  return `${kind} ${uri}`
}

export class KeyStore {
  readonly #create: (plan: RemoteKeysPlan) => FetchedKeys
  /** Bounded by the rules of the plan. */
  #remote = new Map<string, FetchedKeys>()

  /** @param create Begins to fetch. */
  constructor(create: (plan: RemoteKeysPlan) => FetchedKeys) {
    this.#create = create
  }

  /**
   * The keys of these rules; those of all others are given up.
   *
   * @returns In the order of `plans`.
   */
  use(plans: readonly JwtKeysPlan[]): readonly Keys[] {
    const before = this.#remote
    const kept = new Map<string, FetchedKeys>()
    this.#remote = kept
    const keys = plans.map((plan): Keys => {
      if (plan.kind === 'none') return fixedKeys(null)
      if (plan.kind === 'inline') return fixedKeys(KeySet.parse(plan.jwks))
      const name = `${plan.kind} ${plan.timeoutMs} ${plan.uri}`
      const remote = kept.get(name) ?? before.get(name) ?? this.#create(plan)
      kept.set(name, remote)
      return remote
    })
    for (const [name, remote] of before) if (!kept.has(name)) remote.close()
    return keys
  }

  close(): void {
    for (const remote of this.#remote.values()) remote.close()
    this.#remote = new Map()
  }
}

function fixedKeys(keys: KeySet | null): Keys {
  return { current: () => keys, newer: () => null }
}
