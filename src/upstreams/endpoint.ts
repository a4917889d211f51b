/** One address of a cluster: its connections and what is known of its load. */
import { connect, type Socket } from 'node:net'
import type { EndpointPlan } from '../plan/cluster.ts'
import { type ConnectionOwner, Http1Connection } from './http1/connection.ts'

/** What all connections of a cluster have in common. */
export interface ConnectionSettings {
  readonly connectTimeoutMs: number
  /** Null: an idle connection is kept for good. */
  readonly idleTimeoutMs: number | null
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number
}

/** An idle connection is left alone this long before the upstream said that it would close it. */
const KEEP_ALIVE_MARGIN_MS = 1000

export class Endpoint implements ConnectionOwner {
  /** `ADDRESS:PORT` (`[ADDRESS]:PORT` for IPv6), its identity in its cluster. */
  readonly key: string
  plan: EndpointPlan
  settings: ConnectionSettings
  /** Requests in flight. */
  active = 0
  /** Requests since this endpoint exists. */
  total = 0
  connectFailures = 0
  /** Last in, first out: the busiest connections stay warm, the others age and are closed. Bound: requests at a time. */
  readonly #idle: Http1Connection[] = []
  readonly #busy = new Set<Http1Connection>()
  #removed = false

  constructor(plan: EndpointPlan, settings: ConnectionSettings) {
    this.plan = plan
    this.settings = settings
    this.key = endpointKey(plan)
  }

  get connections(): number {
    return this.#idle.length + this.#busy.size
  }

  /** A connection for one request: an idle one, else a new one. */
  acquire(): Http1Connection {
    const connection = this.#idle.pop() ?? new Http1Connection(this.#dial(), this, this.settings.connectTimeoutMs)
    this.#busy.add(connection)
    return connection
  }

  onIdle(connection: Http1Connection): void {
    this.#busy.delete(connection)
    const { maxRequestsPerConnection } = this.settings
    const spent = maxRequestsPerConnection > 0 && connection.requests >= maxRequestsPerConnection
    if (this.#removed || spent) {
      connection.close()
      return
    }
    connection.idleSince = performance.now()
    this.#idle.push(connection)
  }

  onClosed(connection: Http1Connection): void {
    if (this.#busy.delete(connection)) return
    const index = this.#idle.indexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
  }

  /** Closes connections that have been idle for too long. @param now Monotonic ms. */
  sweep(now: number): void {
    const idleTimeoutMs = this.settings.idleTimeoutMs ?? Number.POSITIVE_INFINITY
    let kept = 0
    for (const connection of this.#idle) {
      const hint = connection.keepAliveSeconds
      const told = hint === 0 ? Number.POSITIVE_INFINITY : Math.max(hint * 1000 - KEEP_ALIVE_MARGIN_MS, hint * 500)
      if (now - connection.idleSince >= Math.min(idleTimeoutMs, told)) connection.close()
      else this.#idle[kept++] = connection
    }
    this.#idle.length = kept
  }

  /** The endpoint is no longer in the plan: idle connections go now, busy ones after their request. */
  remove(): void {
    this.#removed = true
    for (const connection of this.#idle) connection.close()
    this.#idle.length = 0
  }

  #dial(): Socket {
    const { address, port } = this.plan
    return address.startsWith('unix://')
      ? connect({ path: address.slice('unix://'.length) })
      : connect({ host: address, port })
  }
}

export function endpointKey(plan: { readonly address: string; readonly port: number }): string {
  if (plan.address.startsWith('unix://')) return plan.address
  return plan.address.includes(':') ? `[${plan.address}]:${plan.port}` : `${plan.address}:${plan.port}`
}
