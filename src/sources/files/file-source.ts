/**
 * Resources from files: reads what is under the configured paths into the store, and keeps it up to date.
 *
 * A file that cannot be read, or is no YAML, keeps what it held before. A file that is gone takes its objects with it,
 * unless the folder that it was in cannot be read.
 */
import { readFileSync } from 'node:fs'
import { dirname, normalize, relative, sep } from 'node:path'
import type { Timers } from '../../lib/timers.ts'
import type { Problem } from '../../resources/findings.ts'
import type { ResourceStore, SourceUpdate } from '../../resources/store.ts'
import {
  codeOf,
  type FileStamp,
  fileProblem,
  type FoundFile,
  isResourceFile,
  look,
  readProblem,
  type Scan,
  scan,
} from './load.ts'
import { createLocator } from './locate.ts'
import { createWatcher } from './watch.ts'
import { parseText, type PartCache, syntaxProblem } from './yaml.ts'

export interface FileSourceOptions {
  /** Files and folders, in the order in which they count. */
  readonly paths: readonly string[]
  readonly store: ResourceStore
  /** The store has changed, or what is wrong with it. Not called for what `start` reads. */
  readonly onChange: () => void
  readonly log: FileSourceLog
  readonly timers: Timers
  readonly timing?: Partial<FileTiming>
}

export interface FileSourceLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** In ms. */
export interface FileTiming {
  readonly quietMs: number
  readonly ceilingMs: number
  /** How often everything is looked at, for what no event told of. */
  readonly pollMs: number
  /** How long a file that is suddenly gone or empty may stay so before that is believed: editors save in two steps. */
  readonly graceMs: number
}

const TIMING: FileTiming = { quietMs: 20, ceilingMs: 250, pollMs: 5000, graceMs: 60 }

export interface FileSource {
  /** Reads everything, then watches. */
  start(): Promise<void>
  /** Looks at everything again now. */
  rescan(): Promise<void>
  /** Whether a path, known from an earlier run perhaps, cannot be read at present. For `ResourceStore.restore`. */
  isUnreadable(source: string): boolean
  /** Whether there is a path that cannot be read at present. */
  isPartial(): boolean
  /** Problems of the paths themselves; those of objects and files are in the store. */
  problems(): readonly Problem[]
  close(): Promise<void>
}

/** Larger files are not read. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024
/** Files between two turns of the event loop. */
const SLICE = 64

interface KnownFile {
  readonly stamp: FileStamp
  readonly cache: PartCache
  readonly isEmpty: boolean
}

