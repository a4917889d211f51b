/**
 * A plan as keyed texts: what travels to workers and what a generation is told by. A part that did not change is
 * neither written nor sent again, so that a change costs what it changed.
 *
 * Keys: `mesh` · `listener/NAME` · `table/NAME` · `vhost/TABLE/HOST` · `cluster/NAME` · `certificate/NAME`.
 */
import { createHash } from 'node:crypto'
import type { Plan } from './plan.ts'

interface Part {
  /** The object that `text` was made of: the compiler keeps the identity of what did not change. */
  readonly value: object
  readonly text: string
  readonly hash: string
}

/** All parts of one plan. */
export type Parts = ReadonlyMap<string, Part>

export interface PlanUpdate {
  /** JSON by key: new parts and changed ones. */
  readonly set: readonly (readonly [key: string, text: string])[]
  readonly remove: readonly string[]
}

/** @param previous Parts of the plan before, whose texts are used again where the objects are the same. */
export function planParts(plan: Plan, previous: Parts): Parts {
  const parts = new Map<string, Part>()
  const add = (key: string, value: object) => {
    const known = previous.get(key)
    if (known?.value === value) {
      parts.set(key, known)
      return
    }
    const text = JSON.stringify(value)
    parts.set(
      key,
      known?.text === text
        ? { ...known, value }
        : { value, text, hash: createHash('sha256').update(text).digest('hex') },
    )
  }
  add('mesh', plan.mesh)
  for (const [name, listener] of Object.entries(plan.listeners)) add(`listener/${name}`, listener)
  for (const [name, table] of Object.entries(plan.routeTables)) {
    for (const [host, virtualHost] of Object.entries(table.virtualHosts)) add(`vhost/${name}/${host}`, virtualHost)
  }
  for (const [name, cluster] of Object.entries(plan.clusters)) add(`cluster/${name}`, cluster)
  for (const [name, certificate] of Object.entries(plan.certificates)) add(`certificate/${name}`, certificate)
  return parts
}

/** What turns `before` into `after`. */
export function diffParts(before: Parts, after: Parts): PlanUpdate {
  const set: (readonly [string, string])[] = []
  const remove: string[] = []
  for (const [key, part] of after) {
    const known = before.get(key)
    if (known !== part && known?.text !== part.text) set.push([key, part.text])
  }
  for (const key of before.keys()) if (!after.has(key)) remove.push(key)
  return { set, remove }
}

/** A hash of all parts, whatever their order: the same for the same plan on every replica. */
export function contentHash(parts: Parts): string {
  const hash = createHash('sha256')
  for (const key of [...parts.keys()].sort()) hash.update(`${key}\0${parts.get(key)!.hash}\0`)
  return hash.digest('hex')
}
