/**
 * The keys of all rules in force. Keys that are fetched are kept while any rule asks for the same address, so a reload
 * fetches nothing anew; each address lives by itself, so the trouble of one issuer is not another's.
 */
import type { JwtKeysPlan } from '../plan/jwt.ts'
import { KeySet } from './key-set.ts'
import { type Keys, RemoteKeys, type RemoteKeysDeps } from './remote-keys.ts'

export class KeyStore {
  readonly #deps: RemoteKeysDeps
  /** Bounded by the rules of the plan. */
  #remote = new Map<string, RemoteKeys>()

  constructor(deps: RemoteKeysDeps) {
    this.#deps = deps
  }

  /**
   * The keys of these rules; those of all others are given up.
   *
   * @returns In the order of `plans`.
   */
  use(plans: readonly JwtKeysPlan[]): readonly Keys[] {
    const before = this.#remote
    const kept = new Map<string, RemoteKeys>()
    this.#remote = kept
    const keys = plans.map((plan): Keys => {
      if (plan.kind === 'none') return fixedKeys(null)
      if (plan.kind === 'inline') return fixedKeys(KeySet.parse(plan.jwks))
      const name = `${plan.kind} ${plan.timeoutMs} ${plan.uri}`
      const remote = kept.get(name) ?? before.get(name) ?? new RemoteKeys(plan, this.#deps)
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