export function createFileSource(options: FileSourceOptions): FileSource {
  const { store, timers, log } = options
  const timing = { ...TIMING, ...options.timing }
  const paths = options.paths.map((path, rank) => ({ path: asFound(path), rank }))
  const known = new Map<string, KnownFile>()
  /** Sources from an earlier run in places that cannot be read now; they are gone once that can be read without them. */
  const restored = new Set<string>()
  let unreadable: readonly string[] = []
  let pathProblems: readonly Problem[] = []
  let cancelPoll: (() => void) | undefined
  let closed = false
  let endGrace: (() => void) | undefined
  /** Paths with events since a grace began; none are collected at other times. */
  let stirred: Set<string> | undefined
  /** Looks run one after the other; whoever asks while one runs waits for the next. */
  let queue: Promise<void> = Promise.resolve()

  const watcher = createWatcher({
    roots: paths.map(({ path }) => path),
    timers,
    timing,
    onHint: (hinted) => void enqueue(() => (hinted === 'everything' ? lookAtAll() : lookAt(hinted))),
    onEvent: (path) => stirred?.add(path),
    onUnwatchable: (folder, reason) =>
      log.warn({ folder, reason, pollMs: timing.pollMs }, 'cannot watch a folder; changes are seen with a delay'),
  })

  function enqueue(work: () => Promise<void>): Promise<void> {
    queue = queue.then(async () => {
      if (closed) return
      try {
        await work()
      } catch (error) {
        // Nothing above is expected to throw; if it does, what is in force stays and the next look tries again.
        log.warn({ err: error }, 'looking at the configuration files failed')
      }
    })
    return queue
  }

  function pause(): Promise<void> {
    return new Promise((done) => setImmediate(done))
  }

  async function lookAtAll(): Promise<void> {
    if (await readAll()) options.onChange()
  }

  /** @returns Whether anything about the store, or about the paths, changed. */
  async function readAll(): Promise<boolean> {
    let found = await scanAndFollow()
    const doubted = doubtful([...known.keys()], (path) => (found.keeps(path) ? 'kept' : found.files.get(path)))
    let later = new Set<string>()
    if (doubted.size > 0) {
      await grace()
      found = await scanAndFollow()
      const now = doubtful([...known.keys()], (path) => (found.keeps(path) ? 'kept' : found.files.get(path)))
      later = putOff(doubted, now)
    }
    const changed = [...found.files.values()].filter(
      ({ path, stamp }) => known.get(path)?.stamp !== stamp && !later.has(path),
    )
    const gone = [...known.keys(), ...restored].filter(
      (path) => !found.files.has(path) && !found.keeps(path) && !later.has(path),
    )
    for (const path of gone) restored.delete(path)
    const before = JSON.stringify(pathProblems)
    unreadable = found.unreadable
    pathProblems = found.problems
    const stored = await readFiles(changed, gone)
    return stored || JSON.stringify(pathProblems) !== before
  }

  async function scanAndFollow(): Promise<ScanWithKeeps> {
    let found = await scan(paths, pause)
    if (known.size === 0) {
      watcher.follow(found.folders)
      return withKeeps(found)
    }
    // What was put into a folder before its watch began is in no event: a folder that is new is looked at twice.
    for (let round = 0; watcher.follow(found.folders) && round < 3; round++) found = await scan(paths, pause)
    return withKeeps(found)
  }

  /** Looks at the paths that events named, and at nothing else unless one of them is a folder. */
  async function lookAt(hinted: ReadonlySet<string>): Promise<void> {
    const candidates = [...hinted]
    const files = candidates.filter((path) => isOwnFile(path))
    let seen = new Map(files.map((path) => [path, look(path)]))
    const doubted = doubtful(files, (path) => seen.get(path))
    if (doubted.size > 0) {
      await grace()
      seen = new Map(files.map((path) => [path, look(path)]))
      for (const path of putOff(
        doubted,
        doubtful(files, (each) => seen.get(each)),
      ))
        seen.delete(path)
    }
    for (const path of candidates) {
      if (unreadable.includes(path)) return lookAtAll()
      if (isOwnFile(path)) continue
      if (look(path)?.isFolder === true || hasBelow(path)) return lookAtAll()
    }
    const changed: FoundFile[] = []
    const gone: string[] = []
    for (const [path, now] of seen) {
      if (now === undefined) {
        if (known.has(path)) gone.push(path)
      } else if (now.isFolder) {
        return lookAtAll()
      } else {
        // Even with the stamp that is known: two writes within one tick of the kernel's clock leave the same one.
        changed.push({ path, rank: rankOf(path), stamp: now.stamp, size: now.size })
      }
    }
    // A folder that went away takes more with it than one file.
    if (gone.some((path) => look(dirname(path)) === undefined)) return lookAtAll()
    if (await readFiles(changed, gone)) options.onChange()
  }

  function isOwnFile(path: string): boolean {
    return known.has(path) || isResourceFile(path.slice(path.lastIndexOf(sep) + 1))
  }

  function hasBelow(folder: string): boolean {
    for (const path of known.keys()) if (path.startsWith(`${folder}${sep}`)) return true
    return paths.some(({ path }) => path === folder)
  }

  function rankOf(path: string): number {
    return paths.find((configured) => isWithin(path, configured.path))?.rank ?? 0
  }

  /**
   * An editor may first remove or truncate the file that it saves: what is suddenly gone or empty gets a second look.
   *
   * @returns Their stamps by path; an empty one is gone.
   */
  function doubtful(
    files: readonly string[],
    seen: (path: string) => { readonly stamp: FileStamp; readonly size: number } | 'kept' | undefined,
  ): Map<string, FileStamp> {
    const found = new Map<string, FileStamp>()
    for (const path of files) {
      const now = seen(path)
      if (now === 'kept' || known.get(path)?.isEmpty !== false || (now?.size ?? 0) > 0) continue
      found.set(path, now?.stamp ?? '')
    }
    return found
  }

  /** What has come to be doubted since the first look, or was there in between, gets a look of its own. */
  function putOff(before: ReadonlyMap<string, FileStamp>, now: ReadonlyMap<string, FileStamp>): Set<string> {
    const later = new Set([...now.keys()].filter((path) => before.get(path) !== now.get(path) || stirred?.has(path)))
    stirred = undefined
    if (later.size > 0) void enqueue(() => lookAt(later))
    return later
  }

  async function grace(): Promise<void> {
    stirred = new Set()
    await new Promise<void>((done) => {
      const cancel = timers.after(timing.graceMs, done)
      endGrace = () => {
        cancel()
        done()
      }
    })
    // Events that are there are heard before anything is believed.
    await pause()
  }

  async function readFiles(changed: readonly FoundFile[], gone: readonly string[]): Promise<boolean> {
    if (changed.length === 0 && gone.length === 0) return false
    const updates: SourceUpdate[] = []
    for (const [index, file] of changed.entries()) {
      const update = readFile(file)
      if (update !== undefined) updates.push(update)
      if (index % SLICE === SLICE - 1) await pause()
    }
    for (const path of gone) known.delete(path)
    store.apply(updates, gone)
    return updates.length + gone.length > 0
  }

  /** @returns Undefined where the file is being written at this moment: there will be another event. */
  function readFile(file: FoundFile): SourceUpdate | undefined {
    const { path, rank, stamp } = file
    const before = known.get(path)
    const keep = (problem: Problem): SourceUpdate => {
      known.set(path, { stamp, cache: before?.cache ?? new Map(), isEmpty: false })
      return { source: path, rank, documents: [], complete: false, problems: [problem] }
    }
    if (file.size > MAX_FILE_BYTES) {
      return keep(
        fileProblem('files/too-large', path, `it is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB and is not read`),
      )
    }
    let bytes: Buffer
    try {
      bytes = readFileSync(path)
    } catch (error) {
      return keep(readProblem(path, codeOf(error)))
    }
    // The stamp alone does not tell: what is written within a tick of the kernel's clock may leave it as it was.
    if (before !== undefined && (bytes.length < file.size || look(path)?.stamp !== stamp)) return undefined
    const text = bytes.toString('utf8')
    const { parts, cache, documents, failures } = parseText(text, before?.cache)
    known.set(path, { stamp, cache, isEmpty: text === '' })
    const locator = createLocator(parts)
    return {
      source: path,
      rank,
      documents: documents.map(({ result }) => result),
      locate(index, pointer) {
        const document = documents[index]
        return document === undefined ? undefined : locator.locate(document, pointer)
      },
      complete: failures.length === 0 && documents.every(({ result }) => isIdentified(result)),
      problems: failures.map(({ part, line, message }) =>
        syntaxProblem(path, locator.startOf(part) + line - 1, `not YAML: ${message}`),
      ),
    }
  }

  function poll(): void {
    if (closed) return
    const startedAt = timers.now()
    void enqueue(async () => {
      await lookAtAll()
      // Looking must stay a small part of the time, however many files there are.
      const wait = Math.max(timing.pollMs, (timers.now() - startedAt) * 20)
      cancelPoll = timers.after(wait, poll)
    })
  }

  return {
    async start() {
      const began = timers.now()
      await enqueue(async () => void (await readAll()))
      log.info({ files: known.size, ms: Math.round(timers.now() - began) }, 'configuration read')
      // Soon, for what changed between looking and watching; from then on seldom.
      cancelPoll = timers.after(Math.min(timing.pollMs, 1000), poll)
    },
    rescan: () => enqueue(lookAtAll),
    isUnreadable(source) {
      const answer = unreadable.some((path) => isWithin(source, path))
      if (answer) restored.add(source)
      return answer
    },
    isPartial: () => unreadable.length > 0,
    problems: () => pathProblems,
    async close() {
      closed = true
      cancelPoll?.()
      watcher.close()
      endGrace?.()
      await queue
    },
  }
}

interface ScanWithKeeps extends Scan {
  /** Whether a file that was not found may still be there. */
  keeps(path: string): boolean
}

function withKeeps(found: Scan): ScanWithKeeps {
  return { ...found, keeps: (path) => found.unreadable.some((folder) => isWithin(path, folder)) }
}

/** Whether it is known which object this is, or that it is none of this gateway's. */
function isIdentified({ identity, problems }: SourceUpdate['documents'][number]): boolean {
  return identity !== undefined || !problems.some(({ severity }) => severity === 'error')
}

/**
 * Whether a file's path, as problems name it, is a folder's or that of something in it. Sources of other kinds have
 * names that begin with a scheme, `kubernetes:` for example.
 */
export function isWithin(path: string, folder: string): boolean {
  if (path === folder) return true
  if (folder === '.') return !/^[a-z]+:/.test(path) && !relative('.', path).startsWith('..')
  return path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}

/** A configured path as the paths of the files in it begin, and as problems name it: `./config/` is `config`. */
export function asFound(path: string): string {
  const normal = normalize(path)
  return normal.length > 1 && normal.endsWith(sep) ? normal.slice(0, -1) : normal
}
