/**
 * A plan as keyed texts: what travels to workers and what a generation is told by. A part that did not change is
 * neither written nor sent again, so that a change costs what it changed.
 *
 * Keys: `mesh` · `policies` · `rate-limit/NAME` · `listener/NAME` · `table/NAME` · `vhost/TABLE/HOST` · `cluster/NAME` ·
 * `certificate/NAME` · `egress` · `egress-host/HOST`.
 */
import { hash } from 'node:crypto'
import type { Plan } from './plan.ts'

interface Part {
  /** The compiler keeps the identity of what did not change. The text is not kept: it is as large as the plan. */
  readonly value: object
  /** SHA-256 of the text. */
  readonly hash: string
}

/** All parts of one plan. */
export type Parts = ReadonlyMap<string, Part>

export interface PlanUpdate {
  /** JSON by key: new parts and changed ones. */
  readonly set: readonly (readonly [key: string, text: string])[]
  readonly remove: readonly string[]
}

/**
 * The parts of a plan, and what turns those before it into them.
 *
 * @param previous Parts of the plan before; none of those whose objects are the same is written again.
 */
export function nextParts(plan: Plan, previous: Parts): { readonly parts: Parts; readonly update: PlanUpdate } {
  const parts = new Map<string, Part>()
  const set: (readonly [string, string])[] = []
  let kept = 0
  const add = (key: string, value: object) => {
    const known = previous.get(key)
    if (known !== undefined) kept++
    if (known?.value === value) {
      parts.set(key, known)
      return
    }
    const text = JSON.stringify(value)
    const part = { value, hash: hash('sha256', text) }
    parts.set(key, part)
    if (known?.hash !== part.hash) set.push([key, text])
  }
  add('mesh', plan.mesh)
  add('policies', plan.policies)
  for (const [name, policy] of Object.entries(plan.rateLimits)) add(`rate-limit/${name}`, policy)
  for (const [name, listener] of Object.entries(plan.listeners)) add(`listener/${name}`, listener)
  for (const [name, table] of Object.entries(plan.routeTables)) {
    for (const [host, virtualHost] of Object.entries(table.virtualHosts)) add(`vhost/${name}/${host}`, virtualHost)
  }
  for (const [name, cluster] of Object.entries(plan.clusters)) add(`cluster/${name}`, cluster)
  for (const [name, certificate] of Object.entries(plan.certificates)) add(`certificate/${name}`, certificate)
  if (plan.egress !== null) add('egress', plan.egress)
  for (const [host, egressHost] of Object.entries(plan.egressHosts)) add(`egress-host/${host}`, egressHost)
  const remove = kept === previous.size ? [] : [...previous.keys()].filter((key) => !parts.has(key))
  return { parts, update: { set, remove } }
}

/** One part as it travels. */
export function partText({ value }: Part): string {
  return JSON.stringify(value)
}

/** All parts, for whoever has none of them. */
export function allParts(parts: Parts): PlanUpdate {
  return { set: [...parts].map(([key, part]) => [key, partText(part)]), remove: [] }
}

/** A hash of all parts, whatever their order: the same for the same plan on every replica. */
export function contentHash(parts: Parts): string {
  const lines: string[] = []
  for (const key of [...parts.keys()].sort()) lines.push(key, parts.get(key)!.hash)
  return hash('sha256', lines.join('\0'))
}
