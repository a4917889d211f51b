/**
 * Storage in files of the state folder, for a single gateway. Every file is for its owner alone and is replaced as a
 * whole; locks hold between processes on this machine, so that two that run at the same time by mistake, or while one
 * takes over from the other, do not order the same certificate twice.
 */
import { randomInt } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { AcmeProblem } from './problem.ts'
import {
  type AcmeStorage,
  type BudgetRefusal,
  type BudgetWindow,
  type Folder,
  type LockHeld,
  StaleLockError,
  type StorageLock,
} from './storage.ts'

export interface FileStorageOptions {
  /** Is made, for its owner alone. */
  readonly folder: string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

interface LockFile {
  readonly host: string
  readonly pid: number
  /** When the process began, in ms since 1970: in a container every gateway has the same pid. */
  readonly bornAt: number
  readonly token: number
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
const SUFFIX = '.json'
const BUDGET = 'budget.json'
/** Longest window of any budget: what is older is forgotten. */
const WEEK_MS = 7 * 24 * 3_600_000

export function createFileStorage({ folder, now }: FileStorageOptions): AcmeStorage {
  /** Budgets are read, changed and written by one at a time. */
  let spending: Promise<unknown> = Promise.resolve()

  const fileOf = (place: Folder | 'lock', name: string) => join(folder, place, `${encodeURIComponent(name)}${SUFFIX}`)

  async function write(path: string, text: string): Promise<void> {
    await guarded(path, async () => {
      const parent = join(path, '..')
      await mkdir(parent, { recursive: true, mode: FOLDER_MODE })
      await writeFileAtomic(path, text, { mode: FILE_MODE })
    })
  }

  async function check({ name, token }: { readonly name: string; readonly token: number }): Promise<void> {
    const holder = await readLock(fileOf('lock', name))
    if (holder?.token !== token) throw new StaleLockError(name)
  }

  /** @returns Null where another process was faster. */
  async function take(name: string, ttlMs: number): Promise<LockFile | null> {
    const path = fileOf('lock', name)
    await mkdir(join(path, '..'), { recursive: true, mode: FOLDER_MODE })
    const mine: LockFile = {
      host: hostname(),
      pid: process.pid,
      bornAt: performance.timeOrigin,
      // The clock makes it larger than earlier ones, the rest different from those of the same millisecond.
      token: now() * 1000 + randomInt(1000),
      expiresAt: now() + ttlMs,
    }
    try {
      const file = await open(path, 'wx', FILE_MODE)
      try {
        await file.writeFile(JSON.stringify(mine))
      } finally {
        await file.close()
      }
      return mine
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null
      throw error
    }
  }

  async function acquire(name: string, ttlMs: number): Promise<LockFile | LockHeld> {
    const path = fileOf('lock', name)
    const first = await take(name, ttlMs)
    if (first !== null) return first
    const holder = await readLock(path)
    if (holder !== null && isAlive(holder) && holder.expiresAt > now()) return { heldForMs: holder.expiresAt - now() }
    // Of several that find it dead only one can move it away.
    const grave = `${path}.${process.pid}.dead`
    try {
      await rename(path, grave)
      await rm(grave, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return (await take(name, ttlMs)) ?? { heldForMs: ttlMs }
  }

  function lockOf(name: string, mine: LockFile, ttlMs: number): StorageLock {
    const path = fileOf('lock', name)
    const isMine = async () => (await readLock(path))?.token === mine.token
    return {
      fence: { name, token: mine.token },
      renew: () =>
        guarded(path, async () => {
          if (!(await isMine())) return false
          await writeFileAtomic(path, JSON.stringify({ ...mine, expiresAt: now() + ttlMs }), { mode: FILE_MODE })
          return true
        }),
      release: () =>
        guarded(path, async () => {
          if (await isMine()) await rm(path, { force: true })
        }),
    }
  }

  async function spend(windows: readonly BudgetWindow[], at: number): Promise<BudgetRefusal | null> {
    const path = join(folder, BUDGET)
    const spent = readBudget(await readText(path))
    for (const { key, limit, windowMs } of windows) {
      const times = (spent[key] ?? []).filter((time) => time > at - windowMs)
      if (times.length >= limit) return { key, retryAt: times[times.length - limit]! + windowMs }
    }
    for (const { key } of windows) spent[key] = [...(spent[key] ?? []), at]
    const kept = Object.entries(spent).flatMap(([key, times]) => {
      const recent = times.filter((time) => time > at - WEEK_MS)
      return recent.length === 0 ? [] : [[key, recent] as const]
    })
    await write(path, JSON.stringify(Object.fromEntries(kept)))
    return null
  }

  return {
    kind: 'files',
    start: () =>
      guarded(folder, async () => {
        await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
        await chmod(folder, FOLDER_MODE)
      }),
    read: (place, name) => readText(fileOf(place, name)),
    async readAll(place) {
      const found = new Map<string, string>()
      for (const file of await filesIn(join(folder, place))) {
        const text = await readText(join(folder, place, file))
        if (text !== null) found.set(decodeURIComponent(file.slice(0, -SUFFIX.length)), text)
      }
      return found
    },
    async write(place, name, text, fence) {
      await check(fence)
      await write(fileOf(place, name), text)
    },
    async remove(place, name, fence) {
      await check(fence)
      const path = fileOf(place, name)
      await guarded(path, () => rm(path, { force: true }))
    },
    lock: (name, ttlMs) =>
      guarded(fileOf('lock', name), async () => {
        const mine = await acquire(name, ttlMs)
        return 'heldForMs' in mine ? mine : lockOf(name, mine, ttlMs)
      }),
    spend(windows, at) {
      const mine = spending.then(() => spend(windows, at))
      spending = mine.catch(() => {})
      return mine
    },
    // There are no replicas to tell.
    shareChallenges: () => Promise.resolve(),
    withdrawChallenges: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

/** @throws AcmeProblem for what the file system refuses. */
async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AcmeProblem) throw error
    throw new AcmeProblem('storage', `${path} cannot be written: ${(error as Error).message}`)
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new AcmeProblem('storage', `${path} cannot be read: ${(error as Error).message}`)
  }
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith(SUFFIX)).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new AcmeProblem('storage', `${folder} cannot be read: ${(error as Error).message}`)
  }
}

async function readLock(path: string): Promise<LockFile | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockFile
  } catch {
    return null
  }
}

/** A process of another machine may live: only its time tells. */
function isAlive({ host, pid, bornAt }: LockFile): boolean {
  if (host !== hostname()) return true
  if (pid === process.pid) return bornAt === performance.timeOrigin
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** @throws AcmeProblem where it is damaged: without it nobody knows what was spent. */
function readBudget(text: string | null): Record<string, number[]> {
  if (text === null) return {}
  try {
    return JSON.parse(text) as Record<string, number[]>
  } catch {
    throw new AcmeProblem('storage', `${BUDGET} is damaged; remove it if the limits of the authority allow that`)
  }
}
