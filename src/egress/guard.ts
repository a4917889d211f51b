/**
 * Resolving names so that no answer leads inside: an answer with an address of this machine, of its network or of the
 * cloud's metadata service is refused as a whole, unless the ServiceEntry names the address itself. What passes is
 * dialled as it was judged: nobody resolves the name a second time (DNS rebinding).
 */
import type { BlockList } from 'node:net'
import { type AddressClass, classifyAddress, isInBlocks } from '../lib/address-class.ts'
import type { Resolve } from '../upstreams/dns.ts'

export type GuardOutcome =
  | { readonly kind: 'good' }
  /** The first address of the answer that may not be reached. */
  | { readonly kind: 'private'; readonly address: string; readonly class: AddressClass | 'own' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface Guard {
  /** Addresses that the ServiceEntry names; null: none. */
  readonly allowed: BlockList | null
  /** Whether an address is one of this machine's. */
  readonly isOwn: (address: string) => boolean
}

/** @returns What is wrong with the address; null: it may be dialled. */
export function judgeAddress(address: string, { allowed, isOwn }: Guard): AddressClass | 'own' | null {
  if (allowed !== null && isInBlocks(allowed, address)) return null
  return classifyAddress(address) ?? (isOwn(address) ? 'own' : null)
}

/**
 * @param report Told of every answer, before it is used.
 * @returns Gives no addresses at all for an answer that is refused: those that an earlier answer gave are given up.
 */
export function guardedResolve(
  resolve: Resolve,
  guard: Guard,
  report: (hostname: string, outcome: GuardOutcome) => void,
): Resolve {
  return async (hostname) => {
    let answer: Awaited<ReturnType<Resolve>>
    try {
      answer = await resolve(hostname)
    } catch (error) {
      report(hostname, { kind: 'failed', reason: (error as Error).message })
      throw error
    }
    for (const address of answer.addresses) {
      const found = judgeAddress(address, guard)
      if (found === null) continue
      report(hostname, { kind: 'private', address, class: found })
      return { addresses: [], ttlMs: answer.ttlMs }
    }
    report(hostname, { kind: 'good' })
    return answer
  }
}
