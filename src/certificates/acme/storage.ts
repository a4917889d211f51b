/**
 * What outlives a process and is shared by replicas: account keys, certificates, what went wrong last, the budget,
 * locks, and the challenges that are to be answered now.
 *
 * Everything is text under `FOLDER/NAME`. A store need not keep order between writers: whoever changes a certificate
 * holds its lock, and shows it (see {@link Fence}).
 */
import type { ChallengeAnswer } from './challenge-answer.ts'
import { AcmeProblem } from './problem.ts'

/** Folders of the storage. */
export type Folder =
  /** Account keys, by issuer. Bound: the issuers that were ever set. */
  | 'account'
  /** Certificates with their keys, by the Secret whose place they take. Bound: the names that were ever ordered. */
  | 'certificate'
  /** Attempts: failures, when the next one is due. By name as above. */
  | 'attempt'
  /** Orders that were placed and not yet fulfilled, with the key of the certificate. By name as above. */
  | 'order'

export interface Fence {
  /** Of the lock. */
  readonly name: string
  /** Grows with every holder of the lock. */
  readonly token: number
}

export interface StorageLock {
  readonly fence: Fence
  /** Holds it for `ttlMs` more. @returns False where somebody else has it by now. */
  renew(): Promise<boolean>
  release(): Promise<void>
}

/** Somebody else has the lock. */
export interface LockHeld {
  /** In ms: it is free after so long unless its holder renews it. */
  readonly heldForMs: number
}

/** So many within so long. */
export interface BudgetWindow {
  readonly key: string
  readonly limit: number
  /** In ms. */
  readonly windowMs: number
}

/** A window that is full. */
export interface BudgetRefusal {
  readonly key: string
  /** When there is room in it again, in ms since 1970. */
  readonly retryAt: number
}

/** Told of what other processes change. */
export interface StorageListener {
  /** The certificate of that name is another one. */
  onCertificate(name: string): void
  /** All challenges that are to be answered now. Resolves when they are answered here. */
  onChallenges(answers: readonly ChallengeAnswer[]): Promise<void>
  /** Something may have been missed: the connection was lost for a while. */
  onResync(): void
}

/** Somebody else holds the lock by now: what was to be written is not. */
export class StaleLockError extends AcmeProblem {
  constructor(name: string) {
    super('interrupted', `another gateway holds the lock on ${name} by now`)
  }
}

/** Every method rejects where the storage cannot be reached, read or written, within bounded time. */
export interface AcmeStorage {
  readonly kind: 'files' | 'redis'
  /** Begins to tell of what others change. */
  start(listener: StorageListener): Promise<void>
  read(folder: Folder, name: string): Promise<string | null>
  readAll(folder: Folder): Promise<ReadonlyMap<string, string>>
  /** @throws StaleLockError where another one has the lock of the fence by now. */
  write(folder: Folder, name: string, text: string, fence: Fence): Promise<void>
  remove(folder: Folder, name: string, fence: Fence): Promise<void>
  /** A lock that is gone after `ttlMs` if it is not renewed. */
  lock(name: string, ttlMs: number): Promise<StorageLock | LockHeld>
  /**
   * Counts one in all of these windows, or in none where one of them is full.
   *
   * @param now Milliseconds since 1970.
   */
  spend(windows: readonly BudgetWindow[], now: number): Promise<BudgetRefusal | null>
  /** Has every replica answer these too. Resolves when they do, or have had their time. */
  shareChallenges(answers: readonly ChallengeAnswer[]): Promise<void>
  withdrawChallenges(ids: readonly string[]): Promise<void>
  close(): Promise<void>
}

export function isHeld(lock: StorageLock | LockHeld): lock is LockHeld {
  return 'heldForMs' in lock
}
