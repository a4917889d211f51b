/** What the tables of consistent hashing are made of and asked for. */

export interface HashedEndpoint {
  readonly key: string
  readonly weight: number
  /** It owns nothing; what the others own but for its part is the same as if it were in. */
  readonly ejected: boolean
}

/**
 * @param hash Unsigned, 32 bits.
 * @param attempt 0: the owner. Each further one gives another endpoint than the one before, while there is one.
 * @returns The number of the endpoint.
 */
export type HashTable = (hash: number, attempt: number) => number

/**
 * What a retry gets that is to avoid the endpoint it had.
 *
 * @param owners By place; the last is followed by the first.
 * @returns The owner of the place, and for each attempt that of the next place which is another's.
 */
export function ownerAt(owners: Uint32Array, place: number, attempt: number): number {
  let at = place
  for (let step = 0; step < attempt; step++) {
    const owner = owners[at]!
    for (let i = 1; i < owners.length && owners[at] === owner; i++) at = at + 1 === owners.length ? 0 : at + 1
  }
  return owners[at]!
}
