/** Copies of shared certificates on this machine, so that a gateway that starts while the storage is down has them. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'

export interface LocalCopies {
  /** Never rejects: a copy that cannot be written is one less. */
  save(name: string, text: string): Promise<void>
  /** By name. Never rejects. */
  load(): Promise<Map<string, string>>
}

const SUFFIX = '.json'

/** @param folder Is made, for its owner alone. */
export function createLocalCopies(folder: string): LocalCopies {
  const saved = new Map<string, string>()
  return {
    async save(name, text) {
      if (saved.get(name) === text) return
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        await writeFileAtomic(join(folder, encodeURIComponent(name) + SUFFIX), text, { mode: 0o600 })
        saved.set(name, text)
      } catch {
        // It is there when Redis is.
      }
    },
    async load() {
      const found = new Map<string, string>()
      const files = await readdir(folder).catch(() => [])
      for (const file of files.filter((one) => one.endsWith(SUFFIX))) {
        const text = await readFile(join(folder, file), 'utf8').catch(() => null)
        if (text !== null) found.set(decodeURIComponent(file.slice(0, -SUFFIX.length)), text)
      }
      return found
    },
  }
}
