/**
 * One upstream service as the forwarder sees it: it gives an endpoint for a try and is told what came of it, and that
 * is all. A cluster lives as long as its name is in the plan; a new plan changes it in place, so that connections,
 * counters and ejections of the endpoints that stay survive every reload.
 */
import type { MaterialStore } from '../certificates/material-store.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { ClusterPlan, EndpointPlan } from '../plan/cluster.ts'
import type { LoadBalancer } from './balancers/balanced-endpoint.ts'
import { compileHashKey } from './balancers/hash-key.ts'
import { createLoadBalancer } from './balancers/load-balancer.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import type { UpstreamCounters } from './counters.ts'
import type { Resolve } from './dns.ts'
import { Endpoint, type EndpointContext, endpointKey } from './endpoint.ts'
import { OutlierDetector } from './outlier-detection.ts'
import { ResolvedNames } from './resolved-names.ts'
import type { UpstreamStream } from './stream.ts'
import { createTransport, type Transport } from './transport.ts'

export interface ClusterDeps {
  readonly random: () => number
  readonly resolve: Resolve
  readonly dnsRefreshMs: number
  readonly materials: MaterialStore
  readonly counters: UpstreamCounters
  readonly log: (level: 'warn' | 'info', message: string, facts: Record<string, unknown>) => void
}

/** Picks before an endpoint that was tried already is taken again, as Envoy's `host_selection_retry_max_attempts`. */
const MAX_PICKS = 5

const NO_BALANCER: LoadBalancer<Endpoint> = { pick: () => null }

export class Cluster {
  plan: ClusterPlan
  readonly #deps: ClusterDeps
  readonly #names: ResolvedNames
  #endpoints = new Map<string, Endpoint>()
  #balancer: LoadBalancer<Endpoint> = NO_BALANCER
  #transport: Transport
  #hashOf: ((exchange: Exchange) => number | null) | null = null
  #outliers: OutlierDetector<Endpoint> | null = null
  #breaker: CircuitBreaker<UpstreamStream> | null = null
  #settled = false

