/**
 * Issues the certificates that a plan asks for, keeps them renewed, and has every replica know them.
 *
 * What it has issued goes back into the compiler as if it were Secrets, so that a new certificate takes the same way
 * as one that an operator has changed.
 */
import type { Timers } from '../../lib/timers.ts'
import type { AcmeCertificatePlan } from '../../plan/acme.ts'
import { ChallengeBoard } from './challenge-board.ts'
import type { ChallengeAnswer } from './challenge-answer.ts'
import type { KeyPair } from './check.ts'
import type { Issuer } from './issuer.ts'
import { Keeper, type KeeperDeps, type KeeperStatus, type OrderResult } from './keeper.ts'
import { createStandIn } from './keys.ts'
import { type CertificateRecord, readCertificate } from './record.ts'
import type { AcmeStorage } from './storage.ts'
import { createTransport, type Transport } from './transport.ts'

export interface AcmeManagerOptions {
  readonly issuers: ReadonlyMap<string, Issuer>
  readonly storage: AcmeStorage
  readonly timers: Timers
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly log: KeeperDeps['log']
  readonly lockMs: number
  readonly orderMs: number
  readonly untilIssued: 'refuse' | 'self-signed'
  readonly userAgent: string
  /** Has every worker of this gateway answer these challenges, and no others. Resolves when they do. */
  readonly answer: (answers: readonly ChallengeAnswer[]) => Promise<void>
  /** {@link AcmeManager.issued} has changed. */
  readonly onChange: () => void
}

/** One certificate, for those who look. */
export interface AcmeCertificateState extends KeeperStatus {
  readonly name: string
  readonly issuer: string
  readonly hosts: readonly string[]
  /** Of the certificate in force, in ms since 1970; null: there is none. */
  readonly notAfter: number | null
}

const REQUEST_MS = 30_000
/** Orders of this process at a time. */
const MOST_ORDERS = 4
/** The storage is asked again after so long where it could not be read, in ms. */
const READ_AGAIN_MS = 2000

export class AcmeManager {
  readonly #options: AcmeManagerOptions
  readonly #board: ChallengeBoard
  readonly #keepers = new Map<string, Keeper>()
  /** All that is in the storage, whether anybody wants it now or not. */
  readonly #records = new Map<string, CertificateRecord>()
  readonly #standIns = new Map<string, KeyPair>()
  readonly #transports = new Map<string, Transport>()
  /** Keepers of certificates that nobody wants any more, while they end. */
  readonly #leaving = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #ordering = 0
  #issued: ReadonlyMap<string, KeyPair> = new Map()
  #cancelRead: () => void = () => {}
  #started = false
  #closing: Promise<void> | null = null
  /** Orders by what became of them, since the start of this process. */
  readonly results: Record<OrderResult, number> = { success: 0, failure: 0, deferred: 0 }

  constructor(options: AcmeManagerOptions) {
    this.#options = options
    const { storage, answer, now } = options
    this.#board = new ChallengeBoard({ storage, answer, now })
  }

  /** Reads what earlier processes, and others, have issued. A storage that cannot be read is tried again later. */
  async start(): Promise<void> {
    const { storage, log } = this.#options
    try {
      await storage.start({
        onCertificate: (name) => void this.#reload(name).catch(() => this.#readAllLater()),
        onChallenges: (answers) => this.#board.replaceShared(answers),
        onResync: () => void this.#readAll(),
      })
    } catch (error) {
      log.error({ reason: (error as Error).message }, 'the storage of certificates cannot be used')
    }
    await this.#readAll()
    this.#started = true
  }

  /** What was issued, and what stands in for it; the same map while nothing changes. */
  issued(): ReadonlyMap<string, KeyPair> {
    return this.#issued
  }

  /** Challenges that are answered now, for a worker that has just started. */
  challenges(): readonly ChallengeAnswer[] {
    return this.#board.current()
  }

