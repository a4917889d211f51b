/**
 * What a pick costs, by policy and number of endpoints, and what making a balancer costs.
 *
 * `node loadtest/micro/balancers.ts`; numbers of one run compare with each other, not with those of another.
 */
import type { ClusterPlan, ConsistentHashPlan, LoadBalancerPlan } from '../../src/plan/cluster.ts'
import type { BalancedEndpoint } from '../../src/upstreams/balancers/balanced-endpoint.ts'
import { createLoadBalancer } from '../../src/upstreams/balancers/load-balancer.ts'
import { mix32 } from '../../src/upstreams/balancers/murmur3.ts'
import { median, nanosPerCall, printTable } from './measure.ts'

const SIZES = [2, 10, 100, 1000]

interface Case {
  readonly name: string
  readonly loadBalancer: LoadBalancerPlan
  readonly weight: (index: number) => number
  readonly algorithm?: ConsistentHashPlan['algorithm']
  readonly warming?: boolean
}

const equal = () => 1
const mixed = (index: number) => 1 + (index % 7)

const CASES: readonly Case[] = [
  { name: 'round-robin', loadBalancer: 'round-robin', weight: equal },
  { name: 'round-robin, weights', loadBalancer: 'round-robin', weight: mixed },
  { name: 'round-robin, warming', loadBalancer: 'round-robin', weight: equal, warming: true },
  { name: 'least-request', loadBalancer: 'least-request', weight: equal },
  { name: 'least-request, weights', loadBalancer: 'least-request', weight: mixed },
  { name: 'random', loadBalancer: 'random', weight: equal },
  { name: 'random, weights', loadBalancer: 'random', weight: mixed },
  { name: 'ring', loadBalancer: 'random', weight: equal, algorithm: { kind: 'ring', minimumSize: 1024 } },
  { name: 'maglev', loadBalancer: 'random', weight: equal, algorithm: { kind: 'maglev', tableSize: 65_537 } },
]

function planOf({ loadBalancer, algorithm, warming }: Case): ClusterPlan {
  return {
    name: 'outbound|80||bench.local',
    host: 'bench.local',
    port: 80,
    subset: '',
    service: { name: 'bench', namespace: 'default' },
    discovery: { kind: 'static', endpoints: [] },
    loadBalancer,
    protocol: 'http1',
    transport: { kind: 'plaintext' },
    connectTimeoutMs: 10_000,
    idleTimeoutMs: null,
    maxRequestsPerConnection: 0,
    ...(algorithm === undefined ? {} : { consistentHash: { key: { kind: 'source-ip' }, algorithm } }),
    ...(warming === true ? { warmup: { durationMs: 3_600_000, minimumFraction: 0.1, aggression: 2 } } : {}),
  }
}

function endpointsOf({ weight, warming }: Case, count: number): BalancedEndpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `10.${index >>> 8}.${index & 255}.1:8080`,
    plan: { address: `10.${index >>> 8}.${index & 255}.1`, port: 8080, weight: weight(index) },
    active: index % 5,
    addedAt: warming === true && index % 10 === 0 ? performance.now() : -Infinity,
    ejected: false,
  }))
}

const deps = { random: () => Math.random(), now: () => performance.now() }

/** @returns ms that a balancer and its first pick take: tables are made by that. */
function buildMs(tested: Case, endpoints: readonly BalancedEndpoint[]): number {
  const samples = Array.from({ length: 9 }, () => {
    const began = performance.now()
    createLoadBalancer(planOf(tested), endpoints, deps).pick(1)
    return performance.now() - began
  })
  return median(samples)
}

function pickNanos(tested: Case, endpoints: readonly BalancedEndpoint[]): number {
  const balancer = createLoadBalancer(planOf(tested), endpoints, deps)
  let request = 0
  return nanosPerCall({ pick: () => balancer.pick(mix32(request++)) }, { calls: 100_000 })['pick']!
}

const rows = CASES.map((tested) => {
  const measured = SIZES.map((size) => {
    const endpoints = endpointsOf(tested, size)
    return { pick: pickNanos(tested, endpoints), build: buildMs(tested, endpoints) }
  })
  return [tested.name, ...measured.map(({ pick }) => pick), measured.at(-1)!.build]
})
printTable(['policy', ...SIZES.map((size) => `${size}: ns a pick`), `${SIZES.at(-1)}: ms to make`], rows)