  constructor(plan: ClusterPlan, deps: ClusterDeps) {
    this.plan = plan
    this.#deps = deps
    this.#transport = this.#openTransport(plan)
    this.#names = new ResolvedNames(deps, plan.name, () => {
      this.#settle()
    })
    this.update(plan)
  }

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values()
  }

  /** Null: the cluster has no limits, and speaks HTTP/1.1. */
  get breaker(): CircuitBreaker<UpstreamStream> | null {
    return this.#breaker
  }

  /** Null: endpoints are not judged. */
  get outliers(): OutlierDetector<Endpoint> | null {
    return this.#outliers
  }

  /** A promise while the first DNS answer is awaited, else null. */
  get warming(): Promise<void> | null {
    return this.#endpoints.size === 0 ? this.#names.warming : null
  }

  /** What the request is hashed by; null: nothing, it goes anywhere. A cookie that is missing may be set by this. */
  hashOf(exchange: Exchange): number | null {
    return this.#hashOf === null ? null : this.#hashOf(exchange)
  }

  /**
   * An endpoint for one try, or null where there is none.
   *
   * @param tried Endpoints that this request has tried; others are preferred.
   */
  pick(hash: number | null, tried: readonly Endpoint[] | null): Endpoint | null {
    let endpoint = this.#balancer.pick(hash)
    if (tried === null) return endpoint
    for (let picks = 1; picks < MAX_PICKS && endpoint !== null && tried.includes(endpoint); picks++) {
      endpoint = this.#balancer.pick(hash, picks)
    }
    return endpoint
  }

  /** The head of an answer came. @param grpcStatus Of a gRPC answer that is its head alone. */
  onResponse(endpoint: Endpoint, status: number, grpcStatus: string | null): void {
    this.#outliers?.onResponse(endpoint, status, grpcStatus)
  }

  /** A connection that is passed on stands: there is no answer to judge, so that is the success. */
  onConnected(endpoint: Endpoint): void {
    this.#outliers?.onResponse(endpoint, 200, null)
  }

  /** No answer came: the connection failed, was reset, or the time was up. */
  onLocalFailure(endpoint: Endpoint): void {
    this.#outliers?.onLocalFailure(endpoint)
  }

  update(plan: ClusterPlan): void {
    const before = this.plan
    this.plan = plan
    if (transportText(before) !== transportText(plan)) {
      this.#transport.close()
      this.#transport = this.#openTransport(plan)
    }
    const { consistentHash, outlierDetection, circuitBreakers } = plan
    this.#hashOf = consistentHash === undefined ? null : compileHashKey(consistentHash.key)
    if (outlierDetection === undefined) this.#outliers = null
    else if (this.#outliers !== null) this.#outliers.setPlan(outlierDetection)
    else this.#outliers = this.#createOutliers(outlierDetection)
    // Once there, it stays: connections have been counted by it.
    if (this.#breaker !== null) this.#breaker.setPlan(circuitBreakers ?? {})
    else if (circuitBreakers !== undefined || plan.protocol !== 'http1') {
      // Requests wait in its queue until an HTTP/2 connection stands.
      this.#breaker = new CircuitBreaker(circuitBreakers ?? {}, this.#deps.counters)
    }
    this.#names.watch(plan.discovery.kind === 'dns' ? plan.discovery.targets.map(({ hostname }) => hostname) : [])
    this.#settle()
  }

  close(): void {
    this.#names.close()
    for (const endpoint of this.#endpoints.values()) endpoint.remove()
    this.#transport.close()
  }

  /** @param now Monotonic ms. */
  sweep(now: number): void {
    for (const endpoint of this.#endpoints.values()) endpoint.sweep(now)
    this.#outliers?.sweep(now)
  }

  #openTransport(plan: ClusterPlan): Transport {
    return createTransport(plan, { materials: this.#deps.materials, now: Date.now })
  }

  #createOutliers(plan: NonNullable<ClusterPlan['outlierDetection']>): OutlierDetector<Endpoint> {
    const { counters, log } = this.#deps
    return new OutlierDetector<Endpoint>(plan, {
      now: () => performance.now(),
      onChange: () => {
        this.#rebalance()
      },
      counters,
      log: (level, message, facts) => {
        log(level, message, { cluster: this.plan.name, ...facts })
      },
    })
  }

  /** Makes the endpoints those that the plan and DNS name now. */
  #settle(): void {
    const context: EndpointContext = { settings: this.plan, transport: this.#transport, breaker: this.#breaker }
    const before = this.#endpoints
    const after = new Map<string, Endpoint>()
    // Those that a cluster begins with are not new: it is the gateway that is.
    const addedAt = this.#settled ? performance.now() : Number.NEGATIVE_INFINITY
    for (const plan of this.#current()) {
      const key = endpointKey(plan)
      if (after.has(key)) continue
      const known = before.get(key)
      if (known === undefined) after.set(key, new Endpoint(plan, context, addedAt))
      else {
        known.update(plan, context)
        after.set(key, known)
      }
    }
    for (const [key, endpoint] of before) if (!after.has(key)) endpoint.remove()
    this.#endpoints = after
    this.#settled ||= after.size > 0
    this.#outliers?.setEndpoints([...after.values()])
    this.#rebalance()
  }

  #rebalance(): void {
    const endpoints = [...this.#endpoints.values()]
    for (const endpoint of endpoints) endpoint.ejected = this.#outliers?.isEjected(endpoint) ?? false
    this.#balancer = createLoadBalancer(this.plan, endpoints, {
      random: this.#deps.random,
      now: () => performance.now(),
    })
  }

  #current(): readonly EndpointPlan[] {
    const { discovery } = this.plan
    switch (discovery.kind) {
      case 'static':
        return discovery.endpoints
      case 'original-destination':
        return []
      case 'dns':
        return discovery.targets.flatMap(({ hostname, ...rest }) => {
          const addresses = this.#names.addressesOf(hostname)
          const used = discovery.mode === 'logical' ? addresses.slice(0, 1) : addresses
          return used.map((address) => ({ address, ...rest }))
        })
      default:
        return discovery satisfies never
    }
  }
}

/** What a transport is made of, to tell whether it changed. */
function transportText({ transport, tcpKeepaliveMs, tcpKeepaliveIntervalMs, tcpKeepaliveProbes }: ClusterPlan): string {
  return JSON.stringify([transport, tcpKeepaliveMs, tcpKeepaliveIntervalMs, tcpKeepaliveProbes])
}
