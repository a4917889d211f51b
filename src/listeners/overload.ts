/**
 * Protects the gateway itself: requests beyond what a worker is to have at a time, and a share of all while its event
 * loop lags, are answered 503 at once, before anything is done for them. Health checks and the admin API are served by
 * another process and never shed.
 *
 * Source: semantics §11.1 (overloaded proxy); envoy: source/server/overload_manager_impl.cc for the idea of a share
 * that grows with the pressure.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { Timers } from '../lib/timers.ts'

export interface OverloadSettings {
  /** Requests of one listener in one worker that are served at a time; 0: no limit. */
  readonly maxActiveRequests: number
  /** Delay of the event loop (ms) above which requests are shed; 0: none are. */
  readonly maxEventLoopDelayMs: number
}

export interface OverloadDeps {
  readonly timers: Timers
  /** From 0 up to 1, without it. */
  readonly random: () => number
}

/** How often the delay is looked at. The share that is shed follows it within a few of these. */
const SAMPLE_MS = 50
/** Some are always served: whether it is better again shows only in those. */
const LARGEST_SHARE = 0.95
/** Change of the share from one sample to the next. */
const MOST_UP = 0.2
const DOWN = 0.05

export const OVERLOADED: LocalReply = {
  status: 503,
  body: 'envoy overloaded',
  headers: ['retry-after', '1'],
  flag: 'OM',
  details: 'overload',
}

export class Overload {
  readonly #settings: OverloadSettings
  readonly #deps: OverloadDeps
  /** Requests that are being served, by the Gateway server's port. */
  readonly #active = new Map<number, number>()
  /** Share of requests that is shed because of the event loop's delay. */
  #share = 0
  #stopSampling: () => void = () => {}
  /** Requests that were refused, by reason. */
  readonly shed = { active_requests: 0, event_loop_delay: 0 }

  /** Null where nothing is limited: then nothing is counted either. */
  static create(settings: OverloadSettings, deps: OverloadDeps): Overload | null {
    const isOff = settings.maxActiveRequests === 0 && settings.maxEventLoopDelayMs === 0
    return isOff ? null : new Overload(settings, deps)
  }

  private constructor(settings: OverloadSettings, deps: OverloadDeps) {
    this.#settings = settings
    this.#deps = deps
    if (settings.maxEventLoopDelayMs > 0) this.#sampleLater()
  }

  /** Null: the request is served, and {@link leave} has to be called when it is over. */
  enter(exchange: Exchange): LocalReply | null {
    if (this.#share > 0 && this.#deps.random() < this.#share) {
      this.shed.event_loop_delay++
      return OVERLOADED
    }
    const { port } = exchange.listener
    const active = this.#active.get(port) ?? 0
    const { maxActiveRequests } = this.#settings
    if (maxActiveRequests > 0 && active >= maxActiveRequests) {
      this.shed.active_requests++
      return OVERLOADED
    }
    this.#active.set(port, active + 1)
    exchange.countsAsActive = true
    return null
  }

  leave(exchange: Exchange): void {
    if (!exchange.countsAsActive) return
    exchange.countsAsActive = false
    const { port } = exchange.listener
    this.#active.set(port, this.#active.get(port)! - 1)
  }

  close(): void {
    this.#stopSampling()
  }

  #sampleLater(): void {
    const { timers } = this.#deps
    const due = timers.now() + SAMPLE_MS
    this.#stopSampling = timers.after(SAMPLE_MS, () => {
      this.#adapt(timers.now() - due)
      this.#sampleLater()
    })
  }

  /** Up in proportion to how far the delay is above what is wanted, down step by step. */
  #adapt(delayMs: number): void {
    const excess = delayMs / this.#settings.maxEventLoopDelayMs - 1
    const next = excess > 0 ? this.#share + Math.min(MOST_UP, excess / 10 + 0.02) : this.#share - DOWN
    this.#share = Math.min(LARGEST_SHARE, Math.max(0, next))
    // The last of many small steps down must not leave a rest behind.
    if (this.#share < DOWN / 2) this.#share = 0
  }
}
