/**
 * Keeps a snapshot up to date one change at a time: what did not change stays the same object, so whoever compiles it
 * can tell by identity what there is to do again.
 */
import type { ObjectIdentity } from './parse.ts'
import { compareResources, type ResourceKey } from './resource.ts'
import {
  type AnyResource,
  EMPTY_SNAPSHOT,
  type Kind,
  type RejectedSecurityPolicy,
  type SecurityPolicyKind,
  type Snapshot,
  SNAPSHOT_FIELD,
} from './snapshot.ts'

export interface Snapshots {
  /** One object instead of another of the same kind and name; either may be absent. */
  change(before: AnyResource | undefined, after: AnyResource | undefined): void
  /** An object has no good version (`identity`), or no longer lacks one (undefined). */
  refuse(key: ResourceKey, identity: ObjectIdentity | undefined): void
  current(): Snapshot
  generation(): number
}

interface Change {
  readonly before: AnyResource | undefined
  readonly after: AnyResource | undefined
}

/** With more changes to one kind than this, sorting it anew is cheaper than putting each in its place. */
const MANY_CHANGES = 64

export function createSnapshots(): Snapshots {
  let current = EMPTY_SNAPSHOT
  let generation = 0
  const pending = new Map<Kind, Change[]>()
  const refused = new Map<ResourceKey, RejectedSecurityPolicy>()
  let refusedChanged = false

  function update(): void {
    if (pending.size === 0 && !refusedChanged) return
    const next: Record<string, unknown> = { ...current }
    for (const [kind, changes] of pending) {
      const field = SNAPSHOT_FIELD[kind]
      next[field] = applyChanges(current[field] as readonly AnyResource[], changes)
    }
    if (refusedChanged) next['rejectedSecurityPolicies'] = [...refused.values()].sort(compareRefused)
    pending.clear()
    refusedChanged = false
    current = next as unknown as Snapshot
    generation++
  }

  return {
    change(before, after) {
      if (before === after) return
      const kind = (after ?? before)?.kind
      if (kind === undefined) return
      const changes = pending.get(kind)
      if (changes === undefined) pending.set(kind, [{ before, after }])
      else changes.push({ before, after })
    },
    refuse(key, identity) {
      if (identity === undefined || !isSecurityPolicy(identity.kind)) {
        if (refused.delete(key)) refusedChanged = true
        return
      }
      const { kind, metadata, matchLabels } = identity
      refused.set(key, { kind, metadata, ...(matchLabels === undefined ? {} : { matchLabels }) })
      refusedChanged = true
    },
    current() {
      update()
      return current
    },
    generation() {
      update()
      return generation
    },
  }
}

function applyChanges(resources: readonly AnyResource[], changes: readonly Change[]): readonly AnyResource[] {
  if (changes.length > MANY_CHANGES) {
    const all = new Set(resources)
    for (const { before, after } of changes) {
      if (before !== undefined) all.delete(before)
      if (after !== undefined) all.add(after)
    }
    return [...all].sort(compareResources)
  }
  const next = [...resources]
  for (const { before, after } of changes) {
    if (before !== undefined) {
      const at = position(next, before)
      if (next[at] === before) next.splice(at, 1)
    }
    if (after !== undefined) next.splice(position(next, after), 0, after)
  }
  return next
}

/** Where a resource is, or belongs. Names are unique within a kind, so the order has no ties. */
function position(sorted: readonly AnyResource[], resource: AnyResource): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const candidate = sorted[middle]
    if (candidate !== undefined && compareResources(candidate, resource) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function isSecurityPolicy(kind: Kind): kind is SecurityPolicyKind {
  return kind === 'PeerAuthentication' || kind === 'RequestAuthentication' || kind === 'AuthorizationPolicy'
}

function compareRefused(a: RejectedSecurityPolicy, b: RejectedSecurityPolicy): number {
  return a.kind === b.kind ? compareResources(a, b) : a.kind < b.kind ? -1 : 1
}
