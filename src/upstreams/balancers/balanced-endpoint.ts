/** What balancers know of an endpoint, and what the cluster knows of balancers. */
import type { EndpointPlan } from '../../plan/cluster.ts'

export interface BalancedEndpoint {
  /** `ADDRESS:PORT`: its identity, and what it is hashed by. */
  readonly key: string
  readonly plan: EndpointPlan
  /** Requests in flight; read at each pick. */
  readonly active: number
  /**
   * Monotonic ms at which it joined the cluster. `-Infinity` for those that the cluster began with: they are not new,
   * it is the gateway that is. (In Envoy they warm up too, but all alike, which changes no share.)
   */
  readonly addedAt: number
  /** Left out by outlier detection; read when the balancer is made. */
  readonly ejected: boolean
}

export interface LoadBalancer<E> {
  /**
   * @param hash What the request is hashed by (unsigned, 32 bits); null: it has nothing, and goes anywhere. Only
   *   `consistentHash` heeds it.
   * @param attempt 0 at first. Where the endpoint of a hash was refused (it was tried already), 1, 2, … give others.
   */
  pick(hash: number | null, attempt?: number): E | null
}

export interface BalancerDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Monotonic ms. */
  readonly now: () => number
}

/** Chooses among the endpoints of one priority; there always is one. */
export type Picker<E> = (hash: number | null, attempt: number) => E
