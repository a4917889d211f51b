/**
 * The worker processes, as the primary sees them: it starts them, keeps them at the plan in force, replaces one that
 * dies, and asks them what they count.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TicketKeys } from '../certificates/ticket-keys.ts'
import type { ChallengeAnswer } from '../certificates/acme/challenge-answer.ts'
import type { MeshCertificate } from '../certificates/mesh-identity.ts'
import type { Logger, LogLevel } from '../observability/logger.ts'
import type { MetricsAggregator } from '../observability/metrics-aggregator.ts'
import type { CachedKeySet } from '../tokens/key-set-cache.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { ApplyMessage, DataPlaneSettings, FromWorker, ListenerState, ToWorker, WorkerStats } from './messages.ts'
import type { KeySets } from './key-sets.ts'
import { inPieces } from './pieces.ts'

/** A worker that dies at once is started again after 100 ms, 200 ms … up to this. */
const MAX_RESTART_DELAY_MS = 5000
/** One that served this long is replaced at once. */
const STEADY_MS = 10_000
/** A port that a worker could not open is tried again this often. */
const REOPEN_MS = 3000
/** An answer to a question that takes longer is done without. */
const STATS_TIMEOUT_MS = 1000

export interface WorkerState {
  readonly id: number
  readonly pid: number | null
  /** Generation that the worker serves; 0: none yet. */
  readonly generation: number
  readonly restarts: number
  /** Why the worker could not apply an update: it may serve a part of it; null: nothing of the kind. */
  readonly problem: string | null
}

export interface PoolOptions {
  readonly count: number
  readonly settings: DataPlaneSettings
  readonly log: Logger
  /** Everything that a new worker must be told: the plan in force as one update, or null while there is none. */
  readonly current: () => ApplyMessage | null
  /** Gets what workers count; what a worker that ended had counted counts on. */
  readonly metrics: MetricsAggregator
  /** Where the keys of token issuers come from. */
  readonly keySets: Pick<KeySets, 'all' | 'newer'>
  /** The gateway's own certificate in its mesh, for a new worker. */
  readonly identity: () => MeshCertificate | null
  /** What seals the tickets of TLS sessions, for a new worker. */
  readonly ticketKeys: () => TicketKeys
  /** Challenges of authorities that are answered now, for a new worker. */
  readonly challenges: () => readonly ChallengeAnswer[]
}

interface Slot {
  readonly id: number
  child: ChildProcess | null
  /** Resolves when what the child was told of plans last is on its way: pieces of two plans must not mix. */
  told: Promise<void>
  startedAt: number
  restarts: number
  failures: number
  generation: number
  /** Newest generation that the worker has answered to, applied or not. */
  answered: number
  /** Why it could not apply an update, since it was started. */
  problem: string | null
  /** It was told to end. */
  isLeaving: boolean
  listeners: readonly ListenerState[]
  /** Generation that the worker's security policies came with, and what it found out about them; null: nothing yet. */
  policiesSince: number
  proofs: readonly PolicyProof[] | null
  lastStats: WorkerStats | null
  timer: NodeJS.Timeout | null
}

interface Waiting {
  readonly generation: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class WorkerPool {
  readonly #options: PoolOptions
  readonly #slots: Slot[]
  #waiting: Waiting[] = []
  #ending = false
  #questions = 0
  readonly #answers = new Map<number, (stats: WorkerStats) => void>()
  readonly #confirmations = new Map<number, () => void>()

  constructor(options: PoolOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.count }, (_, index) => ({
      id: index + 1,
      child: null,
      told: Promise.resolve(),
      startedAt: 0,
      restarts: 0,
      failures: 0,
      generation: 0,
      answered: 0,
      problem: null,
      isLeaving: false,
      listeners: [],
      policiesSince: 0,
      proofs: null,
      lastStats: null,
      timer: null,
    }))
    for (const slot of this.#slots) this.#start(slot)
  }

