/**
 * The same hash goes to the same endpoint for as long as that is there, in every worker. A request without a hash goes
 * anywhere: it gets one by chance.
 */
import type { ConsistentHashPlan } from '../../plan/cluster.ts'
import type { BalancedEndpoint, BalancerDeps, Picker } from './balanced-endpoint.ts'
import type { HashTable } from './hash-table.ts'
import type { UsableLevel } from './levels.ts'
import { maglev } from './maglev.ts'
import { ringHash } from './ring-hash.ts'

/**
 * The table is made at the first pick: several changes in a row make one, and a cluster that gets no requests none.
 */
export function consistentHash<E extends BalancedEndpoint>(
  algorithm: ConsistentHashPlan['algorithm'],
  { usable, ejected }: UsableLevel<E>,
  { random }: BalancerDeps,
): Picker<E> {
  let endpoints: readonly E[] = []
  let table: HashTable | null = null
  const build = (): HashTable => {
    const left = new Set(ejected)
    // By key: the cluster's order (DNS answers come in any) must change nothing.
    endpoints = [...usable, ...ejected].sort((a, b) => (a.key < b.key ? -1 : 1))
    const hashed = endpoints.map((endpoint) => ({
      key: endpoint.key,
      weight: endpoint.plan.weight,
      ejected: left.has(endpoint),
    }))
    return algorithm.kind === 'ring' ? ringHash(hashed, algorithm.minimumSize) : maglev(hashed, algorithm.tableSize)
  }
  return (hash, attempt) => {
    table ??= build()
    return endpoints[table(hash ?? Math.floor(random() * 2 ** 32), attempt)]!
  }
}
