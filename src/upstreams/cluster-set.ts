/** All clusters of a worker, by name. */
import type { ClusterPlan } from '../plan/cluster.ts'
import { Cluster, type ClusterDeps } from './cluster.ts'

/** How often idle connections and ejected endpoints are looked at. */
const SWEEP_MS = 250

export interface EndpointStats {
  readonly address: string
  readonly weight: number
  readonly connections: number
  readonly active: number
  readonly requests: number
  readonly connectFailures: number
  /** Until when outlier detection leaves it out, in ms since 1970; null: it does not. Absent: nothing judges it. */
  readonly ejectedUntil?: number | null
}

export interface ClusterStats {
  readonly name: string
  readonly endpoints: readonly EndpointStats[]
}

export class ClusterSet {
  readonly #clusters = new Map<string, Cluster>()
  readonly #deps: ClusterDeps
  readonly #sweeper: NodeJS.Timeout

  constructor(deps: ClusterDeps) {
    this.#deps = deps
    this.#sweeper = setInterval(() => {
      const now = performance.now()
      for (const cluster of this.#clusters.values()) cluster.sweep(now)
    }, SWEEP_MS)
    this.#sweeper.unref()
  }

  get(name: string): Cluster | undefined {
    return this.#clusters.get(name)
  }

  set(plan: ClusterPlan): void {
    const known = this.#clusters.get(plan.name)
    if (known === undefined) this.#clusters.set(plan.name, new Cluster(plan, this.#deps))
    else known.update(plan)
  }

  delete(name: string): void {
    this.#clusters.get(name)?.close()
    this.#clusters.delete(name)
  }

  stats(): ClusterStats[] {
    return [...this.#clusters.values()].map(statsOf)
  }

  close(): void {
    clearInterval(this.#sweeper)
    for (const cluster of this.#clusters.values()) cluster.close()
    this.#clusters.clear()
  }
}

/** What is known of a cluster's endpoints at present. */
export function statsOf({ plan, endpoints, outliers }: Cluster): ClusterStats {
  const until = new Map(outliers?.stats().ejected.map((ejection) => [ejection.key, ejection.until]))
  return {
    name: plan.name,
    endpoints: [...endpoints].map((endpoint) => ({
      address: endpoint.key,
      weight: endpoint.plan.weight,
      connections: endpoint.connections,
      active: endpoint.active,
      requests: endpoint.total,
      connectFailures: endpoint.connectFailures,
      ...(outliers === null ? {} : { ejectedUntil: sinceEpoch(until.get(endpoint.key)) }),
    })),
  }
}

/** @param monotonicMs Undefined: not ejected. */
function sinceEpoch(monotonicMs: number | undefined): number | null {
  return monotonicMs === undefined ? null : Math.round(performance.timeOrigin + monotonicMs)
}
