/**
 * What all sources hold, put together: for each object the version in force, the newer one that was refused, and where
 * it comes from.
 *
 * A source is whatever is read as one: a file, or one object of the Kubernetes API. It says "these are all my documents
 * now", "I could not be read" or "I am gone". From that follows what is in force:
 * - a bad version of an object leaves its last good one in force;
 * - an object that its source no longer has is gone, unless the source could be read only in part: then it may be in
 *   the part that could not be read;
 * - of two objects with the same name the first by the order of the sources counts, and the other one is an error.
 */
import type { Origin, Problem } from '../plan/problem.ts'
import type { ObjectIdentity, ParseResult } from './parse.ts'
import type { ResourceKey } from './resource.ts'
import { createSnapshots } from './snapshots.ts'
import type { AnyResource, Snapshot } from './snapshot.ts'

/** One object as its source has it. The store tells by identity (===) whether it changed. */
export type SourceDocument = ParseResult

export interface SourceUpdate {
  /** Identity of the source over all its versions, and the name in problems: the file as it was given, for example. */
  readonly source: string
  /** Sources with a lower one come first, then by name. Default 0. */
  readonly rank?: number
  /** What problems name as the source, where that is not `source` itself. */
  readonly label?: string
  /** All documents of the source, in its order. */
  readonly documents: readonly SourceDocument[]
  /**
   * Line, from 1, of a JSON pointer's value in the document at this position. It may be slow: it is asked only where
   * there is a problem to show. Absent for sources without lines.
   */
  readonly locate?: (index: number, pointer: string) => number | undefined
  /** False where a part of the source could not be read: objects that it had before and lacks now stay. */
  readonly complete: boolean
  /** Problems of the source as a whole: it cannot be read, it is no YAML. Their origin has source and line already. */
  readonly problems?: readonly Problem[]
}

/** A good version from an earlier run. */
export interface SavedResource {
  readonly source: string
  readonly resource: AnyResource
}

/** An object of which the newest version was refused. */
export interface RejectedObject {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly source: string
  /** `last-good`: an older version is in force. `none`: the object is left out. */
  readonly inForce: 'last-good' | 'none'
  readonly problems: readonly Problem[]
}

export interface ResourceStore {
  /** Replaces what one or several sources hold, as one change. */
  apply(updates: readonly SourceUpdate[], removed?: readonly string[]): void
  /** The present state; the same object until something in it changes. */
  snapshot(): Snapshot
  /** Everything that is wrong, by source, then in the order of its documents. */
  problems(): Problem[]
  rejected(): RejectedObject[]
  /** Names of the sources, in order. */
  sources(): string[]
  /** How many times the snapshot has changed. */
  generation(): number
  /** Adds source and line to a problem that a later step found in an object of this store. */
  place(problem: Problem): Problem
  /** Whether an object is left out for want of a good version, or a source could not be read: `restore` may help. */
  wantsRestore(): boolean
  /**
   * Good versions from an earlier run. Each is used only while its source cannot be read or has a broken version of
   * it; not where the source can be read and no longer has it.
   *
   * @param isUnreadable About sources that this store has not heard of in this run.
   */
  restore(saved: Iterable<SavedResource>, isUnreadable: (source: string) => boolean): void
  /** All good versions in force, for {@link restore}. */
  saved(): Iterable<SavedResource>
}

interface Source {
  readonly name: string
  readonly rank: number
  readonly label: string
  readonly documents: readonly SourceDocument[]
  readonly locate: (index: number, pointer: string) => number | undefined
  readonly complete: boolean
  readonly problems: readonly Problem[]
  /** Objects that it had and lacks now, while it is not complete. */
  readonly kept: ReadonlyMap<ResourceKey, ObjectIdentity>
}

/** That a source has an object. */
interface Claim {
  readonly source: string
  /** Position in the source's documents; -1 where the object is only kept. */
  readonly index: number
  readonly identity: ObjectIdentity
  /** Absent where the object is only kept. */
  readonly document?: SourceDocument
}

interface ObjectState {
  /** In order; the first one counts. */
  claims: Claim[]
  inForce: AnyResource | undefined
}

