/**
 * One upstream service as the forwarder sees it: it gives an endpoint for a try, and that is all that is asked of it.
 * A cluster lives as long as its name is in the plan; a new plan changes it in place, so that connections and counters
 * of the endpoints that stay survive every reload.
 */
import type { ClusterPlan, DnsTargetPlan, EndpointPlan } from '../plan/cluster.ts'
import { type Balancer, createBalancer } from './balancer.ts'
import { DnsWatcher, type Resolve } from './dns.ts'
import { Endpoint, endpointKey } from './endpoint.ts'

export interface ClusterDeps {
  readonly random: () => number
  readonly resolve: Resolve
  readonly dnsRefreshMs: number
  readonly log: (level: 'warn' | 'info', message: string, facts: Record<string, unknown>) => void
}

/** Picks before an endpoint that was tried already is taken again, as Envoy's `host_selection_retry_max_attempts`. */
const MAX_PICKS = 5

export class Cluster {
  plan: ClusterPlan
  readonly #deps: ClusterDeps
  #endpoints = new Map<string, Endpoint>()
  #balancer: Balancer = () => null
  #watchers = new Map<string, { readonly watcher: DnsWatcher; addresses: readonly string[] }>()
  /** Null once the first answers to all names are in (at once where there are no names). */
  #warming: Promise<void> | null = null

  constructor(plan: ClusterPlan, deps: ClusterDeps) {
    this.plan = plan
    this.#deps = deps
    this.update(plan)
  }

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values()
  }

  /** A promise while the first DNS answer is awaited, else null. */
  get warming(): Promise<void> | null {
    return this.#warming
  }

  /**
   * An endpoint for one try, or null where there is none.
   *
   * @param tried Endpoints that this request has tried; others are preferred.
   */
  pick(tried: readonly Endpoint[] | null): Endpoint | null {
    let endpoint = this.#balancer()
    if (tried === null) return endpoint
    for (let picks = 1; picks < MAX_PICKS && endpoint !== null && tried.includes(endpoint); picks++) {
      endpoint = this.#balancer()
    }
    return endpoint
  }

  update(plan: ClusterPlan): void {
    this.plan = plan
    this.#watch(plan.discovery.kind === 'dns' ? plan.discovery.targets : [])
    this.#settle()
  }

  close(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close()
    for (const endpoint of this.#endpoints.values()) endpoint.remove()
  }

  sweep(now: number): void {
    for (const endpoint of this.#endpoints.values()) endpoint.sweep(now)
  }

  /** Resolves exactly the names of the plan; those that were resolved before keep their answers. */
  #watch(targets: readonly DnsTargetPlan[]): void {
    const names = new Set(targets.map((target) => target.hostname))
    for (const [name, { watcher }] of this.#watchers) {
      if (names.has(name)) continue
      watcher.close()
      this.#watchers.delete(name)
    }
    const starting: Promise<void>[] = []
    for (const name of names) {
      if (this.#watchers.has(name)) continue
      const entry = { addresses: [] as readonly string[], watcher: null as unknown as DnsWatcher }
      entry.watcher = new DnsWatcher(name, {
        resolve: this.#deps.resolve,
        refreshMs: this.#deps.dnsRefreshMs,
        random: this.#deps.random,
        onChange: (addresses) => {
          entry.addresses = addresses
          this.#settle()
        },
        onFailure: (error) => {
          this.#deps.log('warn', 'name of an upstream cannot be resolved', {
            cluster: this.plan.name,
            hostname: name,
            reason: error.message,
            keeping: entry.addresses,
          })
        },
      })
      this.#watchers.set(name, entry)
      starting.push(entry.watcher.ready)
    }
    if (starting.length === 0) return
    const warming: Promise<void> = Promise.all(starting).then(() => {
      if (this.#warming === warming) this.#warming = null
    })
    // Endpoints of earlier answers serve on while new names are looked up.
    if (this.#endpoints.size === 0) this.#warming = warming
  }

  /** Makes the endpoints those that the plan and DNS name now. */
  #settle(): void {
    const before = this.#endpoints
    const after = new Map<string, Endpoint>()
    for (const plan of this.#current()) {
      const key = endpointKey(plan)
      if (after.has(key)) continue
      const known = before.get(key)
      if (known === undefined) after.set(key, new Endpoint(plan, this.plan))
      else {
        known.plan = plan
        known.settings = this.plan
        after.set(key, known)
      }
    }
    for (const [key, endpoint] of before) if (!after.has(key)) endpoint.remove()
    this.#endpoints = after
    this.#balancer = createBalancer(this.plan.loadBalancer, [...after.values()], this.#deps.random)
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
          const { addresses } = this.#watchers.get(hostname) ?? { addresses: [] }
          const used = discovery.mode === 'logical' ? addresses.slice(0, 1) : addresses
          return used.map((address) => ({ address, ...rest }))
        })
      default:
        return discovery satisfies never
    }
  }
}