  states(): WorkerState[] {
    return this.#slots.map(({ id, child, generation, restarts, problem }) => ({
      id,
      pid: child?.pid ?? null,
      generation,
      restarts,
      problem,
    }))
  }

  /** What the first worker that has a plan says of its listeners; an error in any worker wins. */
  listenerStates(): ListenerState[] {
    const byName = new Map<string, ListenerState>()
    for (const { listeners } of this.#slots) {
      for (const state of listeners) {
        const known = byName.get(state.name)
        if (known === undefined || (known.error === null && state.error !== null)) byName.set(state.name, state)
      }
    }
    return [...byName.values()]
  }

  /** Of each worker that lives; null: it has not told yet. */
  proofs(): readonly (readonly PolicyProof[] | null)[] {
    return this.#slots.filter(({ child }) => child !== null).map(({ proofs }) => proofs)
  }

  /** Tells every worker; resolves when all that live have applied it. Rejects if one could not. */
  async apply(message: ApplyMessage): Promise<void> {
    for (const slot of this.#slots) tellPlan(slot, message)
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ generation: message.generation, resolve, reject })
      this.#settle()
    })
  }

  setIdentity(certificate: MeshCertificate | null): void {
    this.#broadcast({ type: 'identity', certificate })
  }

  setTicketKeys(keys: TicketKeys): void {
    this.#broadcast({ type: 'ticket-keys', keys })
  }

  /** Resolves when every worker answers these challenges, and no others, or has had a second to do so. */
  async setChallenges(answers: readonly ChallengeAnswer[]): Promise<void> {
    await Promise.all(
      this.#slots.map(async ({ child }) => {
        if (child === null) return
        const id = ++this.#questions
        await new Promise<void>((resolve) => {
          const finish = () => {
            clearTimeout(timer)
            this.#confirmations.delete(id)
            resolve()
          }
          const timer = setTimeout(finish, STATS_TIMEOUT_MS)
          this.#confirmations.set(id, finish)
          tell(child, { type: 'challenges', id, answers })
        })
      }),
    )
  }

  setKeySet(source: string, keySet: CachedKeySet): void {
    this.#broadcast({ type: 'key-set', source, keySet })
  }

  setLogLevel(level: LogLevel): void {
    this.#broadcast({ type: 'log-level', level })
  }

  reopenLogs(): void {
    this.#broadcast({ type: 'reopen-logs' })
  }

  /** What every worker counts; one that does not answer within a second counts as it did last time. */
  async stats(): Promise<readonly WorkerStats[]> {
    const all = await Promise.all(this.#slots.map((slot) => this.#ask(slot)))
    return all.filter((stats) => stats !== null)
  }

  /** Lets every worker finish and end. */
  async drain(): Promise<void> {
    this.#ending = true
    await Promise.all(
      this.#slots.map(async (slot) => {
        if (slot.timer !== null) clearTimeout(slot.timer)
        const { child } = slot
        if (child === null) return
        const exited = new Promise((resolve) => child.once('exit', resolve))
        tell(child, { type: 'drain' })
        await exited
      }),
    )
  }

  /** Ends every worker at once. */
  kill(): void {
    this.#ending = true
    for (const { child, timer } of this.#slots) {
      if (timer !== null) clearTimeout(timer)
      child?.kill('SIGKILL')
    }
  }

  #start(slot: Slot): void {
    slot.timer = null
    slot.startedAt = performance.now()
    const file = fileURLToPath(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url))
    const child = fork(file, {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: nodeFlags(process.execArgv, process.env['NODE_OPTIONS'] ?? ''),
    })
    slot.child = child
    slot.told = Promise.resolve()
    child.on('message', (message: FromWorker) => {
      // What a worker said last may arrive when its place is another's already.
      if (slot.child === child) this.#onMessage(slot, message)
    })
    child.on('error', (error) => {
      this.#options.log.error({ err: error, worker: slot.id }, 'worker process failed')
    })
    child.once('exit', (code, signal) => {
      this.#onExit(slot, code, signal)
    })
    tell(child, { type: 'start', settings: this.#options.settings })
    tell(child, { type: 'identity', certificate: this.#options.identity() })
    for (const [source, keySet] of this.#options.keySets.all()) tell(child, { type: 'key-set', source, keySet })
    tell(child, { type: 'ticket-keys', keys: this.#options.ticketKeys() })
    tell(child, { type: 'challenges', id: 0, answers: this.#options.challenges() })
    const current = this.#options.current()
    if (current !== null) tellPlan(slot, current)
  }

  #onMessage(slot: Slot, message: FromWorker): void {
    if (message.type === 'stats') {
      slot.lastStats = message.stats
      this.#options.metrics.update(String(slot.id), message.stats.metrics)
      this.#answers.get(message.id)?.(message.stats)
      return
    }
    if (message.type === 'want-keys') {
      const { child } = slot
      void this.#options.keySets.newer(message.source).then((keySet) => {
        if (child !== null) tell(child, { type: 'key-set', source: message.source, keySet })
      })
      return
    }
    if (message.type === 'proofs') {
      if (message.generation >= slot.policiesSince) slot.proofs = message.proofs
      for (const { state, because, ...policy } of message.proofs) {
        if (state === 'failed') this.#options.log.error({ ...policy, because }, 'a security policy is not enforced')
      }
      return
    }
    if (message.type === 'challenges-answered') {
      this.#confirmations.get(message.id)?.()
      return
    }
    slot.answered = message.generation
    slot.failures = 0
    if (message.type === 'not-applied') {
      for (const { generation, reject } of this.#waiting) {
        if (generation === message.generation) reject(new Error(`worker ${slot.id}: ${message.reason}`))
      }
      slot.problem = message.reason
      this.#replace(slot)
    } else {
      slot.generation = message.generation
      slot.listeners = message.listeners
      // There is a sound one now.
      for (const other of this.#slots) this.#replace(other)
      if (message.listeners.some(({ error }) => error !== null)) this.#reopenLater(slot)
    }
    this.#settle()
  }

  /**
   * A worker that could not apply an update may serve half of it. It finishes what it has, and another begins with all
   * of the plan: unless there is no sound worker beside it to serve meanwhile, as when the fault is in the plan itself.
   */
  #replace(slot: Slot): void {
    const { child, isLeaving, problem } = slot
    const hasNeighbour = this.#slots.some((other) => other !== slot && other.child !== null && other.problem === null)
    if (problem === null || isLeaving || !hasNeighbour || child === null || this.#ending) return
    slot.isLeaving = true
    this.#options.log.error({ worker: slot.id, problem }, 'worker could not apply an update; it is replaced')
    tell(child, { type: 'drain' })
  }

  /** Another program may have taken a port while it was nobody's: when a worker dies, for example. */
  #reopenLater(slot: Slot): void {
    const { child } = slot
    setTimeout(() => {
      const failed = new Set(slot.listeners.flatMap(({ name, error }) => (error === null ? [] : [`listener/${name}`])))
      const message = this.#options.current()
      if (slot.child !== child || message === null || failed.size === 0) return
      tellPlan(slot, { ...message, update: { set: message.update.set.filter(([key]) => failed.has(key)), remove: [] } })
    }, REOPEN_MS).unref()
  }

  #onExit(slot: Slot, code: number | null, signal: string | null): void {
    slot.child = null
    slot.generation = 0
    slot.answered = 0
    slot.problem = null
    slot.isLeaving = false
    slot.listeners = []
    slot.proofs = null
    this.#settle()
    slot.lastStats = null
    this.#options.metrics.remove(String(slot.id))
    if (this.#ending) return
    slot.restarts++
    const steady = performance.now() - slot.startedAt >= STEADY_MS
    slot.failures = steady ? 0 : slot.failures + 1
    const delayMs = steady ? 0 : Math.min(MAX_RESTART_DELAY_MS, 50 * 2 ** slot.failures)
    this.#options.log.error({ worker: slot.id, code, signal, delayMs }, 'worker ended; starting another')
    slot.timer = setTimeout(() => this.#start(slot), delayMs)
  }

  #settle(): void {
    const living = this.#slots.filter(({ child }) => child !== null)
    this.#waiting = this.#waiting.filter(({ generation, resolve }) => {
      if (living.some(({ answered }) => answered < generation)) return true
      resolve()
      return false
    })
  }

  async #ask(slot: Slot): Promise<WorkerStats | null> {
    const { child } = slot
    if (child === null) return slot.lastStats
    const id = ++this.#questions
    return new Promise((resolve) => {
      const finish = (stats: WorkerStats | null) => {
        clearTimeout(timer)
        this.#answers.delete(id)
        resolve(stats)
      }
      const timer = setTimeout(() => finish(slot.lastStats), STATS_TIMEOUT_MS)
      this.#answers.set(id, finish)
      tell(child, { type: 'stats', id })
    })
  }

  #broadcast(message: ToWorker): void {
    for (const { child } of this.#slots) if (child !== null) tell(child, message)
  }
}

/**
 * Node's flags for a worker: the primary's own, and a bound for young garbage unless somebody chose one. By itself V8
 * lets up to 32 MiB of it gather, twice; with 4 a worker under load takes 90 MiB less, and a request the same CPU.
 */
export function nodeFlags(execArgv: readonly string[], nodeOptions: string): string[] {
  const flag = '--max-semi-space-size'
  const isChosen = nodeOptions.includes(flag) || execArgv.some((argument) => argument.startsWith(flag))
  return isChosen ? [...execArgv] : [...execArgv, `${flag}=4`]
}

/** Piece by piece, each one when the one before is out of this process. */
function tellPlan(slot: Slot, message: ApplyMessage): void {
  const { child } = slot
  if (child === null) return
  if (message.update.set.some(([key]) => key === 'policies')) {
    slot.policiesSince = message.generation
    slot.proofs = null
  }
  slot.told = slot.told.then(async () => {
    for (const piece of inPieces(message)) {
      if (!child.connected) return
      await new Promise((resolve) => child.send(piece, resolve))
    }
  })
}

/** A worker that has just died cannot be told anything; its exit is handled elsewhere. */
function tell(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message, () => {})
}