export function createResourceStore(): ResourceStore {
  const sources = new Map<string, Source>()
  const objects = new Map<ResourceKey, ObjectState>()
  const snapshots = createSnapshots()

  function compareSources(a: string, b: string): number {
    const [left, right] = [sources.get(a), sources.get(b)]
    return (left?.rank ?? 0) - (right?.rank ?? 0) || (a < b ? -1 : a > b ? 1 : 0)
  }

  /** What is only kept comes last: what a source is known to have is better. */
  function compareClaims(a: Claim, b: Claim): number {
    const kept = Number(a.document === undefined) - Number(b.document === undefined)
    return kept || compareSources(a.source, b.source) || a.index - b.index
  }

  function settle(key: ResourceKey): void {
    const state = objects.get(key)
    if (state === undefined) return
    const before = state.inForce
    const [owner] = state.claims.sort(compareClaims)
    if (owner === undefined) {
      objects.delete(key)
      state.inForce = undefined
    } else if (owner.document?.resource !== undefined) {
      state.inForce = owner.document.resource
    }
    snapshots.change(before, state.inForce)
    snapshots.refuse(key, owner !== undefined && state.inForce === undefined ? owner.identity : undefined)
  }

  function addClaim(claim: Claim, touched: Set<ResourceKey>): void {
    const { key } = claim.identity
    const state = objects.get(key)
    if (state === undefined) objects.set(key, { claims: [claim], inForce: undefined })
    else state.claims.push(claim)
    touched.add(key)
  }

  function dropClaims(source: Source, touched: Set<ResourceKey>, unchanged: (claim: Claim) => boolean): void {
    const keys = new Set(source.kept.keys())
    for (const { identity } of source.documents) if (identity !== undefined) keys.add(identity.key)
    for (const key of keys) {
      const state = objects.get(key)
      if (state === undefined) continue
      const claims = state.claims.filter((claim) => claim.source !== source.name || unchanged(claim))
      if (claims.length === state.claims.length) continue
      state.claims = claims
      touched.add(key)
    }
  }

  function replace(update: SourceUpdate, touched: Set<ResourceKey>): void {
    const before = sources.get(update.source)
    const next = sourceOf(update, before)
    const sameRank = before === undefined || before.rank === next.rank
    const unchanged = (claim: Claim) =>
      sameRank && claim.document !== undefined && next.documents[claim.index] === claim.document
    if (before !== undefined) dropClaims(before, touched, unchanged)
    sources.set(update.source, next)
    for (const [index, document] of next.documents.entries()) {
      const { identity } = document
      if (identity === undefined || (sameRank && before?.documents[index] === document)) continue
      addClaim({ source: update.source, index, identity, document }, touched)
    }
    for (const identity of next.kept.values()) addClaim({ source: update.source, index: -1, identity }, touched)
  }

  function remove(name: string, touched: Set<ResourceKey>): void {
    const source = sources.get(name)
    if (source === undefined) return
    dropClaims(source, touched, () => false)
    sources.delete(name)
  }

  function placed(source: Source, index: number, problem: Problem): Problem {
    return withPlace(problem, source.label, source.locate(index, problem.origin.pointer ?? ''))
  }

  function problemsOf(source: Source): Problem[] {
    const found = [...source.problems]
    for (const [index, document] of source.documents.entries()) {
      for (const problem of document.problems) found.push(placed(source, index, problem))
      const duplicate = duplicateOf(source, index, document)
      if (duplicate !== undefined) found.push(duplicate)
    }
    return found
  }

  function duplicateOf(source: Source, index: number, { identity }: SourceDocument): Problem | undefined {
    const first = identity === undefined ? undefined : objects.get(identity.key)?.claims[0]
    if (identity === undefined || first === undefined || first.document === undefined) return undefined
    if (first.source === source.name && first.index === index) return undefined
    const other = sources.get(first.source)
    const line = other?.locate(first.index, '')
    const { kind, metadata } = identity
    const problem: Problem = {
      code: 'resource/duplicate',
      severity: 'error',
      origin: { kind, namespace: metadata.namespace, name: metadata.name },
      message: `${other?.label ?? first.source}${line === undefined ? '' : `:${line}`} already has this object; this one is not used`,
      remedy: 'Rename or remove one of the two.',
    }
    return placed(source, index, problem)
  }

  function ordered(which: (source: Source) => boolean = () => true): Source[] {
    return [...sources.values()].filter(which).sort((a, b) => compareSources(a.name, b.name))
  }

  /** Whether `problemsOf` may find any: it is asked of ten thousand sources at each change, and few have some. */
  function mayHaveProblems({ name, problems, documents }: Source): boolean {
    return (
      problems.length > 0 ||
      documents.some(({ problems: own, identity }, index) => {
        if (own.length > 0) return true
        const first = identity === undefined ? undefined : objects.get(identity.key)?.claims[0]
        return first !== undefined && (first.source !== name || first.index !== index)
      })
    )
  }

  return {
    apply(updates, removed = []) {
      const touched = new Set<ResourceKey>()
      for (const update of updates) replace(update, touched)
      for (const name of removed) remove(name, touched)
      for (const key of touched) settle(key)
    },
    snapshot: () => snapshots.current(),
    generation: () => snapshots.generation(),
    problems: () => ordered(mayHaveProblems).flatMap(problemsOf),
    sources: () => ordered().map(({ name }) => name),
    rejected() {
      const lacksOne = ({ documents }: Source) => documents.some(({ resource }) => resource === undefined)
      return ordered(lacksOne).flatMap((source) =>
        source.documents.flatMap((document, index) => {
          const { identity } = document
          const state = identity === undefined ? undefined : objects.get(identity.key)
          const owner = state?.claims[0]
          if (identity === undefined || state === undefined || document.resource !== undefined) return []
          if (owner?.source !== source.name || owner.index !== index) return []
          const { kind, metadata } = identity
          return [
            {
              kind,
              namespace: metadata.namespace,
              name: metadata.name,
              source: source.label,
              inForce: state.inForce === undefined ? ('none' as const) : ('last-good' as const),
              problems: document.problems.map((problem) => placed(source, index, problem)),
            },
          ]
        }),
      )
    },
    place(problem) {
      const { kind, namespace, name } = problem.origin
      const claim = objects.get(`${kind}/${namespace}/${name}`)?.claims[0]
      const source = claim === undefined ? undefined : sources.get(claim.source)
      if (claim === undefined || source === undefined || problem.origin.source !== undefined) return problem
      return claim.index === -1 ? withPlace(problem, source.label, undefined) : placed(source, claim.index, problem)
    },
    wantsRestore() {
      for (const { complete } of sources.values()) if (!complete) return true
      for (const { inForce } of objects.values()) if (inForce === undefined) return true
      return false
    },
    restore(saved, isUnreadable) {
      const touched = new Set<ResourceKey>()
      for (const { source, resource } of saved) {
        const identity = identityOf(resource)
        const state = objects.get(identity.key)
        const known = sources.get(source)
        if (state !== undefined) {
          if (state.inForce !== undefined) continue
          state.inForce = resource
          snapshots.change(undefined, resource)
          touched.add(identity.key)
        } else if (known === undefined ? isUnreadable(source) : !known.complete) {
          keep(source, known, identity)
          objects.set(identity.key, { claims: [{ source, index: -1, identity }], inForce: resource })
          snapshots.change(undefined, resource)
        }
      }
      for (const key of touched) settle(key)
    },
    *saved() {
      for (const { claims, inForce } of objects.values()) {
        if (inForce !== undefined && claims[0] !== undefined) yield { source: claims[0].source, resource: inForce }
      }
    },
  }

  function keep(name: string, known: Source | undefined, identity: ObjectIdentity): void {
    const source = known ?? sourceOf({ source: name, documents: [], complete: false }, undefined)
    sources.set(name, { ...source, kept: new Map([...source.kept, [identity.key, identity]]) })
  }
}

function sourceOf(update: SourceUpdate, before: Source | undefined): Source {
  return {
    name: update.source,
    rank: update.rank ?? 0,
    label: update.label ?? update.source,
    documents: update.documents,
    locate: update.locate ?? (() => undefined),
    complete: update.complete,
    problems: update.problems ?? [],
    kept: update.complete || before === undefined ? NOTHING_KEPT : keptOf(update, before),
  }
}

/** Most sources keep nothing, and there may be ten thousand of them. */
const NOTHING_KEPT: Source['kept'] = new Map()

function keptOf(update: SourceUpdate, before: Source): Source['kept'] {
  const kept = new Map(before.kept)
  for (const { identity } of before.documents) if (identity !== undefined) kept.set(identity.key, identity)
  for (const { identity } of update.documents) if (identity !== undefined) kept.delete(identity.key)
  return kept
}

function identityOf(resource: AnyResource): ObjectIdentity {
  const { kind, metadata } = resource
  return { kind, metadata, key: `${kind}/${metadata.namespace}/${metadata.name}` }
}

function withPlace(problem: Problem, source: string, line: number | undefined): Problem {
  const origin: Origin = { ...problem.origin, source, ...(line === undefined ? {} : { line }) }
  return { ...problem, origin }
}
