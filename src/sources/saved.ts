/**
 * The good versions of all resources on disk, so that a gateway that starts while its configuration is broken or out of
 * reach serves what it last served.
 *
 * The file holds Secrets: only its owner may read it.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import type { Timers } from '../lib/timers.ts'
import { parseObject } from '../resources/parse.ts'
import { KINDS } from '../resources/registry.ts'
import { isObject } from '../resources/schema-check.ts'
import type { AnyResource } from '../resources/snapshot.ts'
import type { ResourceStore, SavedResource } from '../resources/store.ts'

export interface SavedSnapshotOptions {
  /** `snapshot.json` in the state folder. */
  readonly path: string
  readonly store: ResourceStore
  readonly timers: Timers
  readonly log: { warn(fields: object, message: string): void }
  readonly timing?: Partial<SaveTiming>
}

/** In ms. */
export interface SaveTiming {
  /** Quiet that has to follow a change before it is written. */
  readonly quietMs: number
  /** A change is written after so long at the latest. */
  readonly ceilingMs: number
}

export interface SavedSnapshot {
  /** Gives the store what it lacks. @returns How many good versions the file holds; 0 where there is none. */
  restore(isUnreadable: (source: string) => boolean): Promise<number>
  /** The store has changed: write it, soon. */
  changed(): void
  /** Writes what is not written yet. */
  close(): Promise<void>
}

const FORMAT = 1
/** Objects turned into text between two turns of the event loop. */
const SLICE = 200

export function createSavedSnapshot(options: SavedSnapshotOptions): SavedSnapshot {
  const { path, store, timers, log } = options
  const { quietMs, ceilingMs } = { quietMs: 1000, ceilingMs: 10_000, ...options.timing }
  let written = -1
  let firstAt: number | undefined
  let cancel: (() => void) | undefined
  let writing: Promise<void> = Promise.resolve()

  async function write(): Promise<void> {
    const generation = store.generation()
    if (generation === written) return
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFileAtomic(path, await serialize(store.saved()), { mode: 0o600 })
      written = generation
    } catch (error) {
      log.warn({ err: error, path }, 'cannot save the good versions of the resources; a restart will not have them')
    }
  }

  function flush(): Promise<void> {
    cancel?.()
    cancel = undefined
    firstAt = undefined
    writing = writing.then(write)
    return writing
  }

  return {
    async restore(isUnreadable) {
      const saved = await read(path, log)
      store.restore(saved, isUnreadable)
      return saved.length
    },
    changed() {
      firstAt ??= timers.now()
      cancel?.()
      const wait = Math.min(quietMs, Math.max(0, firstAt + ceilingMs - timers.now()))
      cancel = timers.after(wait, () => void flush())
    },
    close: () => (cancel === undefined ? writing : flush()),
  }
}

/** One object a line, so that a person can look at it and a text of many megabytes is made bit by bit. */
async function serialize(saved: Iterable<SavedResource>): Promise<string> {
  const lines: string[] = []
  for (const { source, resource } of saved) {
    lines.push(JSON.stringify({ source, object: toObject(resource) }))
    if (lines.length % SLICE === 0) await new Promise((done) => setImmediate(done))
  }
  return `{"format":${FORMAT},"objects":[\n${lines.join(',\n')}\n]}\n`
}

/** The object as its author could have written it. */
function toObject({ apiVersion, kind, metadata, spec }: AnyResource): object {
  const body = KINDS[kind].body === 'root' ? spec : { spec }
  return {
    apiVersion,
    kind,
    metadata: KINDS[kind].namespaced ? metadata : { ...metadata, namespace: undefined },
    ...body,
  }
}

/** What is in the file, checked like any other input; whatever is wrong with it is a line in the log and no more. */
async function read(path: string, log: SavedSnapshotOptions['log']): Promise<SavedResource[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!missing) log.warn({ err: error, path }, 'cannot read the saved good versions of the resources')
    return []
  }
  const entries = entriesOf(text)
  if (entries === undefined) {
    log.warn({ path }, 'the saved good versions of the resources are damaged and not used')
    return []
  }
  const saved: SavedResource[] = []
  for (const entry of entries) {
    const { source, object } = isObject(entry) ? entry : {}
    const { resource } = parseObject(object)
    if (typeof source === 'string' && resource !== undefined) saved.push({ source, resource })
  }
  const lost = entries.length - saved.length
  if (lost > 0) log.warn({ path, lost }, 'some saved good versions of resources cannot be used')
  return saved
}

function entriesOf(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) && value['format'] === FORMAT && Array.isArray(value['objects'])
      ? value['objects']
      : undefined
  } catch {
    return undefined
  }
}
