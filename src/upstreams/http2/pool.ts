/**
 * The HTTP/2 connections to one endpoint that may carry each other's requests. One carries them all until it is full;
 * requests that come while one is being made wait for it.
 *
 * Source: envoy: source/common/http/http2/conn_pool.cc, source/common/conn_pool/conn_pool_base.cc.
 */
import type { Socket } from 'node:net'
import type { CircuitBreaker } from '../circuit-breaker.ts'
import type { ConnectFailure, ConnectionGate } from '../connection-gate.ts'
import type { ConnectionWaiter, Pool } from '../connection-pool.ts'
import type { UpstreamStream } from '../stream.ts'
import { Http2Connection, type Http2Owner, type Http2Settings } from './connection.ts'

export interface Http2PoolSettings extends Http2Settings {
  /** Null: a connection without a stream is kept for good. */
  readonly idleTimeoutMs: number | null
}

export class Http2Pool implements Pool, Http2Owner {
  readonly #settings: () => Http2PoolSettings
  readonly #dial: () => Socket
  readonly #gate: ConnectionGate<UpstreamStream>
  /** Bound: the breaker's connections; without such a limit, requests at a time by the streams of a connection. */
  readonly #connections = new Set<Http2Connection>()
  /** Those that do not stand yet. */
  readonly #connecting = new Set<Http2Connection>()
  /** The one that took the last request. */
  #current: Http2Connection | null = null
  #retired = false

  /**
   * @param settings Asked when a connection is made: they change with the plan.
   * @param breaker Of a cluster without limits too: its queue is where requests wait.
   */
  constructor(settings: () => Http2PoolSettings, dial: () => Socket, breaker: CircuitBreaker<UpstreamStream>) {
    this.#settings = settings
    this.#dial = dial
    this.#gate = breaker.gate(() => this.#open().open())
  }

  get size(): number {
    return this.#connections.size
  }

  /** It has had its breaker from the beginning. */
  limitBy(): void {}

  acquire(waiter: ConnectionWaiter): UpstreamStream | null {
    const gate = this.#gate
    const connection = this.#withRoom()
    if (connection !== null) {
      if (gate.reuse()) return connection.open()
      waiter.onOverflow()
      return null
    }
    const checkout = this.#roomToCome() > gate.waiting ? gate.wait(waiter) : gate.checkout(waiter)
    if (checkout.kind === 'connection') return checkout.connection
    if (checkout.kind === 'queued') waiter.onQueued(checkout.wait)
    else waiter.onOverflow()
    return null
  }

  onConnected(connection: Http2Connection): void {
    // Called again when the upstream says how many streams it takes.
    if (this.#connecting.delete(connection)) this.#gate.onConnected()
    this.#fill(connection)
  }

  onStreamEnd(connection: Http2Connection): void {
    this.#gate.endRequest()
    // Nobody wants it any more, and it may never stand.
    if (connection.connecting && connection.active === 0 && this.#gate.waiting === 0) connection.close()
    else this.#fill(connection)
  }

  onClosed(connection: Http2Connection, failure: ConnectFailure | null): void {
    this.#connections.delete(connection)
    if (this.#current === connection) this.#current = null
    // Its streams give their requests back themselves.
    this.#gate.onClosed(this.#connecting.delete(connection) ? 'connecting' : 'idle', failure, 0)
  }

  /** @param now Monotonic ms. */
  sweep(now: number): void {
    const idleTimeoutMs = this.#settings().idleTimeoutMs ?? Number.POSITIVE_INFINITY
    for (const connection of this.#connections) {
      if (connection.active === 0 && !connection.connecting && now - connection.idleSince >= idleTimeoutMs) {
        connection.drain()
      }
    }
  }

  /** No request comes here any more: idle connections go now, busy ones when their streams are done. */
  retire(): void {
    this.#retired = true
    for (const connection of this.#connections) if (!connection.connecting) connection.drain()
  }

  #open(): Http2Connection {
    const connection = new Http2Connection(this.#dial(), this, this.#settings())
    this.#connections.add(connection)
    this.#connecting.add(connection)
    return connection
  }

  #withRoom(): Http2Connection | null {
    const current = this.#current
    if (current !== null && current.room > 0 && !current.connecting) return current
    for (const connection of this.#connections) {
      if (!connection.connecting && connection.room > 0) return (this.#current = connection)
    }
    return null
  }

  /** Requests that the connections which are being made will take. */
  #roomToCome(): number {
    let room = 0
    for (const connection of this.#connecting) room += connection.room
    return room
  }

  /** Gives what room there is to who waits. */
  #fill(connection: Http2Connection): void {
    const gate = this.#gate
    while (gate.waiting > 0 && !connection.connecting && connection.room > 0) {
      if (!gate.offer(connection.open())) return
    }
    if (this.#retired && connection.active === 0) connection.drain()
  }
}
