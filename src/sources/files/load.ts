/** Which files there are under the configured paths, and which folders to watch for them. */
import { type Dirent, readdirSync, realpathSync, statSync, type Stats } from 'node:fs'
import { basename, join } from 'node:path'
import type { Problem } from '../../resources/findings.ts'

/** A configured path: a file, or a folder that is searched with all its folders. */
export interface ConfiguredPath {
  readonly path: string
  /** Position among the configured paths. */
  readonly rank: number
}

export interface FoundFile {
  readonly path: string
  readonly rank: number
  readonly stamp: FileStamp
  readonly size: number
}

/** Changes whenever the file does: identity, size and times of what the path leads to in the end. */
export type FileStamp = string

export interface Scan {
  /** By path. */
  readonly files: ReadonlyMap<string, FoundFile>
  /** Folders that were read, with the stamp of each one's identity. */
  readonly folders: ReadonlyMap<string, string>
  /** Paths of which nothing is known: what was under them before may still be there. */
  readonly unreadable: readonly string[]
  readonly problems: readonly Problem[]
}

/** A folder within folders deeper than this is taken for a loop of symbolic links. */
const MAX_DEPTH = 32
/** More files than this under all paths are not read. */
export const MAX_FILES = 200_000
/** After so many files the event loop gets its turn. */
const SLICE = 256

/** Whether a file of a folder holds resources, by its name. */
export function isResourceFile(name: string): boolean {
  return /\.(?:ya?ml|json)$/.test(name) && !isHidden(name) && name !== 'sluice.yaml'
}

/** Hidden files, and what editors leave beside the file that they save. */
export function isHidden(name: string): boolean {
  return name.startsWith('.') || name.endsWith('~') || name.startsWith('#') || /\.(?:sw[a-z]|tmp|bak|orig)$/.test(name)
}

interface ScanState {
  readonly files: Map<string, FoundFile>
  readonly folders: Map<string, string>
  readonly unreadable: string[]
  readonly problems: Problem[]
  seen: number
}

/** Looks at every file; changes nothing and reads none. */
export async function scan(paths: readonly ConfiguredPath[], pause: () => Promise<void>): Promise<Scan> {
  const state: ScanState = { files: new Map(), folders: new Map(), unreadable: [], problems: [], seen: 0 }
  for (const configured of paths) {
    const { path, rank } = configured
    const stats = tryStat(path)
    if (typeof stats === 'string') unreadablePath(state, path, stats)
    else if (stats.isDirectory()) {
      const before = state.files.size
      await scanFolder(state, path, rank, [realPath(path)], pause)
      if (state.files.size === before && !state.unreadable.includes(path)) state.problems.push(emptyFolder(path))
    } else if (!state.files.has(path)) state.files.set(path, { path, rank, stamp: stampOf(stats), size: stats.size })
  }
  return state
}

/** @param above Real paths of this folder and those that it is in. */
async function scanFolder(
  state: ScanState,
  folder: string,
  rank: number,
  above: readonly string[],
  pause: () => Promise<void>,
): Promise<void> {
  let entries: Dirent[]
  try {
    state.folders.set(folder, identityOf(statSync(folder)))
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    unreadablePath(state, folder, codeOf(error))
    return
  }
  // By name, so that neither the order of problems nor who comes first depends on the file system.
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    if (isHidden(entry.name)) continue
    const path = join(folder, entry.name)
    const wanted = isResourceFile(entry.name)
    if (entry.isFile() && !wanted) continue
    if (++state.seen % SLICE === 0) await pause()
    const stats = tryStat(path)
    if (typeof stats === 'string') {
      // A link that leads nowhere is as good as no file; anything else is worth knowing.
      if (wanted && stats !== 'ENOENT') unreadablePath(state, path, stats)
    } else if (stats.isDirectory()) {
      const real = realPath(path)
      if (!above.includes(real) && above.length < MAX_DEPTH) {
        await scanFolder(state, path, rank, [...above, real], pause)
      }
    } else if (wanted && !state.files.has(path)) {
      if (state.files.size >= MAX_FILES) {
        state.problems.push(
          fileProblem('files/too-many', folder, `there are more than ${MAX_FILES} files; the rest is not read`),
        )
        state.unreadable.push(folder)
        return
      }
      state.files.set(path, { path, rank, stamp: stampOf(stats), size: stats.size })
    }
  }
}

/** What a path leads to now; undefined where there is nothing. */
export function look(
  path: string,
): { readonly stamp: FileStamp; readonly size: number; readonly isFolder: boolean } | undefined {
  const stats = tryStat(path)
  if (typeof stats === 'string') return undefined
  return { stamp: stampOf(stats), size: stats.size, isFolder: stats.isDirectory() }
}

/** Stands in for an error's code: reading a named pipe, for example, would wait for whoever writes to it. */
const NOT_A_FILE = 'not a file'

/** @returns An error's code where there is nothing, or nothing that may be looked at. */
function tryStat(path: string): Stats | string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return 'ENOENT'
    return stats.isFile() || stats.isDirectory() ? stats : NOT_A_FILE
  } catch (error) {
    return codeOf(error)
  }
}

/** Two ways to the same folder have one of these; the path itself where it vanished in the meantime. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function stampOf(stats: Stats): FileStamp {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`
}

function identityOf(stats: Stats): string {
  return `${stats.dev}:${stats.ino}`
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

function unreadablePath(state: ScanState, path: string, code: string): void {
  state.unreadable.push(path)
  state.problems.push(readProblem(path, code))
}

function emptyFolder(path: string): Problem {
  return {
    ...fileProblem('files/empty', path, 'there are no resources in this folder'),
    severity: 'warning',
    remedy: 'Put files with the endings .yaml, .yml or .json there, or point --config elsewhere.',
  }
}

/** Why a file or folder cannot be read, and what to do about it. */
export function readProblem(path: string, code: string): Problem {
  switch (code) {
    case 'ENOENT':
      return {
        ...fileProblem('files/missing', path, 'there is no such file or folder'),
        remedy: `Create ${basename(path)}, or point --config elsewhere.`,
      }
    case 'EACCES':
    case 'EPERM':
      return {
        ...fileProblem('files/unreadable', path, 'this process may not read it'),
        remedy: 'Give its user the right to.',
      }
    case 'ELOOP':
      return fileProblem('files/unreadable', path, 'it is a symbolic link that leads back to itself')
    case NOT_A_FILE:
      return fileProblem('files/unreadable', path, 'it is neither a file nor a folder')
    default:
      return fileProblem('files/unreadable', path, `it cannot be read (${code})`)
  }
}

export function fileProblem(code: string, path: string, message: string): Problem {
  return { code, severity: 'error', origin: { kind: '', namespace: '', name: '', source: path }, message }
}
