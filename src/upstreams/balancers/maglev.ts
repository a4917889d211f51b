/**
 * A table of a prime number of slots that endpoints fill in turn, each in an order of its own; a hash belongs to the
 * slot of its remainder. Shares are as even as the table is large; an endpoint that comes or goes moves its own keys and
 * a few others.
 *
 * Source: semantics §3.3; Eisenbud et al., "Maglev", NSDI 2016, listing 1; envoy:
 * source/extensions/load_balancing_policies/maglev (weights).
 */
import { EarliestDeadlineFirst } from './earliest-deadline.ts'
import { type HashedEndpoint, type HashTable, ownerAt } from './hash-table.ts'
import { murmur3 } from './murmur3.ts'

/** @param endpoints Sorted by key; not all ejected. Memory: 4 bytes a slot. */
export function maglev(endpoints: readonly HashedEndpoint[], tableSize: number): HashTable {
  const slots = fill(endpoints, tableSize, false)
  if (endpoints.some(({ ejected }) => ejected)) {
    // A table without the ejected ones says who stands in for them; the other slots are left as they were.
    const standIns = fill(endpoints, tableSize, true)
    for (let slot = 0; slot < tableSize; slot++) {
      if (endpoints[slots[slot]!]!.ejected) slots[slot] = standIns[slot]!
    }
  }
  return (hash, attempt) => ownerAt(slots, hash % tableSize, attempt)
}

function fill(endpoints: readonly HashedEndpoint[], tableSize: number, skipEjected: boolean): Uint32Array {
  const owners = endpoints.flatMap(({ ejected }, owner) => (skipEjected && ejected ? [] : [owner]))
  const place = Uint32Array.from(owners, (owner) => murmur3(endpoints[owner]!.key, 0) % tableSize)
  const step = Uint32Array.from(owners, (owner) => (murmur3(endpoints[owner]!.key, 1) % (tableSize - 1)) + 1)
  // All are due at once, so each has a slot before one has two (where there are slots enough).
  const turns = new EarliestDeadlineFirst(new Float64Array(owners.length))
  const slots = new Uint32Array(tableSize)
  const taken = new Uint8Array(tableSize)
  for (let filled = 0; filled < tableSize; filled++) {
    const { next } = turns
    const owner = owners[next]!
    let slot = place[next]!
    // A prime size: every step goes through all slots, so a free one is found.
    while (taken[slot] === 1) slot = (slot + step[next]!) % tableSize
    taken[slot] = 1
    slots[slot] = owner
    place[next] = slot
    turns.postpone(1 / endpoints[owner]!.weight)
  }
  return slots
}
