/**
 * How an endpoint's connections keep to the limits of its cluster, and the queue of those who wait for one. What the
 * rules are, and how an endpoint calls its gate, is at the top of circuit-breaker.ts.
 */
import type { OverflowKind } from './counters.ts'
import type { FailureReason } from './failure-reason.ts'
import { LinkedQueue, type QueuePlace } from './linked-queue.ts'

/** A request that waits for a connection `C`. One of these is called, once, unless it is cancelled before. */
export interface Waiter<C> {
  onConnection(connection: C): void
  /** Its turn came, and there are too many requests. */
  onOverflow(): void
  /** Another request could not connect to the endpoint; this one counts as tried there too. */
  onConnectFailure(reason: FailureReason, detail: string): void
}

export interface ConnectFailure {
  readonly reason: FailureReason
  readonly detail: string
}

/** A place in the queue. */
export interface Wait {
  /** The client left, or a timeout fired. Does nothing once the wait is over. */
  cancel(): void
}

export type Checkout<C> =
  /** A new one, being made; the request may be sent on it. */
  | { readonly kind: 'connection'; readonly connection: C }
  | { readonly kind: 'queued'; readonly wait: Wait }
  | { readonly kind: 'overflow' }

/** What an endpoint has when it gets its gate. */
export interface PresentConnections {
  readonly connecting: number
  readonly busy: number
  readonly idle: number
}

/** What the gates of a breaker share. */
export interface Shared<C> {
  maxConnections: number
  maxPendingRequests: number
  maxRequests: number
  connections: number
  /** Requests whose connection is being made; they are among `requests` as well. */
  connecting: number
  /** Requests in the queues. */
  waiting: number
  requests: number
  /** Gates with a queue, the next one to be given a place first. Bound: endpoints. */
  readonly hungry: LinkedQueue<ConnectionGate<C>>
  onOverflow(kind: OverflowKind): void
}

const OVERFLOW = { kind: 'overflow' } as const

/** The connections of one endpoint, as far as the cluster's limits are concerned. */
export class ConnectionGate<C> {
  readonly #shared: Shared<C>
  readonly #dial: () => C
  /** Bound: `maxPendingRequests`; without that, the requests that clients have in flight. */
  readonly #queue = new LinkedQueue<Waiter<C>>()
  #connections: number
  /** Its place among the gates with a queue; null without one. */
  #place: QueuePlace<ConnectionGate<C>> | null = null

  /** Use {@link CircuitBreaker.gate}. */
  constructor(shared: Shared<C>, dial: () => C, present: PresentConnections) {
    this.#shared = shared
    this.#dial = dial
    this.#connections = present.connecting + present.busy + present.idle
    shared.connections += this.#connections
    shared.connecting += present.connecting
    shared.requests += present.connecting + present.busy
  }

  /** Requests in the queue. */
  get waiting(): number {
    return this.#queue.size
  }

  /** For a request that an idle connection is at hand for. @returns False: refuse it, leave the connection idle. */
  reuse(): boolean {
    return tryStartRequest(this.#shared)
  }

  /** For a request that no idle connection is at hand for. */
  checkout(waiter: Waiter<C>): Checkout<C> {
    const shared = this.#shared
    if (shared.connecting + shared.waiting >= shared.maxPendingRequests) {
      shared.onOverflow('pending')
      return OVERFLOW
    }
    const isFull = shared.connections >= shared.maxConnections
    if (isFull) shared.onOverflow('connections')
    if (isFull && this.#connections > 0) return { kind: 'queued', wait: this.#enqueue(waiter) }
    if (!tryStartRequest(shared)) return OVERFLOW
    return { kind: 'connection', connection: this.#open() }
  }

  /** For a request that a connection which is being made will have room for (HTTP/2). */
  wait(waiter: Waiter<C>): Checkout<C> {
    const shared = this.#shared
    if (shared.connecting + shared.waiting >= shared.maxPendingRequests) {
      shared.onOverflow('pending')
      return OVERFLOW
    }
    return { kind: 'queued', wait: this.#enqueue(waiter) }
  }

  /** A connection stands, where it was being made. */
  onConnected(): void {
    this.#shared.connecting--
  }

  /** A request is over, and its connection is still open. */
  endRequest(): void {
    this.#shared.requests--
  }

  /** Gives a connection without a request to the first in the queue. @returns False: nobody took it. */
  offer(connection: C): boolean {
    for (let waiter = this.#dequeue(); waiter !== undefined; waiter = this.#dequeue()) {
      if (tryStartRequest(this.#shared)) {
        waiter.onConnection(connection)
        return true
      }
      waiter.onOverflow()
    }
    return false
  }

  /**
   * A connection is gone; its place goes to somebody who waits.
   *
   * @param was `connecting`, `busy`: with its request, which has ended with it.
   * @param failure Why it could not be made; null where it could, or was not wanted any more.
   * @param requests That have ended with it and were not given back.
   */
  onClosed(
    was: 'connecting' | 'busy' | 'idle',
    failure: ConnectFailure | null,
    requests: number = was === 'idle' ? 0 : 1,
  ): void {
    const shared = this.#shared
    shared.connections--
    this.#connections--
    if (was === 'connecting') shared.connecting--
    shared.requests -= requests
    if (failure !== null) {
      // All at once, before any is told: what is tried again here is a new request, and not failed with these.
      const failed = this.#queue.drain()
      shared.waiting -= failed.length
      this.#stepBack()
      for (const waiter of failed) waiter.onConnectFailure(failure.reason, failure.detail)
    }
    // Who waits here and was refused for too many requests has made way for the next one.
    while (this.#connections === 0 && this.#queue.size > 0) this.openForNext()
    serve(shared)
  }

  /** Makes a connection for the first in the queue. Its breaker's business. */
  openForNext(): void {
    const waiter = this.#dequeue()
    if (waiter === undefined) return
    if (tryStartRequest(this.#shared)) waiter.onConnection(this.#open())
    else waiter.onOverflow()
  }

  #open(): C {
    const connection = this.#dial()
    this.#connections++
    this.#shared.connections++
    this.#shared.connecting++
    return connection
  }

  #enqueue(waiter: Waiter<C>): Wait {
    const place = this.#queue.push(waiter)
    this.#shared.waiting++
    this.#place ??= this.#shared.hungry.push(this)
    return {
      cancel: () => {
        if (!this.#queue.remove(place)) return
        this.#shared.waiting--
        if (this.#queue.size === 0) this.#stepBack()
      },
    }
  }

  #dequeue(): Waiter<C> | undefined {
    const waiter = this.#queue.shift()
    if (waiter === undefined) return undefined
    this.#shared.waiting--
    this.#stepBack()
    return waiter
  }

  /** Whose turn it was goes to the end of the line, or leaves it where nobody waits here any more. */
  #stepBack(): void {
    const { hungry } = this.#shared
    if (this.#place !== null) hungry.remove(this.#place)
    this.#place = this.#queue.size > 0 ? hungry.push(this) : null
  }
}

/** @returns False: there are as many requests as there may be. */
export function tryStartRequest<C>(shared: Shared<C>): boolean {
  if (shared.requests >= shared.maxRequests) {
    shared.onOverflow('requests')
    return false
  }
  shared.requests++
  return true
}

/** Opens connections for those who wait, as long as there is room for some. */
export function serve<C>(shared: Shared<C>): void {
  while (shared.connections < shared.maxConnections && shared.hungry.first !== undefined) {
    shared.hungry.first.openForNext()
  }
}
