/**
 * `loadBalancer` of a traffic policy: which endpoint a request goes to. Localities are in `locality.ts`.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_traffic_policy.go (`applyLoadBalancer`, `ApplyRingHashLoadBalancer`,
 * `setWarmup`), pilot/pkg/networking/core/route/route.go (`consistentHashToHashPolicy`); envoy: ring_hash.proto.
 */
import { durationMs } from '../../lib/duration.ts'
import type { ClusterPlan, ConsistentHashPlan, HashKey, LoadBalancerPlan, WarmupPlan } from '../../plan/cluster.ts'
import type { ConsistentHashLB, HTTPCookie, LoadBalancerSettings } from '../../resources/destination-rule.ts'

const SIMPLE: Readonly<Record<NonNullable<LoadBalancerSettings['simple']>, LoadBalancerPlan>> = {
  UNSPECIFIED: 'least-request',
  LEAST_REQUEST: 'least-request',
  LEAST_CONN: 'least-request',
  RANDOM: 'random',
  ROUND_ROBIN: 'round-robin',
  // Nothing to pass through to at a gateway.
  PASSTHROUGH: 'least-request',
}

const DEFAULT_RING_SIZE = 1024
/** Envoy's `maximum_ring_size`: what is asked for beyond it would only cost memory. */
const MAX_RING_SIZE = 8_388_608
const DEFAULT_TABLE_SIZE = 65_537
const DEFAULT_WARMUP_PERCENT = 10

export type Balancing = Pick<ClusterPlan, 'loadBalancer' | 'consistentHash' | 'warmup'>

export function compileLoadBalancer(settings: LoadBalancerSettings | undefined): Balancing {
  const { simple = 'UNSPECIFIED', consistentHash } = settings ?? {}
  if (consistentHash !== undefined) {
    // Where a request has no key, or none is configured, Envoy's hashing balancers draw the endpoint at random.
    const hash = compileConsistentHash(consistentHash)
    return { loadBalancer: 'random', ...(hash === undefined ? {} : { consistentHash: hash }) }
  }
  const loadBalancer = SIMPLE[simple]
  const warmup = loadBalancer === 'random' ? undefined : compileWarmup(settings ?? {})
  return { loadBalancer, ...(warmup === undefined ? {} : { warmup }) }
}

/** Undefined where nothing is hashed. */
function compileConsistentHash(hash: ConsistentHashLB): ConsistentHashPlan | undefined {
  const key = hashKey(hash)
  if (key === undefined) return undefined
  if (hash.maglev !== undefined) {
    return { key, algorithm: { kind: 'maglev', tableSize: hash.maglev.tableSize || DEFAULT_TABLE_SIZE } }
  }
  const size = hash.ringHash?.minimumRingSize || hash.minimumRingSize || DEFAULT_RING_SIZE
  return { key, algorithm: { kind: 'ring', minimumSize: Math.min(size, MAX_RING_SIZE) } }
}

function hashKey({ httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName }: ConsistentHashLB) {
  if (httpHeaderName) return { kind: 'header', name: httpHeaderName.toLowerCase() } satisfies HashKey
  if (httpCookie !== undefined) return cookieKey(httpCookie)
  if (useSourceIp === true) return { kind: 'source-ip' } satisfies HashKey
  if (httpQueryParameterName) return { kind: 'query', name: httpQueryParameterName } satisfies HashKey
  return undefined
}

function cookieKey({ name, path = '', ttl, attributes = [] }: HTTPCookie): HashKey {
  return {
    kind: 'cookie',
    name,
    path,
    ttlMs: ttl === undefined ? null : Math.max(0, durationMs(ttl)),
    attributes: attributes.map((attribute) => [attribute.name, attribute.value ?? '']),
  }
}

function compileWarmup({ warmup, warmupDurationSecs }: LoadBalancerSettings): WarmupPlan | undefined {
  const duration = warmup?.duration ?? warmupDurationSecs
  if (duration === undefined) return undefined
  return {
    durationMs: durationMs(duration),
    minimumFraction: (warmup?.minimumPercent ?? DEFAULT_WARMUP_PERCENT) / 100,
    aggression: warmup?.aggression ?? 1,
  }
}
