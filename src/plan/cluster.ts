/** Clusters of the plan: one upstream service port (and subset), its endpoints and how to talk to them. */

/** One address of a cluster. */
export interface EndpointPlan {
  /** IP address, or an absolute path after `unix://`. */
  readonly address: string
  readonly port: number
  /** Relative share; at least 1. */
  readonly weight: number
  /** `region/zone/subzone`, as far as it is known. */
  readonly locality?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** A name that is resolved at run time; every field but the host is as for an endpoint. */
export interface DnsTargetPlan {
  readonly hostname: string
  readonly port: number
  readonly weight: number
  readonly locality?: string
  readonly labels?: Readonly<Record<string, string>>
}

export type Discovery =
  | { readonly kind: 'static'; readonly endpoints: readonly EndpointPlan[] }
  /** `strict`: every address of the answer is an endpoint. `logical`: the first one, for new connections. */
  | { readonly kind: 'dns'; readonly mode: 'strict' | 'logical'; readonly targets: readonly DnsTargetPlan[] }
  /** ServiceEntry `resolution: NONE`: nothing to balance over at a gateway, so every request is 503 `UH`. */
  | { readonly kind: 'original-destination' }

export type LoadBalancerPlan = 'least-request' | 'round-robin' | 'random'

export type TransportPlan =
  | { readonly kind: 'plaintext' }
  /** The policy asks for a transport that this build cannot give: requests are refused, never sent in the clear. */
  | { readonly kind: 'unsupported'; readonly reason: string }

export interface ClusterPlan {
  /** `outbound|PORT|SUBSET|HOST` */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly subset: string
  /** For metrics' destination_service_name and _namespace: `unknown` where nothing tells. */
  readonly service: { readonly name: string; readonly namespace: string }
  readonly discovery: Discovery
  readonly loadBalancer: LoadBalancerPlan
  readonly protocol: 'http1' | 'http2'
  readonly transport: TransportPlan
  /** TCP connect, and TLS handshake where there is one. */
  readonly connectTimeoutMs: number
  /** A pooled connection without a request is closed after this long; null: never. */
  readonly idleTimeoutMs: number | null
  /** 0: no limit. 1: no connection is used twice. */
  readonly maxRequestsPerConnection: number
}
