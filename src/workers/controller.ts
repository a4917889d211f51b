/**
 * Turns what the sources hold into what the workers serve: compile, compare with what is in force, send what changed.
 * One change at a time; changes that come meanwhile are taken together afterwards.
 */
import type { Logger } from '../observability/logger.ts'
import type { ListenerPlan } from '../plan/listener.ts'
import { allParts, contentHash, nextParts, type Parts, partText, type PlanUpdate } from '../plan/parts.ts'
import type { Plan } from '../plan/plan.ts'
import { formatProblem, type Problem } from '../plan/problem.ts'
import type { Bindings } from './bindings.ts'
import type { ApplyMessage, Binding } from './messages.ts'
import { releaseMemory } from './release-memory.ts'

/** Where plans come from: the compiler over the resources in force. */
export interface PlanSource {
  /** The plan for what is in force now, and everything that is wrong, with places. */
  compile(): { readonly plan: Plan; readonly problems: readonly Problem[] }
}

export interface ControllerOptions {
  readonly source: PlanSource
  readonly bindings: Bindings
  readonly apply: (message: ApplyMessage) => Promise<void>
  /** Told of every plan once the workers have it. */
  readonly onInForce?: (plan: Plan) => void
  readonly log: Logger
}

/** A port that could not be bound is tried again this often. */
const REBIND_MS = 3000
/**
 * Garbage is in proportion to the parts that were looked at, and to ten times those that were written. So much is
 * what a first plan of 10,000 parts leaves behind, or ten changes to it.
 */
const MUCH_WORK = 100_000
const WRITTEN = 10
/** Quiet that has to follow, in ms: by then what was read is saved as well. */
const RELEASE_MS = 5000
/** Hexadecimal digits of the content hash that are shown. */
const HASH_DIGITS = 8

export interface Generation {
  /** Counts plans of this process, from 1; 0: none yet. */
  readonly number: number
  /** Hash of the plan's content: the same on every replica that serves the same. */
  readonly hash: string
  /** When it was in force in every worker, in ms since 1970. */
  readonly since: number
}

export class Controller {
  readonly #options: ControllerOptions
  #parts: Parts = new Map()
  #plan: Plan | null = null
  #problems: readonly Problem[] = []
  #generation: Generation = { number: 0, hash: '', since: 0 }
  #bindings: Readonly<Record<string, Binding>> = {}
  #failures: Readonly<Record<string, string>> = {}
  #running: Promise<void> | null = null
  #again = false
  #rebindTimer: NodeJS.Timeout | null = null
  #releaseTimer: NodeJS.Timeout | null = null
  /** Since memory was released last. */
  #work = 0
  #closed = false
  /** Problems that the log has told of, as text: each is told once while it lasts. */
  #told = new Set<string>()
  readonly reloads = { success: 0, failure: 0 }

  constructor(options: ControllerOptions) {
    this.#options = options
  }

  get plan(): Plan | null {
    return this.#plan
  }

  get problems(): readonly Problem[] {
    return this.#problems
  }

  get generation(): Generation {
    return this.#generation
  }

  /** `NUMBER-HASH`, for headers and logs. */
  get generationText(): string {
    return `${this.#generation.number}-${this.#generation.hash.slice(0, HASH_DIGITS)}`
  }

  /** By name of the listener: where it is bound. */
  get bindings(): Readonly<Record<string, Binding>> {
    return this.#bindings
  }

  /** By name of the listener: why it is not bound. */
  get failures(): Readonly<Record<string, string>> {
    return this.#failures
  }

  /** The plan in force as one update, for a worker that has none. */
  current(): ApplyMessage | null {
    if (this.#generation.number === 0) return null
    return this.#message(allParts(this.#parts))
  }

  /** Brings what is served in step with the sources; resolves when it is. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#running !== null) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#run()
    await this.#running
  }

  close(): void {
    this.#closed = true
    if (this.#rebindTimer !== null) clearTimeout(this.#rebindTimer)
    if (this.#releaseTimer !== null) clearTimeout(this.#releaseTimer)
  }

  async #run(): Promise<void> {
    try {
      do {
        this.#again = false
        await this.#once()
      } while (this.#again && !this.#closed)
    } finally {
      this.#running = null
    }
  }

  async #once(): Promise<void> {
    const began = performance.now()
    try {
      const { plan, problems } = this.#options.source.compile()
      this.#tell(problems)
      const { parts, update } = nextParts(plan, this.#parts)
      const rebound = await this.#bind(Object.values(plan.listeners))
      const set = [...update.set]
      for (const name of rebound) {
        const key = `listener/${name}`
        if (!set.some(([known]) => known === key)) set.push([key, partText(parts.get(key)!)])
      }
      this.#parts = parts
      this.#plan = plan
      this.#problems = problems
      if (set.length === 0 && update.remove.length === 0 && this.#generation.number > 0) {
        this.#options.onInForce?.(plan)
        return
      }
      this.#generation = { number: this.#generation.number + 1, hash: contentHash(parts), since: Date.now() }
      await this.#options.apply(this.#message({ set, remove: update.remove }))
      this.reloads.success++
      this.#options.onInForce?.(plan)
      this.#releaseLater(parts.size + WRITTEN * set.length)
      this.#options.log.info(
        {
          generation: this.generationText,
          changed: set.length,
          removed: update.remove.length,
          errors: problems.filter(({ severity }) => severity === 'error').length,
          warnings: problems.filter(({ severity }) => severity === 'warning').length,
          ms: Math.round(performance.now() - began),
        },
        'configuration in force',
      )
    } catch (error) {
      this.reloads.failure++
      this.#options.log.error({ err: error }, 'configuration could not be applied; what was in force stays')
    }
  }

  #releaseLater(work: number): void {
    this.#work += work
    if (this.#work < MUCH_WORK || this.#closed) return
    if (this.#releaseTimer !== null) clearTimeout(this.#releaseTimer)
    this.#releaseTimer = setTimeout(() => {
      this.#work = 0
      releaseMemory()
    }, RELEASE_MS)
    this.#releaseTimer.unref()
  }

  /** @returns Listeners that could not be bound before, or were bound elsewhere. */
  async #bind(listeners: readonly ListenerPlan[]): Promise<string[]> {
    const before = this.#bindings
    const { bindings, failures } = await this.#options.bindings.resolve(listeners)
    for (const [name, reason] of Object.entries(failures)) {
      if (this.#failures[name] !== reason) this.#options.log.error({ listener: name, reason }, 'port cannot be bound')
    }
    this.#bindings = bindings
    this.#failures = failures
    if (this.#rebindTimer !== null) clearTimeout(this.#rebindTimer)
    this.#rebindTimer = null
    if (Object.keys(failures).length > 0 && !this.#closed) {
      this.#rebindTimer = setTimeout(() => void this.refresh(), REBIND_MS)
      this.#rebindTimer.unref()
    }
    return Object.keys(bindings).filter((name) => bindings[name] !== before[name])
  }

  #message(update: PlanUpdate): ApplyMessage {
    return {
      type: 'apply',
      update,
      generation: this.#generation.number,
      generationText: this.generationText,
      bindings: this.#bindings,
    }
  }

  #tell(problems: readonly Problem[]): void {
    const now = new Set<string>()
    for (const problem of problems) {
      if (problem.severity === 'info') continue
      const text = formatProblem(problem)
      now.add(text)
      if (this.#told.has(text)) continue
      this.#options.log[problem.severity === 'error' ? 'error' : 'warn'](
        { code: problem.code, ...problem.origin },
        text,
      )
    }
    this.#told = now
  }
}
