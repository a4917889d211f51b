/**
 * Keeps one certificate: orders it, renews it in time, and tries again after failures.
 *
 * It is asleep nearly always. A turn begins when something is due; what it does it does under the certificate's lock,
 * after a look at what another replica may have done meanwhile.
 */
import type { Timers } from '../../lib/timers.ts'
import type { AcmeCertificatePlan } from '../../plan/acme.ts'
import { type AccountDeps, accountId, openAccount, replaceAccount } from './account.ts'
import { askRenewalInfo, renewalId, renewalTime, type RenewalWindow } from './ari.ts'
import { backoff } from './backoff.ts'
import type { ChallengeBoard } from './challenge-board.ts'
import { certifies, type KeyPair, readChain } from './check.ts'
import type { AcmeDirectory } from './directory.ts'
import { createDnsPublisher } from './dns/publisher.ts'
import type { Issuer } from './issuer.ts'
import { runOrder } from './order.ts'
import { asAcmeProblem, AcmeProblem } from './problem.ts'
import { type AttemptRecord, type CertificateRecord, readAttempts, writeCertificate } from './record.ts'
import { type AcmeStorage, isHeld, type StorageLock } from './storage.ts'
import type { Transport } from './transport.ts'

export interface KeeperDeps {
  readonly storage: AcmeStorage
  readonly board: ChallengeBoard
  readonly timers: Timers
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly lockMs: number
  /** Longest time for one order, in ms. */
  readonly orderMs: number
  readonly transport: (issuer: Issuer) => Transport
  /** Runs a piece of work when there is room: not a thousand orders at the same time. */
  readonly limited: <T>(work: () => Promise<T>) => Promise<T>
  readonly log: AccountDeps['log'] & { error(fields: object, message: string): void }
  /** A certificate was issued here. */
  readonly onIssued: (name: string, record: CertificateRecord) => void
  /** Has the newest certificate of the name from the storage. @throws AcmeProblem. */
  readonly reload: (name: string) => Promise<CertificateRecord | null>
  readonly onResult: (result: OrderResult) => void
}

export type OrderResult = 'success' | 'failure' | 'deferred'

/** What an operator is shown. */
export interface KeeperStatus {
  /** When the next attempt is due, in ms since 1970; null: one is under way. */
  readonly nextAttemptAt: number | null
  /** Why the last attempt failed; null: it did not. */
  readonly lastError: string | null
  readonly failures: number
}

const NO_ATTEMPTS: AttemptRecord = { hosts: [], failures: 0, nextAt: 0, error: '' }
/** Nobody sleeps longer than this, in ms: clocks are set, and machines suspended. */
const LONGEST_SLEEP_MS = 3_600_000
/** A lock that another replica holds is looked at this often, in ms. */
const LOOK_MS = 2000
/** Below this share of its life a certificate that covers fewer hosts is better than the one that is there. */
const LAST_SHARE = 1 / 6
/** Waits after the authority could not be asked for its renewal window, in ms. */
const ASK_AGAIN_MS = 3_600_000
/** An order is taken as lost after this share of the lock's life without a sign of the storage. */
const RENEW_SHARE = 1 / 3

export class Keeper {
  readonly #deps: KeeperDeps
  #plan: AcmeCertificatePlan
  #issuer: Issuer
  #record: CertificateRecord | null
  #attempts: AttemptRecord = NO_ATTEMPTS
  #window: RenewalWindow | null = null
  /** When the authority is asked for its window again, in ms since 1970. */
  #askAt = 0
  /** The share of jitter of this certificate, fixed so that its time of renewal does not wander. */
  #jitter: number
  /** Another replica has the lock: not before this, in ms since 1970. */
  #heldUntil = 0
  #isRunning = false
  #isOrdering = false
  #running: Promise<void> = Promise.resolve()
  #cancel: () => void = () => {}
  readonly #ending = new AbortController()

