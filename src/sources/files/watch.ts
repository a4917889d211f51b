/**
 * Hints that files have changed. The operating system's events are taken for no more than that: they name a path to
 * look at, some file systems send none, and a burst of them becomes one call.
 */
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Timers } from '../../lib/timers.ts'
import { codeOf, isHidden } from './load.ts'

export interface Watcher {
  /**
   * Watches these folders (path → identity) and the parents of the configured paths, and no others any more.
   *
   * @returns Whether it was not watching one of them before.
   */
  follow(folders: ReadonlyMap<string, string>): boolean
  close(): void
}

export interface WatcherOptions {
  /** The configured paths: their own coming and going is seen from the folders that they are in. */
  readonly roots: readonly string[]
  readonly timers: Timers
  readonly timing: WatchTiming
  /** Paths to look at; `everything` where the event did not say, or more than files may have changed. */
  readonly onHint: (paths: ReadonlySet<string> | 'everything') => void
  /** Called with each event at once, before it becomes part of a hint. */
  readonly onEvent: (path: string) => void
  /** Called once if folders cannot be watched: the slow look at everything is all there is then. */
  readonly onUnwatchable: (folder: string, reason: string) => void
}

export interface WatchTiming {
  /** Quiet that has to follow an event, in ms: a save is several events. */
  readonly quietMs: number
  /** An event is passed on after so many ms at the latest, however busy the folder is. */
  readonly ceilingMs: number
}

/** More folders than this are not watched, only looked at from time to time (Linux allows a user some thousands). */
const MAX_WATCHED = 2048
/** So many paths at once are `everything`. */
const MAX_PATHS = 1024

export function createWatcher(options: WatcherOptions): Watcher {
  const { timers, timing } = options
  const watching = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>()
  /** Basenames of configured paths by the folder they are in: nothing else there matters. */
  const parents = new Map<string, Set<string>>()
  let pending: Set<string> | 'everything' | undefined
  let firstAt = 0
  let cancel: (() => void) | undefined
  let complained = false
  let closed = false

  for (const root of options.roots) {
    const parent = dirname(root)
    const names = parents.get(parent)
    if (names === undefined) parents.set(parent, new Set([basename(root)]))
    else names.add(basename(root))
  }

  /** @param path Absent: anything may have changed. */
  function hint(path?: string): void {
    if (closed) return
    if (path !== undefined) options.onEvent(path)
    if (pending === undefined) firstAt = timers.now()
    if (path === undefined || pending === 'everything') pending = 'everything'
    else pending = (pending ?? new Set()).add(path)
    if (pending !== 'everything' && pending.size > MAX_PATHS) pending = 'everything'
    cancel?.()
    const untilCeiling = Math.max(0, firstAt + timing.ceilingMs - timers.now())
    cancel = timers.after(Math.min(timing.quietMs, untilCeiling), deliver)
  }

  function deliver(): void {
    const paths = pending
    pending = undefined
    cancel = undefined
    if (paths !== undefined && !closed) options.onHint(paths)
  }

  function onEvent(folder: string, name: string | null, isContent: boolean): void {
    if (name === null) hint()
    // `..data` is how Kubernetes swaps all files of a mounted ConfigMap at once.
    else if (isContent && name.startsWith('..')) hint()
    else if (parents.get(folder)?.has(name) === true) hint(isContent ? join(folder, name) : undefined)
    else if (isContent && !isHidden(name)) hint(join(folder, name))
    else if (!isContent && name.startsWith('..')) hint()
  }

  function open(folder: string, identity: string, isContent: boolean): void {
    if (watching.size >= MAX_WATCHED) {
      complain(folder, `more than ${MAX_WATCHED} folders`)
      return
    }
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => onEvent(folder, name, isContent))
      watcher.on('error', (error) => {
        shut(folder)
        complain(folder, codeOf(error))
        hint()
      })
      watching.set(folder, { identity, watcher })
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') complain(folder, codeOf(error))
    }
  }

  function shut(folder: string): void {
    watching.get(folder)?.watcher.close()
    watching.delete(folder)
  }

  function complain(folder: string, reason: string): void {
    if (complained) return
    complained = true
    options.onUnwatchable(folder, reason)
  }

  return {
    follow(folders) {
      if (closed) return false
      let opened = false
      const wanted = new Map<string, string>(folders)
      for (const parent of parents.keys()) if (!wanted.has(parent)) wanted.set(parent, 'parent')
      for (const [folder, { identity }] of watching) if (wanted.get(folder) !== identity) shut(folder)
      for (const [folder, identity] of wanted) {
        if (watching.has(folder)) continue
        open(folder, identity, folders.has(folder))
        opened ||= watching.has(folder) && folders.has(folder)
      }
      return opened
    },
    close() {
      closed = true
      cancel?.()
      for (const folder of watching.keys()) shut(folder)
    },
  }
}
