/**
 * Key sets in files, so that a gateway that restarts while an issuer is out of reach knows its keys. The folder is
 * trusted: who can write there decides which tokens are good.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'

export interface CachedKeySet {
  readonly text: string
  /** Milliseconds since 1970. */
  readonly fetchedAt: number
}

export interface KeySetCache {
  /** @param source What the keys were fetched for. Undefined: nothing that can be used. Never throws. */
  read(source: string): CachedKeySet | undefined
  /** Rejects where it cannot be written. */
  write(source: string, keySet: CachedKeySet): Promise<void>
}

/** One file a source; files of sources that are no longer used stay, a few KiB each. @param folder Is made. */
export function createFileKeySetCache(folder: string): KeySetCache {
  const fileOf = (source: string) => join(folder, `${createHash('sha256').update(source).digest('hex')}.json`)
  return {
    read(source) {
      try {
        const saved = JSON.parse(readFileSync(fileOf(source), 'utf8')) as Partial<CachedKeySet & { source: string }>
        const { text, fetchedAt } = saved
        const isWhole = saved.source === source && typeof text === 'string' && typeof fetchedAt === 'number'
        return isWhole ? { text, fetchedAt } : undefined
      } catch {
        return undefined
      }
    },
    async write(source, { text, fetchedAt }) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(fileOf(source), JSON.stringify({ source, fetchedAt, text }), { mode: 0o600 })
    },
  }
}