  constructor(plan: AcmeCertificatePlan, issuer: Issuer, record: CertificateRecord | null, deps: KeeperDeps) {
    this.#deps = deps
    this.#plan = plan
    this.#issuer = issuer
    this.#record = record
    this.#jitter = deps.random()
    this.#schedule()
  }

  get plan(): AcmeCertificatePlan {
    return this.#plan
  }

  status(): KeeperStatus {
    const { failures, error } = this.#attempts
    return {
      nextAttemptAt: this.#isOrdering ? null : this.#dueAt(),
      lastError: failures === 0 ? null : error,
      failures,
    }
  }

  /** Other hosts or another issuer from here on. */
  update(plan: AcmeCertificatePlan, issuer: Issuer): void {
    this.#plan = plan
    this.#issuer = issuer
    this.#schedule()
  }

  /** There is another certificate, issued by somebody else. */
  replace(record: CertificateRecord | null): void {
    if (record?.certificateChain === this.#record?.certificateChain) return
    this.#take(record)
    if (record !== null && this.#missing().length === 0) this.#attempts = NO_ATTEMPTS
    this.#schedule()
  }

  /** An operator has mended something: what is overdue is tried at once. The budget holds all the same. */
  retryNow(): void {
    this.#attempts = { ...this.#attempts, nextAt: 0 }
    this.#schedule()
  }

  /** Ends what it does; resolves when that is done. */
  async close(): Promise<void> {
    this.#ending.abort(new AcmeProblem('interrupted', 'the gateway no longer needs it'))
    this.#cancel()
    await this.#running
  }

  #take(record: CertificateRecord | null): void {
    this.#record = record
    this.#window = null
    this.#askAt = 0
    this.#jitter = this.#deps.random()
  }

  #missing(): readonly string[] {
    const leaf = this.#record?.leaf
    return leaf === undefined ? this.#plan.hosts : this.#plan.hosts.filter((host) => !certifies(leaf, host))
  }

