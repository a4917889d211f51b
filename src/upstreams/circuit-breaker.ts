/**
 * Limits of one worker on one cluster: requests at a time, connections, requests that wait for a connection, retries
 * at a time. What is beyond them is refused at once, except that requests over the connections' limit wait first.
 *
 * The breaker is the cluster's; connections are their endpoints'. An endpoint has a gate of the breaker: it tells the
 * gate what becomes of its connections and asks it before it makes one. A cluster that never had limits has neither.
 *
 * As Envoy has it (envoy: source/common/conn_pool/conn_pool_base.cc `newStream`, `tryCreateNewConnection`,
 * `onConnectionEvent`; docs, "Circuit breaking"):
 * - A request is pending from the moment it finds no idle connection until it has one that stands: while it waits in
 *   the queue, and while the connection that it asked for is being made.
 * - The queue is the endpoint's that the balancer chose, first come first served. A request does not move to another.
 * - An endpoint without any connection may always make one, also over the limit: idle connections of the others are
 *   neither used nor closed for it. So the connections of a cluster are at most `maxConnections` and one for each
 *   endpoint, and nothing waits where nothing can become free.
 * - When a connection cannot be made, all that wait for that endpoint fail with it, and may be retried elsewhere.
 * - Once a request has its connection it counts against `maxRequests`; whoever waits for a connection does not.
 * Differences: a request stays with the connection that was opened for it, and `maxRequests` is looked at before that
 * connection is made, not after. A place that becomes free goes to any endpoint's queue of the cluster, in turn.
 *
 * How a cluster calls it. Once made, a breaker stays, so that what is open stays counted:
 *
 *     update(plan)   if (plan.circuitBreakers && breaker === null) breaker = new …, a gate for each endpoint
 *                    else breaker?.setPlan(plan.circuitBreakers ?? {})
 *     new Endpoint   gate = breaker?.gate(dial, { connecting, busy, idle }: what it has already) ?? null
 *
 * How an endpoint calls its gate:
 *
 *     acquire(waiter)          if (gate === null) idle.pop() ?? dial()
 *                              else if (idle.length > 0) gate.reuse() ? idle.pop() : overflow
 *                              else gate.checkout(waiter) → connection | queued: keep `wait` for cancel() | overflow
 *     onConnected(connection)  gate?.onConnected(), once, when `connection.connected` turns true (TLS: after it)
 *     onIdle(connection)       gate?.endRequest()
 *                              if (spent) close()
 *                              else if (gate?.offer(connection)) it stays busy: a waiter has sent on it
 *                              else if (removed) close()
 *                              else idle.push(connection)
 *     onClosed(connection, failure)
 *                              the endpoint's own lists first, then
 *                              gate?.onClosed(!connection.connected ? 'connecting' : wasBusy ? 'busy' : 'idle', failure)
 *                              where `failure` is null unless the connection could not be made: one that this side
 *                              gave up (client left, timeout) says nothing about the endpoint
 *     remove()                 as without a gate; who waits is still served by the connections that are busy now
 *
 * How a request uses it: what waits has no endpoint yet for `active`, outlier detection and the per-try timeout, while
 * the request's own timeout runs. `onConnection` continues where `acquire` returned a connection; an overflow, at once
 * or later, is 503 `UO` and is told to nobody else; `onConnectFailure` is a failed try at that endpoint. Retries:
 *
 *     may it be retried?       if (retrying) breaker.endRetry()
 *                              retrying = policy and attempts allow it && breaker.tryStartRetry()
 *     it ends                  if (retrying) breaker.endRetry()
 *
 * Everything is counted until `onClosed`, which must come exactly once for each connection.
 */
import type { CircuitBreakersPlan } from '../plan/cluster.ts'
import { ConnectionGate, type PresentConnections, serve, type Shared } from './connection-gate.ts'
import { noOverflow, type OverflowKind, type UpstreamCounters } from './counters.ts'
import { LinkedQueue } from './linked-queue.ts'

export class CircuitBreaker<C> {
  readonly #shared: Shared<C>
  readonly #overflow = noOverflow()
  #plan: CircuitBreakersPlan
  #retries = 0

  /** @param counters The worker's, beside the breaker's own. */
  constructor(plan: CircuitBreakersPlan, counters?: UpstreamCounters) {
    this.#plan = plan
    this.#shared = {
      ...limitsOf(plan),
      connections: 0,
      connecting: 0,
      waiting: 0,
      requests: 0,
      hungry: new LinkedQueue(),
      onOverflow: (kind) => {
        this.#overflow[kind]++
        if (counters !== undefined) counters.overflow[kind]++
      },
    }
  }

  /** Changes the limits. Nothing is interrupted by lower ones; with higher ones, who waits may go. `{}`: no limits. */
  setPlan(plan: CircuitBreakersPlan): void {
    this.#plan = plan
    Object.assign(this.#shared, limitsOf(plan))
    serve(this.#shared)
  }

  /**
   * The gate of an endpoint.
   *
   * @param dial Starts a new connection. It must not throw, and not call back before it returns.
   * @param present What the endpoint has already, where it is older than the breaker.
   */
  gate(dial: () => C, present: PresentConnections = NOTHING): ConnectionGate<C> {
    return new ConnectionGate(this.#shared, dial, present)
  }

  /** For a connection that carries no requests (TCP that is passed on); it does not wait. @returns False: refuse it. */
  tryOpenConnection(): boolean {
    if (this.#shared.connections >= this.#shared.maxConnections) {
      this.#shared.onOverflow('connections')
      return false
    }
    this.#shared.connections++
    return true
  }

  /** One of those is closed, or was not made. */
  closeConnection(): void {
    this.#shared.connections--
    serve(this.#shared)
  }

  /**
   * Asks for one more retry, before its backoff, once the policy allows it. A request holds at most one: it gives the
   * last one back before it asks again, and when it ends.
   *
   * Source: envoy: `RetryStateImpl::shouldRetry`, `ResourceManagerImpl::RetryBudgetImpl`.
   *
   * @returns False: no retry; flag `UO`, and the client gets what the last try gave.
   */
  tryStartRetry(): boolean {
    if (this.#retries >= this.#maxRetries()) {
      this.#shared.onOverflow('retries')
      return false
    }
    this.#retries++
    return true
  }

  endRetry(): void {
    this.#retries--
  }

  stats(): {
    readonly connections: number
    readonly pending: number
    readonly requests: number
    readonly retries: number
    /** Since the breaker exists. */
    readonly overflow: Readonly<Record<OverflowKind, number>>
  } {
    const { connections, connecting, waiting, requests } = this.#shared
    const overflow = { ...this.#overflow }
    return { connections, pending: connecting + waiting, requests, retries: this.#retries, overflow }
  }

  #maxRetries(): number {
    const { retryBudget, maxRetries = Number.POSITIVE_INFINITY } = this.#plan
    if (retryBudget === undefined) return maxRetries
    const active = this.#shared.requests + this.#shared.waiting
    return Math.max(Math.floor(retryBudget.fraction * active), retryBudget.minConcurrency)
  }
}

const NOTHING: PresentConnections = { connecting: 0, busy: 0, idle: 0 }

function limitsOf(
  plan: CircuitBreakersPlan,
): Pick<Shared<never>, 'maxConnections' | 'maxPendingRequests' | 'maxRequests'> {
  const none = Number.POSITIVE_INFINITY
  const { maxConnections = none, maxPendingRequests = none, maxRequests = none } = plan
  return { maxConnections, maxPendingRequests, maxRequests }
}
