/** An endpoint as circuit-breaker.ts describes it, with connections that do what a test says. */
import assert from 'node:assert/strict'
import type { CircuitBreaker } from '../../../src/upstreams/circuit-breaker.ts'
import type { ConnectFailure, ConnectionGate, Wait, Waiter } from '../../../src/upstreams/connection-gate.ts'

export class Connection {
  readonly endpoint: BreakerEndpoint
  connected = false
  closed = false
  request: Request | null = null

  constructor(endpoint: BreakerEndpoint) {
    this.endpoint = endpoint
  }
}

type Outcome = 'new' | 'waiting' | 'sent' | 'done' | 'overflow' | 'failed' | 'cancelled'

/** A request and what becomes of it. */
export class Request implements Waiter<Connection> {
  readonly name: string
  outcome: Outcome = 'new'
  connection: Connection | null = null
  #wait: Wait | null = null

  constructor(name: string) {
    this.name = name
  }

  start(endpoint: BreakerEndpoint): this {
    const answer = endpoint.acquire(this)
    if (answer === 'overflow') this.onOverflow()
    else if (answer instanceof Connection) this.onConnection(answer)
    else {
      this.#become('waiting', ['new'])
      this.#wait = answer
    }
    return this
  }

  /** The client leaves. */
  cancel(): void {
    this.#wait?.cancel()
    const { connection } = this
    this.#become('cancelled', ['waiting', 'sent'])
    connection?.endpoint.close(connection, null)
  }

  onConnection(connection: Connection): void {
    assert.equal(connection.request, null)
    this.#become('sent', ['new', 'waiting'])
    this.connection = connection
    connection.request = this
  }

  onOverflow(): void {
    this.#become('overflow', ['new', 'waiting'])
  }

  onConnectFailure(): void {
    this.#become('failed', ['waiting', 'sent'])
  }

  done(): void {
    this.#become('done', ['sent'])
  }

  #become(outcome: Outcome, from: readonly Outcome[]): void {
    assert.ok(from.includes(this.outcome), `${this.name}: ${this.outcome} → ${outcome}`)
    this.outcome = outcome
    if (outcome !== 'sent') this.connection = null
  }
}

export class BreakerEndpoint {
  readonly gate: ConnectionGate<Connection>
  readonly idle: Connection[] = []
  readonly all = new Set<Connection>()
  readonly #onDial: (endpoint: BreakerEndpoint) => void

  constructor(breaker: CircuitBreaker<Connection>, onDial: (endpoint: BreakerEndpoint) => void = () => {}) {
    this.#onDial = onDial
    this.gate = breaker.gate(() => this.#dial())
  }

  acquire(waiter: Request): Connection | Wait | 'overflow' {
    if (this.idle.length > 0) return this.gate.reuse() ? this.idle.pop()! : 'overflow'
    const answer = this.gate.checkout(waiter)
    if (answer.kind === 'connection') return answer.connection
    return answer.kind === 'queued' ? answer.wait : 'overflow'
  }

  connected(connection: Connection): void {
    connection.connected = true
    this.gate.onConnected()
  }

  /** The answer is complete. */
  answer(connection: Connection, reusable = true): void {
    const request = connection.request!
    connection.request = null
    this.gate.endRequest()
    // As the real one: the owner learns of it before the request's handler does.
    if (!reusable) this.close(connection, null)
    else if (!this.gate.offer(connection)) this.idle.push(connection)
    request.done()
  }

  /** @param failure Why it could not be made, or null. */
  close(connection: Connection, failure: ConnectFailure | null): void {
    const { request } = connection
    this.all.delete(connection)
    const index = this.idle.indexOf(connection)
    if (index !== -1) this.idle.splice(index, 1)
    connection.closed = true
    connection.request = null
    const was = !connection.connected ? 'connecting' : request === null ? 'idle' : 'busy'
    this.gate.onClosed(was, failure)
    if (request?.outcome === 'sent') request.onConnectFailure()
  }

  #dial(): Connection {
    this.#onDial(this)
    const connection = new Connection(this)
    this.all.add(connection)
    return connection
  }
}
