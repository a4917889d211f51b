/**
 * Where clients have been let through to: a cluster each, made when somebody first goes there. Ten thousand listed hosts
 * cost nothing until they are used, and the names of those that are used are resolved in the background from then on.
 *
 * Bound: `maxDestinations`; past it the one that was used longest ago is given up, with its names and its idle
 * connections. What is in flight on it finishes.
 */
import { type BlockList, isIP } from 'node:net'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { EgressPortPlan } from '../plan/egress.ts'
import type { CompiledRoute } from '../routing/compiled-route.ts'
import { Cluster, type ClusterDeps } from '../upstreams/cluster.ts'
import type { ClusterStats } from '../upstreams/cluster-set.ts'
import { statsOf } from '../upstreams/cluster-set.ts'
import type { AllowedPort } from './allowlist.ts'
import type { Goal } from './decision.ts'
import { guardedResolve, type GuardOutcome, judgeAddress } from './guard.ts'
import { createThrottle, type Throttle } from './throttle.ts'
import type { ViaProxy } from './via.ts'

export interface DestinationLimits {
  readonly maxDestinations: number
  /** One that nobody has gone to for so long is given up, in ms. */
  readonly idleMs: number
}

export interface DestinationsOptions {
  readonly limits: DestinationLimits
  readonly clusters: ClusterDeps
  /** Whether an address is one of this machine's. */
  readonly isOwn: (address: string) => boolean
  /** What forwards HTTP to a cluster by its name. */
  readonly compileRoute: (cluster: string, entry: AllowedPort | null) => CompiledRoute
  /** For `ALLOW_ANY`: what a cluster that nothing lists is like. */
  readonly connectTimeoutMs: number
  /** The proxy that a host is reached through; null: none. */
  readonly via: (host: string) => ViaProxy | null
}

/** A tunnel that stands, as far as its destination is concerned. */
export interface OpenTunnel {
  /** The list no longer has its destination. */
  revoke(): void
}

export interface Destination {
  readonly key: string
  readonly goal: Goal
  /** Null: nothing lists it (`ALLOW_ANY`). */
  readonly entry: AllowedPort | null
  readonly cluster: Cluster
  readonly route: CompiledRoute
  /** Its endpoints are those of this proxy, which resolves the name; null: it is reached directly. */
  readonly via: ViaProxy | null
  readonly tunnels: Set<OpenTunnel>
  /** Null: no limit. */
  readonly throttle: Throttle | null
  /** By name: what its last answer was, where that was not good. */
  readonly troubles: ReadonlyMap<string, GuardOutcome>
}

interface Entry extends Destination {
  entry: AllowedPort | null
  readonly troubles: Map<string, GuardOutcome>
  throttle: Throttle | null
  usedAt: number
}

/** How often connections are looked at, as for all other clusters. */
const SWEEP_MS = 250

export class Destinations {
  readonly #options: DestinationsOptions
  /** In the order of use, the latest last. */
  readonly #entries = new Map<string, Entry>()
  readonly #sweeper: NodeJS.Timeout

  constructor(options: DestinationsOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => {
      this.#sweep(performance.now())
    }, SWEEP_MS)
    this.#sweeper.unref()
  }

  get size(): number {
    return this.#entries.size
  }

  /** The cluster of a destination by its key, for the forwarder. */
  cluster(key: string): Cluster | undefined {
    return this.#entries.get(key)?.cluster
  }

  of(goal: Goal, entry: AllowedPort | null): Destination {
    const key = destinationKey(goal, entry)
    const known = this.#entries.get(key)
    if (known !== undefined) {
      this.#entries.delete(key)
      this.#entries.set(key, known)
      known.usedAt = performance.now()
      return known
    }
    const made = this.#make(key, goal, entry)
    this.#entries.set(key, made)
    if (this.#entries.size > this.#options.limits.maxDestinations) this.#dropOldest()
    return made
  }

  /**
   * Brings destinations in step with a changed list.
   *
   * @param find The list's present entry for what a destination was made for; null: it is no longer there.
   */
  refresh(find: (destination: Destination) => AllowedPort | 'any' | null): void {
    for (const entry of this.#entries.values()) {
      const found = find(entry)
      const now = found === 'any' ? null : found
      if (found === null || destinationKey(entry.goal, now) !== entry.key || pinChanged(entry.entry, now)) {
        this.#drop(entry)
        for (const tunnel of entry.tunnels) if (found === null) tunnel.revoke()
      } else if (now !== null && now.port !== entry.entry?.port) {
        const before = entry.entry?.port
        entry.entry = now
        const plan = clusterPlan(entry.key, entry.goal, now.port)
        entry.cluster.update(entry.via === null ? plan : viaPlan(plan, entry.via))
        if (before?.bytesPerSecond !== now.port.bytesPerSecond) entry.throttle = throttleOf(now)
      }
    }
  }

  stats(): ClusterStats[] {
    return [...this.#entries.values()].map(({ cluster }) => statsOf(cluster))
  }

  close(): void {
    clearInterval(this.#sweeper)
    // A map may lose entries while they are walked over.
    for (const entry of this.#entries.values()) this.#drop(entry)
  }

  #make(key: string, goal: Goal, entry: AllowedPort | null): Entry {
    const { clusters, isOwn, connectTimeoutMs, compileRoute } = this.#options
    const plan = entry === null ? anyPlan(key, goal, connectTimeoutMs) : clusterPlan(key, goal, entry.port)
    const allowed: BlockList | null = entry?.host.addresses ?? null
    const troubles = new Map<string, GuardOutcome>()
    const guard = { allowed, isOwn }
    const resolve = guardedResolve(clusters.resolve, guard, (hostname, outcome) => {
      if (outcome.kind === 'good') troubles.delete(hostname)
      else troubles.set(hostname, outcome)
    })
    const via = this.#options.via(goal.host)
    let used = via === null ? plan : viaPlan(plan, via)
    let lookUp = via === null ? resolve : clusters.resolve
    // Where the client names an address there is nothing to resolve, and the address itself is judged.
    if (goal.kind === 'address' && (entry === null || isElsewhere(entry.port))) {
      const found = judgeAddress(goal.host, guard)
      if (found !== null) {
        troubles.set(goal.host, { kind: 'private', address: goal.host, class: found })
        used = { ...plan, discovery: { kind: 'static', endpoints: [] } }
        lookUp = resolve
      }
    }
    return {
      key,
      goal,
      entry,
      cluster: new Cluster(used, { ...clusters, resolve: lookUp }),
      route: compileRoute(key, entry),
      via,
      tunnels: new Set(),
      throttle: entry === null ? null : throttleOf(entry),
      troubles,
      usedAt: performance.now(),
    }
  }

  #dropOldest(): void {
    for (const entry of this.#entries.values()) {
      this.#drop(entry)
      return
    }
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.key)
    entry.cluster.close()
  }

  #sweep(now: number): void {
    for (const entry of this.#entries.values()) {
      entry.cluster.sweep(now)
      if (entry.tunnels.size === 0 && now - entry.usedAt >= this.#options.limits.idleMs) this.#drop(entry)
    }
  }
}

