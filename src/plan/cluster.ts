/** Clusters of the plan: one upstream service port (and subset), its endpoints and how to talk to them. */

/** One address of a cluster. */
export interface EndpointPlan {
  /** IP address, or an absolute path after `unix://`. */
  readonly address: string
  readonly port: number
  /** Relative share; at least 1, and a fraction where a locality's share is divided among its endpoints. */
  readonly weight: number
  /** `region/zone/subzone`, as far as it is known; `/zone` where Kubernetes told the zone alone. */
  readonly locality?: string
  /** 0 is used first, the next ones as the health of those before falls (locality failover). Absent: 0. */
  readonly priority?: number
  readonly labels?: Readonly<Record<string, string>>
}

/** A name that is resolved at run time; every field but the host is as for an endpoint. */
export interface DnsTargetPlan {
  readonly hostname: string
  readonly port: number
  readonly weight: number
  readonly locality?: string
  readonly priority?: number
  readonly labels?: Readonly<Record<string, string>>
}

export type Discovery =
  | { readonly kind: 'static'; readonly endpoints: readonly EndpointPlan[] }
  /** `strict`: every address of the answer is an endpoint. `logical`: the first one, for new connections. */
  | { readonly kind: 'dns'; readonly mode: 'strict' | 'logical'; readonly targets: readonly DnsTargetPlan[] }
  /** ServiceEntry `resolution: NONE`: nothing to balance over at a gateway, so every request is 503 `UH`. */
  | { readonly kind: 'original-destination' }

export type LoadBalancerPlan = 'least-request' | 'round-robin' | 'random'

/** What a request is hashed by, so that the same value goes to the same endpoint. */
export type HashKey =
  | { readonly kind: 'header'; readonly name: string }
  | {
      readonly kind: 'cookie'
      readonly name: string
      /** Empty: the cookie is set without a path. */
      readonly path: string
      /** Null: a missing cookie is not set, and the request goes anywhere. 0: a session cookie. */
      readonly ttlMs: number | null
      /** More attributes of a cookie that is set, in order; an empty value is an attribute without one. */
      readonly attributes: readonly (readonly [name: string, value: string])[]
    }
  /** The trusted client address. */
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query'; readonly name: string }

/**
 * `consistentHash`. It takes the place of `loadBalancer` for requests that have the key; the others go anywhere, so
 * `loadBalancer` is then `random`.
 */
export interface ConsistentHashPlan {
  readonly key: HashKey
  readonly algorithm:
    | { readonly kind: 'ring'; readonly minimumSize: number }
    /** A prime below 5000011. */
    | { readonly kind: 'maglev'; readonly tableSize: number }
}

/** A new endpoint starts at a part of its weight and grows into all of it. */
export interface WarmupPlan {
  readonly durationMs: number
  /** 0 to 1. */
  readonly minimumFraction: number
  readonly aggression: number
}

/** When an endpoint that fails is left out for a while. 0 switches a count off. */
export interface OutlierDetectionPlan {
  readonly consecutive5xx: number
  readonly consecutiveGatewayErrors: number
  /** Connection failures, resets and timeouts are counted by themselves instead of as 5xx. */
  readonly splitLocalOrigin: boolean
  readonly consecutiveLocalOriginFailures: number
  readonly intervalMs: number
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  /** Share of the endpoints that may be ejected at a time, 0 to 1. */
  readonly maxEjectionFraction: number
  /** Below this share of healthy endpoints all are used again; 0: never. */
  readonly minHealthFraction: number
  /** Statuses that count as errors instead of 500 to 599. */
  readonly errorStatuses?: readonly number[]
}

/** Limits of one worker on one cluster; absent: none. Past them a request is answered 503 `UO` at once. */
export interface CircuitBreakersPlan {
  readonly maxConnections?: number
  /** Requests that wait for a connection. */
  readonly maxPendingRequests?: number
  readonly maxRequests?: number
  /** Retries at a time. */
  readonly maxRetries?: number
  /** In place of `maxRetries`: retries ≤ max(minConcurrency, fraction of the requests in flight). */
  readonly retryBudget?: { readonly fraction: number; readonly minConcurrency: number }
}

/** Where trust in a peer's certificate comes from. */
export type TrustPlan =
  | { readonly kind: 'system' }
  /** PEM bundle in a file, read again when it changes. */
  | { readonly kind: 'file'; readonly path: string; readonly crlPath?: string }
  /** An entry of `Plan.certificates`. */
  | { readonly kind: 'certificate'; readonly name: string }
  | { readonly kind: 'mesh' }
  /** `insecureSkipVerify` */
  | { readonly kind: 'none' }

/** The certificate that is presented. */
export type ClientCertificatePlan =
  | { readonly kind: 'file'; readonly certificatePath: string; readonly keyPath: string }
  | { readonly kind: 'certificate'; readonly name: string }
  | { readonly kind: 'mesh' }

export interface TlsTransport {
  readonly mode: 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL'
  /** Null: the Host of the request as it goes upstream, without its port. */
  readonly sni: string | null
  readonly trust: TrustPlan
  /**
   * Any one of them must be in the certificate, exactly; SPIFFE URIs too. Empty: where `sni` is null the Host must be
   * in it, else the chain alone counts.
   */
  readonly subjectAltNames: readonly string[]
  readonly clientCertificate: ClientCertificatePlan | null
  /** Offered in this order. */
  readonly alpn: readonly string[]
  /** In place of it for the requests of HTTP/2 clients, where a cluster speaks what its clients do. */
  readonly http2Alpn?: readonly string[]
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

export type TransportPlan =
  | { readonly kind: 'plaintext' }
  | { readonly kind: 'tls'; readonly tls: TlsTransport }
  /** Mesh mTLS to endpoints whose labels say that they take it, plain text to the others. */
  | { readonly kind: 'auto-mtls'; readonly tls: TlsTransport }
  /** The policy asks for a transport that this build cannot give: requests are refused, never sent in the clear. */
  | { readonly kind: 'unsupported'; readonly reason: string }

/** A connection whose peer does not answer a PING in time is closed. */
export interface Http2KeepalivePlan {
  readonly intervalMs: number
  readonly timeoutMs: number
}

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
  /** `client`: as the client of each request. */
  readonly protocol: 'http1' | 'http2' | 'client'
  readonly transport: TransportPlan
  /** TCP connect, and TLS handshake where there is one. */
  readonly connectTimeoutMs: number
  /** A pooled connection without a request is closed after this long; null: never. */
  readonly idleTimeoutMs: number | null
  /** The same for TCP that is passed on, where it differs. */
  readonly tcpIdleTimeoutMs?: number | null
  /** Streams of an HTTP/2 connection at a time, if its endpoint allows as many; absent: that alone decides. */
  readonly maxConcurrentStreams?: number
  /** Absent: HTTP/2 connections are not pinged. */
  readonly http2Keepalive?: Http2KeepalivePlan
  /** 0: no limit. 1: no connection is used twice. */
  readonly maxRequestsPerConnection: number
  /** A connection is not used again after this long. */
  readonly maxConnectionDurationMs?: number
  /** Time without traffic before the kernel probes a connection, in ms; absent: it does not. */
  readonly tcpKeepaliveMs?: number
  /** Time between such probes, and how many may go unanswered; both are there where `tcpKeepaliveMs` is. */
  readonly tcpKeepaliveIntervalMs?: number
  readonly tcpKeepaliveProbes?: number
  readonly consistentHash?: ConsistentHashPlan
  readonly warmup?: WarmupPlan
  readonly outlierDetection?: OutlierDetectionPlan
  readonly circuitBreakers?: CircuitBreakersPlan
}
