/**
 * Small files that are replaced while they are used. They are looked at from time to time instead of watched: that
 * works for every kind of mount and for Kubernetes' swapped symbolic links, and a second's delay does not matter.
 */
import { readFileSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Timers } from '../lib/timers.ts'
import { MaterialError } from './pem.ts'

/** A larger file is refused: no bundle of certificates comes near. */
const MAX_BYTES = 4 * 1024 * 1024

interface Watch {
  readonly paths: readonly string[]
  readonly onChange: () => void
  /** What the files were when they were last read. */
  identity: string
}

export class WatchedFiles {
  readonly #timers: Timers
  readonly #settleMs: number
  /** Bound: the file names of a plan. */
  readonly #watches = new Set<Watch>()

  /** @param settleMs Quiet that has to follow a change: certificate and key are two writes. Istio waits 100 ms. */
  constructor(timers: Timers, settleMs: number) {
    this.#timers = timers
    this.#settleMs = settleMs
  }

  /**
   * Calls after a change of any of these files, one that is missing included.
   *
   * @returns What ends that.
   */
  watch(paths: readonly string[], onChange: () => void): () => void {
    const watch: Watch = { paths, onChange, identity: paths.map(identityNow).join() }
    this.#watches.add(watch)
    return () => this.#watches.delete(watch)
  }

  /** Looks at all files, one after the other: a file system that hangs holds up nothing but this. */
  async poll(): Promise<void> {
    for (const watch of this.#watches) {
      let identity = await identities(watch.paths)
      if (identity === watch.identity) continue
      // Between two polls nothing is lost: what changes after this is another change.
      await new Promise<void>((resolve) => this.#timers.after(this.#settleMs, resolve))
      const settled = await identities(watch.paths)
      if (settled !== identity) continue
      identity = settled
      watch.identity = identity
      if (this.#watches.has(watch)) watch.onChange()
    }
  }
}

/**
 * Reads a file of certificates or a key, at once: a few kilobytes, when a plan or the file has changed.
 *
 * @throws MaterialError where there is none, it cannot be read, or it is no plain file of reasonable size.
 */
export function readSmallFile(path: string): string {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new MaterialError(`${path} is no file`)
    if (stats.size > MAX_BYTES) throw new MaterialError(`${path} is larger than ${MAX_BYTES} bytes`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof MaterialError) throw error
    throw new MaterialError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}

async function identities(paths: readonly string[]): Promise<string> {
  const found: string[] = []
  for (const path of paths) {
    try {
      found.push(identityOf(await stat(path, { bigint: true })))
    } catch (error) {
      found.push((error as NodeJS.ErrnoException).code ?? 'unknown')
    }
  }
  return found.join()
}

function identityNow(path: string): string {
  try {
    return identityOf(statSync(path, { bigint: true }))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}

function identityOf(stats: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':')
}