  /** When there is something to order, in ms since 1970. */
  #dueAt(): number {
    const { hosts, nextAt } = this.#attempts
    const patience = hosts.join() === this.#plan.hosts.join() ? nextAt : 0
    const isGood =
      this.#record !== null && this.#record.directory === this.#issuer.directory && this.#missing().length === 0
    const wanted = isGood ? renewalTime(this.#record!.leaf, this.#window, this.#jitter) : 0
    return Math.max(wanted, patience, this.#heldUntil)
  }

  #schedule(): void {
    this.#cancel()
    if (this.#ending.signal.aborted || this.#isRunning) return
    const wait = Math.min(this.#dueAt(), this.#record === null ? Infinity : this.#askAt) - this.#deps.now()
    this.#cancel = this.#deps.timers.after(Math.min(LONGEST_SLEEP_MS, Math.max(0, wait)), () => {
      this.#isRunning = true
      this.#running = this.#turn().finally(() => {
        this.#isRunning = false
        this.#schedule()
      })
    })
  }

  /** Never rejects. */
  async #turn(): Promise<void> {
    const { now, limited } = this.#deps
    if (this.#record !== null && this.#askAt <= now()) await this.#askForWindow(this.#record)
    if (this.#dueAt() > now()) return
    await limited(async () => {
      if (this.#ending.signal.aborted) return
      let lock: StorageLock | null = null
      try {
        const taken = await this.#deps.storage.lock(`certificate/${this.#plan.name}`, this.#deps.lockMs)
        if (isHeld(taken)) {
          this.#heldUntil = now() + Math.min(LOOK_MS, taken.heldForMs + 1)
          // It may be done by now, and its notice lost.
          this.replace(await this.#deps.reload(this.#plan.name))
          return
        }
        lock = taken
        await this.#underLock(lock)
      } catch (error) {
        await this.#failed(asAcmeProblem(error, 'storage'), lock)
      } finally {
        // It expires by itself where the storage is out of reach.
        await lock?.release().catch(() => {})
      }
    })
  }

  async #underLock(lock: StorageLock): Promise<void> {
    const { storage, reload, lockMs, orderMs, timers } = this.#deps
    const { name, hosts } = this.#plan
    this.replace(await reload(name))
    const attempts = readAttempts(await storage.read('attempt', name))
    // The later of both: an operator's retry is remembered here alone.
    if (attempts !== null && attempts.failures > this.#attempts.failures) this.#attempts = attempts
    if (this.#dueAt() > this.#deps.now()) return
    const lost = new AbortController()
    let cancel = () => {}
    const renew = () => {
      cancel = timers.after(lockMs * RENEW_SHARE, () => {
        lock.renew().then(
          (isMine) => {
            if (isMine) renew()
            else lost.abort(new AcmeProblem('interrupted', 'another gateway has taken the order on'))
          },
          () => renew(),
        )
      })
    }
    renew()
    const signal = AbortSignal.any([this.#ending.signal, lost.signal, AbortSignal.timeout(orderMs)])
    this.#isOrdering = true
    try {
      await this.#order(hosts, lock, signal)
    } finally {
      this.#isOrdering = false
      cancel()
    }
  }

  /** Orders all hosts, and without those that fail where there would be nothing at all. */
  async #order(hosts: readonly string[], lock: StorageLock, signal: AbortSignal): Promise<void> {
    try {
      await this.#issued(await this.#orderWith(hosts, lock, signal), lock)
    } catch (error) {
      const problem = signal.aborted ? interruption(signal) : asAcmeProblem(error, 'refused')
      const rest = hosts.filter((host) => !problem.hosts.includes(host))
      await this.#failed(problem, lock)
      if (rest.length === hosts.length || rest.length === 0 || !this.#needsAnything()) return
      await this.#order(rest, lock, signal)
    }
  }

  async #orderWith(hosts: readonly string[], lock: StorageLock, signal: AbortSignal): Promise<KeyPair> {
    const { storage, board, transport, lockMs, now, log } = this.#deps
    const issuer = this.#issuer
    const deps = { storage, transport: transport(issuer), lockMs, now, signal, log }
    const { failures } = this.#attempts
    const record = this.#record
    const run = (directory: AcmeDirectory) =>
      runOrder(
        {
          name: this.#plan.name,
          hosts,
          answers: this.#plan.answers,
          attempt: failures,
          isRenewal: record !== null && hosts.every((host) => certifies(record.leaf, host)),
          replaces: record !== null && this.#window !== null && failures === 0 ? renewalId(record.leaf) : null,
        },
        {
          issuer,
          account: accountId(issuer),
          directory,
          storage,
          fence: lock.fence,
          dns: issuer.dns === null ? null : createDnsPublisher(issuer.dns, signal),
          present: (answers) => board.present(answers),
          withdraw: (answers) => board.withdraw(answers),
          now,
        },
      )
    const directory = await openAccount(issuer, deps)
    try {
      return await run(directory)
    } catch (error) {
      if (!(await isAccountLost(error, directory))) throw error
      return run(await replaceAccount(issuer, directory, deps))
    }
  }

  async #issued(pair: KeyPair, { fence }: StorageLock): Promise<void> {
    const { storage, onIssued, onResult, log, now } = this.#deps
    const { name, hosts } = this.#plan
    const record: CertificateRecord = { ...pair, ...certificateFacts(pair, this.#issuer) }
    await storage.write('certificate', name, writeCertificate(record), fence)
    this.#take(record)
    if (this.#missing().length === 0) {
      this.#attempts = NO_ATTEMPTS
      await storage.remove('attempt', name, fence)
    }
    await storage.remove('order', name, fence)
    onResult('success')
    onIssued(name, record)
    log.info(
      {
        certificate: name,
        issuer: this.#issuer.name,
        hosts,
        missing: this.#missing(),
        notAfter: record.leaf.validToDate.toISOString(),
        renewal: new Date(Math.max(now(), this.#dueAt())).toISOString(),
      },
      'certificate issued',
    )
  }

  async #failed(problem: AcmeProblem, lock: StorageLock | null): Promise<void> {
    const { storage, now, random, log, onResult } = this.#deps
    const { name, hosts } = this.#plan
    if (problem.kind === 'interrupted') {
      if (this.#ending.signal.aborted) return
      this.#heldUntil = now() + backoff(problem, 0, random())
      log.warn({ certificate: name, reason: problem.message }, 'an order was given up')
      return
    }
    const wait = backoff(problem, this.#attempts.failures, random())
    this.#attempts = {
      hosts,
      failures: this.#attempts.failures + 1,
      nextAt: now() + wait,
      error: problem.message,
    }
    const isDeferred = problem.kind === 'budget' || problem.kind === 'rate-limited'
    onResult(isDeferred ? 'deferred' : 'failure')
    log.error(
      {
        certificate: name,
        issuer: this.#issuer.name,
        hosts: problem.hosts.length === 0 ? hosts : problem.hosts,
        kind: problem.kind,
        reason: problem.message,
        nextAttempt: new Date(this.#attempts.nextAt).toISOString(),
        inForce: this.#record === null ? 'none' : `until ${this.#record.leaf.validToDate.toISOString()}`,
      },
      'certificate could not be issued',
    )
    if (lock === null) return
    // What cannot be written is known here at least.
    await storage.write('attempt', name, JSON.stringify(this.#attempts), lock.fence).catch(() => {})
  }

  /** Whether a certificate for only some of the hosts would be better than what there is. */
  #needsAnything(): boolean {
    if (this.#record === null) return true
    const { validFromDate, validToDate } = this.#record.leaf
    const life = validToDate.getTime() - validFromDate.getTime()
    return validToDate.getTime() - this.#deps.now() < life * LAST_SHARE
  }

  async #askForWindow(record: CertificateRecord): Promise<void> {
    const { now, log } = this.#deps
    this.#askAt = now() + ASK_AGAIN_MS
    const id = renewalId(record.leaf)
    if (id === null || record.directory !== this.#issuer.directory) return
    const transport = this.#deps.transport(this.#issuer)
    try {
      const { data } = await transport.request(record.directory, 'get')
      const url = (data as { renewalInfo?: unknown } | null)?.renewalInfo
      if (typeof url !== 'string') return
      const info = await askRenewalInfo(transport, url, id, now())
      if (info === null) return
      this.#askAt = now() + info.askAgainMs
      if (info.window.start === this.#window?.start && info.window.end === this.#window.end) return
      this.#window = info.window
      log.info(
        { certificate: this.#plan.name, renewal: new Date(this.#dueAt()).toISOString() },
        'the authority suggests a time for renewal',
      )
    } catch (error) {
      // Two thirds of its life is what counts then.
      log.warn(
        { certificate: this.#plan.name, reason: (error as Error).message },
        'the authority could not be asked when to renew',
      )
    }
  }
}

function certificateFacts(pair: KeyPair, { name, directory }: Issuer): Omit<CertificateRecord, keyof KeyPair> {
  return { issuer: name, directory, leaf: readChain(pair.certificateChain)[0]! }
}

/** Whether the authority has forgotten the account, or shut it. */
async function isAccountLost(error: unknown, directory: AcmeDirectory): Promise<boolean> {
  if (!(error instanceof AcmeProblem)) return false
  if (error.kind === 'account') return true
  return error.type.endsWith(':unauthorized') && !(await directory.isAccountGood())
}

function interruption(signal: AbortSignal): AcmeProblem {
  const { reason } = signal as { reason: unknown }
  if (reason instanceof AcmeProblem) return reason
  return new AcmeProblem('unreachable', 'the order took too long')
}
