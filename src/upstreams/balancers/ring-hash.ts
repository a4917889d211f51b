/**
 * A ring of 2^32 places on which every endpoint has points; a hash belongs to the endpoint of the first point at or
 * after it.
 *
 * Unlike in Envoy, where the ring as a whole has about `minimumRingSize` points, here each endpoint (of the greatest
 * weight; others in proportion) has that many as long as they are few. How many points an endpoint has then does not
 * depend on how many endpoints there are, so one that comes or goes moves its own keys and no others (in Envoy about twice
 * as many), and shares are more even.
 *
 * Source: semantics §3.3; Karger et al. 1997; envoy: source/extensions/load_balancing_policies/ring_hash.
 */
import { type HashedEndpoint, type HashTable, ownerAt } from './hash-table.ts'
import { murmur3 } from './murmur3.ts'

/** Bound of a ring: 512 KiB, and 15 ms to make. Beyond it endpoints share what there is. A greater `minimumSize` wins… */
const MAX_POINTS = 65_536
/** …up to Envoy's own `maximum_ring_size`. */
const HARD_MAX_POINTS = 8_388_608
/** A point and its owner are sorted as one number below 2^53: 32 bits of place, 21 of owner. */
const OWNERS = 2 ** 21

/** @param endpoints Sorted by key; not all ejected. */
export function ringHash(endpoints: readonly HashedEndpoint[], minimumSize: number): HashTable {
  const counts = pointCounts(endpoints, minimumSize)
  const size = counts.reduce((sum, count, owner) => sum + (endpoints[owner]!.ejected ? 0 : count), 0)
  const points = new Float64Array(size)
  let filled = 0
  for (let owner = 0; owner < endpoints.length; owner++) {
    const { key, ejected } = endpoints[owner]!
    if (ejected) continue
    for (let i = 0; i < counts[owner]!; i++) points[filled++] = murmur3(key, i) * OWNERS + owner
  }
  points.sort()
  // A plain loop: `Uint32Array.from` with a function takes longer than the sort.
  const places = new Uint32Array(size)
  const owners = new Uint32Array(size)
  for (let i = 0; i < size; i++) {
    const place = Math.floor(points[i]! / OWNERS)
    places[i] = place
    owners[i] = points[i]! - place * OWNERS
  }
  return (hash, attempt) => ownerAt(owners, firstAtOrAfter(places, hash), attempt)
}

function pointCounts(endpoints: readonly HashedEndpoint[], minimumSize: number): number[] {
  const greatest = endpoints.reduce((most, { weight }) => Math.max(most, weight), 0)
  const wanted = endpoints.map(({ weight }) => (minimumSize * weight) / greatest)
  const total = wanted.reduce((sum, count) => sum + count, 0)
  const most = Math.min(HARD_MAX_POINTS, Math.max(MAX_POINTS, minimumSize))
  const scale = Math.min(1, most / total)
  return wanted.map((count) => Math.max(1, Math.round(count * scale)))
}

function firstAtOrAfter(places: Uint32Array, hash: number): number {
  let low = 0
  let high = places.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (places[middle]! < hash) low = middle + 1
    else high = middle
  }
  return low === places.length ? 0 : low
}
