/** Clusters, endpoints and chance as short as the tests of balancers want them. */
import type { ClusterPlan, OutlierDetectionPlan } from '../../../../src/plan/cluster.ts'
import type { BalancedEndpoint, BalancerDeps } from '../../../../src/upstreams/balancers/balanced-endpoint.ts'
import { createLoadBalancer } from '../../../../src/upstreams/balancers/load-balancer.ts'

export interface TestEndpoint extends BalancedEndpoint {
  active: number
}

export interface EndpointFacts {
  readonly weight?: number
  readonly priority?: number
  readonly active?: number
  readonly addedAt?: number
  readonly ejected?: boolean
}

/** One endpoint for each of `facts`: `10.0.0.1:80`, `10.0.0.2:80`, … */
export function endpoints(...facts: readonly EndpointFacts[]): TestEndpoint[] {
  return facts.map(({ weight = 1, priority, active = 0, addedAt = -Infinity, ejected = false }, index) => {
    const address = `10.0.${index >>> 8}.${(index & 255) + 1}`
    const plan = { address, port: 80, weight, ...(priority === undefined ? {} : { priority }) }
    return { key: `${address}:80`, plan, active, addedAt, ejected }
  })
}

export function cluster(facts: Partial<ClusterPlan> = {}): ClusterPlan {
  return {
    name: 'outbound|80||app.test',
    host: 'app.test',
    port: 80,
    subset: '',
    service: { name: 'app', namespace: 'default' },
    discovery: { kind: 'static', endpoints: [] },
    loadBalancer: 'least-request',
    protocol: 'http1',
    transport: { kind: 'plaintext' },
    connectTimeoutMs: 10_000,
    idleTimeoutMs: null,
    maxRequestsPerConnection: 0,
    ...facts,
  }
}

export function outlierDetection(minHealthFraction: number): OutlierDetectionPlan {
  return {
    consecutive5xx: 5,
    consecutiveGatewayErrors: 0,
    splitLocalOrigin: false,
    consecutiveLocalOriginFailures: 5,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionFraction: 1,
    minHealthFraction,
  }
}

/** Every way to balance, as the part of a cluster that asks for it. */
export const POLICIES: Readonly<Record<string, Partial<ClusterPlan>>> = {
  'round-robin': { loadBalancer: 'round-robin' },
  'least-request': { loadBalancer: 'least-request' },
  random: { loadBalancer: 'random' },
  'round-robin with warmup': {
    loadBalancer: 'round-robin',
    warmup: { durationMs: 60_000, minimumFraction: 0.1, aggression: 1 },
  },
  'least-request with warmup': {
    loadBalancer: 'least-request',
    warmup: { durationMs: 60_000, minimumFraction: 0.1, aggression: 1 },
  },
  ring: { consistentHash: { key: { kind: 'source-ip' }, algorithm: { kind: 'ring', minimumSize: 1024 } } },
  maglev: { consistentHash: { key: { kind: 'source-ip' }, algorithm: { kind: 'maglev', tableSize: 65_537 } } },
}

/** A small generator (splitmix32): the same numbers in every run of a seed. */
export function seeded(seed = 12_345): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let value = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97)
    return ((value ^ (value >>> 15)) >>> 0) / 2 ** 32
  }
}

export function deps(seed?: number): BalancerDeps {
  return { random: seeded(seed), now: () => 0 }
}

/** How often each endpoint is picked, in the order of `among`. Picks have hashes all over the place, or none. */
export function countPicks(
  plan: ClusterPlan,
  among: readonly TestEndpoint[],
  picks: number,
  { seed, hashes = true }: { readonly seed?: number; readonly hashes?: boolean } = {},
): number[] {
  const balancer = createLoadBalancer(plan, among, deps(seed))
  const hash = seeded((seed ?? 0) + 1)
  const counts = new Map<TestEndpoint | null, number>()
  for (let i = 0; i < picks; i++) {
    const endpoint = balancer.pick(hashes ? Math.floor(hash() * 2 ** 32) : null)
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1)
  }
  return among.map((endpoint) => counts.get(endpoint) ?? 0)
}

/** Asserts nothing by itself: is `count` out of `picks` what a chance of `share` gives, six sigma allowed? */
export function isPlausible(count: number, picks: number, share: number, extraVariance = 0): boolean {
  const sigma = Math.sqrt(picks * share * (1 - share) + extraVariance)
  return Math.abs(count - picks * share) <= 6 * sigma + 2
}