/**
 * Destinations with the same key share connections. One whose endpoints the ServiceEntry gives is the same whatever
 * name below a wildcard it was asked for by; one that is resolved is another one for each name.
 */
function destinationKey(goal: Goal, entry: AllowedPort | null): string {
  const at = `${goal.host}:${goal.port}`
  if (entry === null) return `any ${at}`
  const { name } = entry.port.cluster
  return isElsewhere(entry.port) ? `${name} ${at}` : name
}

/** What is reached is what the client asks for, and no endpoints of the ServiceEntry. */
function isElsewhere({ cluster }: EgressPortPlan): boolean {
  return cluster.discovery.kind === 'original-destination'
}

/** Addresses that the guard lets through are of the entry that a destination was made with. */
function pinChanged(before: AllowedPort | null, now: AllowedPort | null): boolean {
  return JSON.stringify(before?.host.plan.addresses) !== JSON.stringify(now?.host.plan.addresses)
}

/** The cluster as it is dialled; its name is the destination's key, by which the forwarder finds it. */
function clusterPlan(key: string, goal: Goal, { cluster }: EgressPortPlan): ClusterPlan {
  if (cluster.discovery.kind !== 'original-destination') return { ...cluster, name: key }
  return { ...cluster, name: key, discovery: discoveryOf(goal) }
}

/** TLS that the gateway begins by itself would have to go through a tunnel of the other proxy: that is not made. */
function viaPlan(plan: ClusterPlan, { host, port }: ViaProxy): ClusterPlan {
  const kind = isIP(host) === 0 ? 'name' : 'address'
  return {
    ...plan,
    discovery: discoveryOf({ kind, host, port }),
    transport:
      plan.transport.kind === 'plaintext'
        ? plan.transport
        : { kind: 'unsupported', reason: 'TLS cannot be originated through another proxy' },
  }
}

function discoveryOf({ kind, host, port }: Goal): ClusterPlan['discovery'] {
  return kind === 'address'
    ? { kind: 'static', endpoints: [{ address: host, port, weight: 1 }] }
    : { kind: 'dns', mode: 'strict', targets: [{ hostname: host, port, weight: 1 }] }
}

/** Istio's name for what passes without being listed. */
export const PASSTHROUGH = 'PassthroughCluster'

/** A pooled connection to what nobody listed is not kept for long. */
const ANY_IDLE_MS = 60_000

function anyPlan(key: string, goal: Goal, connectTimeoutMs: number): ClusterPlan {
  return {
    name: key,
    // Clients choose the host: as a label it would have no bound.
    host: PASSTHROUGH,
    port: goal.port,
    subset: '',
    service: { name: PASSTHROUGH, namespace: 'unknown' },
    discovery: discoveryOf(goal),
    loadBalancer: 'least-request',
    protocol: 'http1',
    transport: { kind: 'plaintext' },
    connectTimeoutMs,
    idleTimeoutMs: ANY_IDLE_MS,
    maxRequestsPerConnection: 0,
  }
}

function throttleOf({ port: { bytesPerSecond } }: AllowedPort): Throttle | null {
  return bytesPerSecond === undefined ? null : createThrottle(bytesPerSecond, () => performance.now())
}
