/**
 * The connections to one endpoint that may carry each other's requests: all of them in plain text; with TLS those for
 * the same server name and with the same material.
 */
import type { Socket } from 'node:net'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { ConnectFailure, ConnectionGate, Wait, Waiter } from './connection-gate.ts'
import { type ConnectionOwner, Http1Connection } from './http1/connection.ts'
import type { UpstreamStream } from './stream.ts'

/** What all connections of a cluster have in common. */
export interface ConnectionSettings {
  readonly connectTimeoutMs: number
  /** Null: an idle connection is kept for good. */
  readonly idleTimeoutMs: number | null
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number
  readonly maxConnectionDurationMs?: number
}

/** A request that wants a connection. After `onQueued`, one of the others is called, once, unless it cancels. */
export interface ConnectionWaiter extends Waiter<UpstreamStream> {
  /** There is no connection at once. */
  onQueued(wait: Wait): void
}

/** An idle connection is left alone this long before the upstream said that it would close it. */
const KEEP_ALIVE_MARGIN_MS = 1000

/** The connections of one protocol to one endpoint that may carry each other's requests. */
export interface Pool {
  /** Connections that stand or are being made. */
  readonly size: number
  /** Keeps to the limits of `breaker` from here on; a pool has one breaker at most in its life. */
  limitBy(breaker: CircuitBreaker<UpstreamStream> | null): void
  /** @returns A way for one request; null where `waiter` was told, or will be. */
  acquire(waiter: ConnectionWaiter): UpstreamStream | null
  /** Closes connections that have been idle for too long. @param now Monotonic ms. */
  sweep(now: number): void
  /** No request comes here any more: idle connections go now, busy ones after their request. */
  retire(): void
}

export class ConnectionPool implements Pool, ConnectionOwner {
  readonly #settings: () => ConnectionSettings
  readonly #dial: () => Socket
  /** Last in, first out: the busiest connections stay warm, the others age and are closed. Bound: requests at a time. */
  readonly #idle: Http1Connection[] = []
  readonly #busy = new Set<Http1Connection>()
  #gate: ConnectionGate<UpstreamStream> | null = null
  #retired = false

  /** @param settings Asked when they are needed: they change with the plan. */
  constructor(settings: () => ConnectionSettings, dial: () => Socket, breaker: CircuitBreaker<UpstreamStream> | null) {
    this.#settings = settings
    this.#dial = dial
    this.limitBy(breaker)
  }

  get size(): number {
    return this.#idle.length + this.#busy.size
  }

  limitBy(breaker: CircuitBreaker<UpstreamStream> | null): void {
    if (breaker === null || this.#gate !== null) return
    const connecting = [...this.#busy].filter(({ connected }) => !connected).length
    this.#gate = breaker.gate(() => this.#open(), {
      connecting,
      busy: this.#busy.size - connecting,
      idle: this.#idle.length,
    })
  }

  acquire(waiter: ConnectionWaiter): UpstreamStream | null {
    const gate = this.#gate
    const idle = this.#idle.pop()
    if (gate === null) return this.#use(idle ?? this.#open())
    if (idle !== undefined) {
      if (gate.reuse()) return this.#use(idle)
      this.#idle.push(idle)
      waiter.onOverflow()
      return null
    }
    const checkout = gate.checkout(waiter)
    if (checkout.kind === 'connection') return checkout.connection
    if (checkout.kind === 'queued') waiter.onQueued(checkout.wait)
    else waiter.onOverflow()
    return null
  }

  onConnected(): void {
    this.#gate?.onConnected()
  }

  onIdle(connection: Http1Connection): void {
    this.#gate?.endRequest()
    const { maxRequestsPerConnection, maxConnectionDurationMs } = this.#settings()
    const now = performance.now()
    const spent =
      (maxRequestsPerConnection > 0 && connection.requests >= maxRequestsPerConnection) ||
      (maxConnectionDurationMs !== undefined && now - connection.openedAt >= maxConnectionDurationMs)
    if (!spent && this.#gate?.offer(connection) === true) return
    this.#busy.delete(connection)
    if (spent || this.#retired) {
      connection.close()
      return
    }
    connection.idleSince = now
    this.#idle.push(connection)
  }

  onClosed(connection: Http1Connection, failure: ConnectFailure | null): void {
    const wasBusy = this.#busy.delete(connection)
    if (!wasBusy) {
      const index = this.#idle.indexOf(connection)
      if (index !== -1) this.#idle.splice(index, 1)
    }
    this.#gate?.onClosed(!connection.connected ? 'connecting' : wasBusy ? 'busy' : 'idle', failure)
  }

  sweep(now: number): void {
    const idleTimeoutMs = this.#settings().idleTimeoutMs ?? Number.POSITIVE_INFINITY
    let kept = 0
    for (const connection of this.#idle) {
      const hint = connection.keepAliveSeconds
      const told = hint === 0 ? Number.POSITIVE_INFINITY : Math.max(hint * 1000 - KEEP_ALIVE_MARGIN_MS, hint * 500)
      if (now - connection.idleSince >= Math.min(idleTimeoutMs, told)) connection.close()
      else this.#idle[kept++] = connection
    }
    this.#idle.length = kept
  }

  retire(): void {
    this.#retired = true
    for (const connection of this.#idle) connection.close()
    this.#idle.length = 0
  }

  #use(connection: Http1Connection): Http1Connection {
    this.#busy.add(connection)
    return connection
  }

  #open(): Http1Connection {
    return this.#use(new Http1Connection(this.#dial(), this, this.#settings().connectTimeoutMs))
  }
}