  /** What is wanted from here on. @param wanted By name. */
  update(wanted: Readonly<Record<string, AcmeCertificatePlan>>): void {
    if (this.#closing !== null) return
    for (const [name, keeper] of this.#keepers) {
      if (wanted[name] !== undefined) continue
      this.#keepers.delete(name)
      this.#standIns.delete(name)
      const leaving = keeper.close()
      this.#leaving.add(leaving)
      void leaving.then(() => this.#leaving.delete(leaving))
    }
    for (const plan of Object.values(wanted)) {
      const issuer = this.#options.issuers.get(plan.issuer)
      if (issuer === undefined) continue
      const known = this.#keepers.get(plan.name)
      if (known === undefined) this.#keep(plan, issuer)
      else if (!isSame(known.plan, plan)) known.update(plan, issuer)
    }
  }

  states(): AcmeCertificateState[] {
    return [...this.#keepers.values()].map((keeper) => {
      const { name, issuer, hosts } = keeper.plan
      const notAfter = this.#records.get(name)?.leaf.validToDate.getTime() ?? null
      return { name, issuer, hosts, notAfter, ...keeper.status() }
    })
  }

  /** Tries at once what waits after a failure. */
  retryNow(): void {
    for (const keeper of this.#keepers.values()) if (keeper.status().failures > 0) keeper.retryNow()
  }

  /** Ends what is under way. Calls after the first wait for the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelRead()
    await Promise.all([...this.#leaving, ...[...this.#keepers.values()].map((keeper) => keeper.close())])
    for (const transport of this.#transports.values()) transport.close()
    await this.#options.storage.close()
  }

  #keep(plan: AcmeCertificatePlan, issuer: Issuer): void {
    const record = this.#records.get(plan.name) ?? null
    if (record === null && this.#options.untilIssued === 'self-signed') void this.#standIn(plan)
    const keeper = new Keeper(plan, issuer, record, {
      ...this.#options,
      board: this.#board,
      transport: (of) => this.#transport(of),
      limited: (work) => this.#limited(work),
      onIssued: (name, issued) => this.#take(name, issued),
      reload: (name) => this.#reload(name),
      onResult: (result) => this.results[result]++,
    })
    this.#keepers.set(plan.name, keeper)
  }

  async #standIn({ name, hosts }: AcmeCertificatePlan): Promise<void> {
    try {
      const pair = await createStandIn(hosts, this.#options.now())
      if (this.#records.has(name) || !this.#keepers.has(name)) return
      this.#standIns.set(name, pair)
      this.#changed()
    } catch (error) {
      this.#options.log.error({ certificate: name, err: error }, 'no self-signed certificate could be made')
    }
  }

  #take(name: string, record: CertificateRecord | null): void {
    const before = this.#records.get(name)
    if (before?.certificateChain === record?.certificateChain) return
    if (record === null) this.#records.delete(name)
    else {
      this.#records.set(name, record)
      this.#standIns.delete(name)
    }
    this.#keepers.get(name)?.replace(record)
    this.#changed()
  }

  #changed(): void {
    this.#issued = new Map<string, KeyPair>([...this.#standIns, ...this.#records])
    if (this.#started && this.#closing === null) this.#options.onChange()
  }

  async #reload(name: string): Promise<CertificateRecord | null> {
    const text = await this.#options.storage.read('certificate', name)
    const record = text === null ? null : this.#parse(name, text)
    // What is gone from the storage is still better than nothing.
    if (record !== null) this.#take(name, record)
    return record
  }

  async #readAll(): Promise<void> {
    const { storage, log } = this.#options
    try {
      for (const [name, text] of await storage.readAll('certificate')) {
        const record = this.#parse(name, text)
        if (record !== null) this.#take(name, record)
      }
    } catch (error) {
      log.error({ reason: (error as Error).message }, 'certificates cannot be read from the storage')
      this.#readAllLater()
    }
  }

  #readAllLater(): void {
    this.#cancelRead()
    if (this.#closing !== null) return
    this.#cancelRead = this.#options.timers.after(READ_AGAIN_MS, () => void this.#readAll())
  }

  #parse(name: string, text: string): CertificateRecord | null {
    try {
      return readCertificate(text)
    } catch (error) {
      this.#options.log.error({ certificate: name, reason: (error as Error).message }, 'a kept certificate is unusable')
      return null
    }
  }

  #transport({ name, caBundle }: Issuer): Transport {
    let transport = this.#transports.get(name)
    if (transport === undefined) {
      transport = createTransport({ caBundle, timeoutMs: REQUEST_MS, userAgent: this.#options.userAgent })
      this.#transports.set(name, transport)
    }
    return transport
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#ordering >= MOST_ORDERS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#ordering++
    try {
      return await work()
    } finally {
      // Whoever waits takes this one's place.
      const next = this.#waiting.shift()
      if (next === undefined) this.#ordering--
      else next()
    }
  }
}

function isSame(a: AcmeCertificatePlan, b: AcmeCertificatePlan): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
