/**
 * The explicit forward proxy of the plan: what may be reached, and by whom. Hosts are parts of their own, so that a
 * change of one of ten thousand costs one.
 */
import type { ClusterPlan } from './cluster.ts'
import type { Origin } from './problem.ts'

export type OutboundMode = 'REGISTRY_ONLY' | 'ALLOW_ANY'

/** What a Sidecar makes of the list for its workloads. */
export interface EgressScopePlan {
  /** The Sidecar. */
  readonly origin: Origin
  /** Null: it does not say, and what holds for the whole gateway holds. */
  readonly mode: OutboundMode | null
  /** What its workloads may reach of the list; null: it has no `egress`, and takes nothing away. */
  readonly allow: readonly EgressScopeEntryPlan[] | null
  /** Taken out of `allow`. */
  readonly except: readonly EgressScopeEntryPlan[]
}

export interface EgressScopeEntryPlan {
  /** Of the ServiceEntry; `*`: any. */
  readonly namespace: string
  /** Name, `*.suffix` or `*`. */
  readonly host: string
  /** Null: every port. */
  readonly port: number | null
}

/** Workloads whose addresses are known. */
export interface EgressClientPlan {
  /** IP addresses. */
  readonly addresses: readonly string[]
  readonly namespace: string
  /** Of their own namespace; null: no Sidecar is for them. It narrows what the gateway's own scope leaves. */
  readonly scope: EgressScopePlan | null
}

export interface EgressPlan {
  /** `outboundTrafficPolicy` of the mesh. */
  readonly mode: OutboundMode
  /** The Sidecar of the gateway itself; null: there is none. */
  readonly scope: EgressScopePlan | null
  readonly clients: readonly EgressClientPlan[]
}

/** What the bytes of a port have to look like. `http`: HTTP/1.1 in plain text. */
export type EgressProtocol = 'http' | 'http2' | 'tls' | 'tcp'

export interface EgressPortPlan {
  readonly number: number
  readonly protocol: EgressProtocol
  /** The ServiceEntry that lists it. */
  readonly origin: Origin
  /** Its endpoints are addresses that the ServiceEntry itself gives (`resolution: STATIC`). */
  readonly pinned: boolean
  readonly cluster: ClusterPlan
  /** Bytes a second in each direction that one worker lets through to this destination; absent: no limit. */
  readonly bytesPerSecond?: number
}

/** A host that ServiceEntries list. */
export interface EgressHostPlan {
  /** Lower-case name or `*.suffix`. */
  readonly host: string
  readonly namespace: string
  /** Addresses and blocks that the ServiceEntries list for it: clients may name these instead of the host. */
  readonly addresses: readonly string[]
  /** Namespaces that may use it; absent: all. */
  readonly exportTo?: readonly string[]
  readonly ports: readonly EgressPortPlan[]
}
