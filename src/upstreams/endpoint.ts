/** One address of a cluster: its connections and what is known of its load. */
import type { EndpointPlan } from '../plan/cluster.ts'
import type { BalancedEndpoint } from './balancers/balanced-endpoint.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { ConnectionPool, type ConnectionSettings, type ConnectionWaiter, type Pool } from './connection-pool.ts'
import { Http2Pool, type Http2PoolSettings } from './http2/pool.ts'
import type { UpstreamStream } from './stream.ts'
import type { HttpProtocol, Transport } from './transport.ts'

export interface EndpointSettings extends ConnectionSettings, Http2PoolSettings {
  /** `client`: as the client of each request. */
  readonly protocol: HttpProtocol | 'client'
}

/** What an endpoint has of its cluster; replaced as a whole when the plan changes. */
export interface EndpointContext {
  readonly settings: EndpointSettings
  readonly transport: Transport
  /** Null: the cluster has no limits, and speaks HTTP/1.1. */
  readonly breaker: CircuitBreaker<UpstreamStream> | null
}

/** Server names are what clients ask for: past this many the pool that is oldest is let go. */
const MAX_POOLS = 64

export class Endpoint implements BalancedEndpoint {
  /** `ADDRESS:PORT` (`[ADDRESS]:PORT` for IPv6), its identity in its cluster. */
  readonly key: string
  readonly addedAt: number
  plan: EndpointPlan
  /** Left out by outlier detection. */
  ejected = false
  /** Requests in flight. */
  active = 0
  /** Requests since this endpoint exists. */
  total = 0
  connectFailures = 0
  /** Connections that carry no requests: TCP that is passed on. */
  direct = 0
  #context: EndpointContext
  /** By protocol and the transport's key. Bound: `MAX_POOLS`. */
  readonly #pools = new Map<string, Pool>()
  /** Pools whose transport is no longer the cluster's, until their last connection is gone. */
  readonly #retired = new Set<Pool>()

  /** @param addedAt Monotonic ms; `-Infinity` for those that the cluster began with. */
  constructor(plan: EndpointPlan, context: EndpointContext, addedAt: number) {
    this.plan = plan
    this.addedAt = addedAt
    this.key = endpointKey(plan)
    this.#context = context
  }

  /** How its connections are made at present, for a protocol that its pools do not speak. */
  get transport(): Transport {
    return this.#context.transport
  }

  get connections(): number {
    let count = this.direct
    for (const pool of this.#pools.values()) count += pool.size
    for (const pool of this.#retired) count += pool.size
    return count
  }

  /**
   * A connection for one request: an idle one, else a new one; of HTTP/2 a stream.
   *
   * @param host Host of the request as it goes upstream.
   * @param spoken What the client speaks, for clusters that go by it.
   * @returns Null where the cluster's limits let `waiter` wait or refuse it.
   */
  acquire(host: string, waiter: ConnectionWaiter, spoken: HttpProtocol = 'http1'): UpstreamStream | null {
    const { transport, settings } = this.#context
    const protocol = settings.protocol === 'client' ? spoken : settings.protocol
    const transportKey = transport.poolKey(this.plan, host)
    const key = protocol === 'http1' ? transportKey : `${protocol} ${transportKey}`
    return (this.#pools.get(key) ?? this.#openPool(key, host, protocol)).acquire(waiter)
  }

  /** Takes over what changed in the cluster's plan. */
  update(plan: EndpointPlan, context: EndpointContext): void {
    const { transport } = this.#context
    this.plan = plan
    this.#context = context
    if (transport !== context.transport) this.#retireAll()
    for (const pool of this.#pools.values()) pool.limitBy(context.breaker)
  }

  /** @param now Monotonic ms. */
  sweep(now: number): void {
    for (const [key, pool] of this.#pools) {
      pool.sweep(now)
      // A key is not asked for again once its material has changed, so an empty pool is not worth keeping.
      if (pool.size === 0) this.#pools.delete(key)
    }
    for (const pool of this.#retired) if (pool.size === 0) this.#retired.delete(pool)
  }

  /** The endpoint is no longer in the plan: idle connections go now, busy ones after their request. */
  remove(): void {
    this.#retireAll()
  }

  #openPool(key: string, host: string, protocol: HttpProtocol): Pool {
    const { transport, breaker } = this.#context
    const settings = () => this.#context.settings
    const dial = () => transport.dial(this.plan, host, protocol)
    const pool =
      protocol === 'http1' ? new ConnectionPool(settings, dial, breaker) : new Http2Pool(settings, dial, breaker!)
    if (this.#pools.size >= MAX_POOLS) this.#retireOldest()
    this.#pools.set(key, pool)
    return pool
  }

  #retireOldest(): void {
    for (const [key, pool] of this.#pools) {
      this.#pools.delete(key)
      this.#retired.add(pool)
      pool.retire()
      return
    }
  }

  #retireAll(): void {
    for (const pool of this.#pools.values()) {
      pool.retire()
      this.#retired.add(pool)
    }
    this.#pools.clear()
  }
}

export function endpointKey(plan: { readonly address: string; readonly port: number }): string {
  if (plan.address.startsWith('unix://')) return plan.address
  return plan.address.includes(':') ? `[${plan.address}]:${plan.port}` : `${plan.address}:${plan.port}`
}
