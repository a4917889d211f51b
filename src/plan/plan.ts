/**
 * The plan: everything that the data plane needs to serve, as plain JSON-serialisable data with nothing left to look
 * up. Left of it the code knows Istio and no sockets, right of it sockets and no Istio.
 */
import type { AcmeCertificatePlan } from './acme.ts'
import type { ClusterPlan } from './cluster.ts'
import type { EgressHostPlan, EgressPlan } from './egress.ts'
import type { CertificatePlan, ListenerPlan } from './listener.ts'
import type { PoliciesPlan } from './policy.ts'
import type { Origin } from './problem.ts'
import type { RateLimitPolicyPlan } from './rate-limit.ts'
import type { RouteTablePlan } from './route.ts'

export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'

/** What becomes of `x-forwarded-client-cert`, by MeshConfig's names. */
export type ForwardClientCertDetails =
  'SANITIZE' | 'FORWARD_ONLY' | 'APPEND_FORWARD' | 'SANITIZE_SET' | 'ALWAYS_FORWARD_ONLY'

export interface AccessLogPlan {
  /** `/dev/stdout`, `/dev/stderr` or a path. */
  readonly file: string
  readonly encoding: 'TEXT' | 'JSON'
  /** MeshConfig `accessLogFormat`: a line for TEXT, a JSON object for JSON; absent: Istio's default. */
  readonly format?: string
}

/** Settings that hold for every listener. */
export interface MeshPlan {
  readonly accessLog: AccessLogPlan | null
  readonly pathNormalization: PathNormalization
  /** `gatewayTopology.numTrustedProxies`. */
  readonly trustedProxies: number
  readonly forwardClientCertDetails: ForwardClientCertDetails
  /** Value of the `server` response header; null: the upstream's passes through. */
  readonly serverHeader: string | null
  /** False: `x-envoy-upstream-service-time` and other x-envoy headers are not sent. */
  readonly envoyDebugHeaders: boolean
  /** Upstreams are told the number of the try. */
  readonly attemptCountHeader: boolean
  /** False: no request gets an id, and a client's own stays. */
  readonly requestIdHeader: boolean
  /** `x-forwarded-host` gets the Host that a rewrite replaced. */
  readonly forwardedHostHeader: boolean
  /** `x-forwarded-port` is the local port; behind trusted proxies only where they do not say. */
  readonly forwardedPortHeader: boolean
  /** Header names of HTTP/1.1 pass as they were written, in both directions. */
  readonly preserveHeaderCase: boolean
  /** True: mirrored requests carry Envoy's `-shadow` suffix in their Host. Istio's default is false. */
  readonly shadowHostSuffix: boolean
  /** Accept HTTP/1.0 requests (Istio: `PILOT_HTTP10`); otherwise they are 426. */
  readonly http10: boolean
  /** Body bytes kept of a request so that it can be sent again or mirrored; more: no retry, no mirror. */
  readonly requestBufferBytes: number
  /**
   * Security policies that are not understood. While there is one every request that it could guard, which is
   * every request of this gateway, is refused with 403: a policy that is not understood is never no policy.
   */
  readonly closedBy: readonly Origin[]
}

export interface Plan {
  readonly mesh: MeshPlan
  readonly policies: PoliciesPlan
  /** By `NAMESPACE/NAME`. Routes name those that are for them. */
  readonly rateLimits: Readonly<Record<string, RateLimitPolicyPlan>>
  readonly listeners: Readonly<Record<string, ListenerPlan>>
  readonly routeTables: Readonly<Record<string, RouteTablePlan>>
  readonly clusters: Readonly<Record<string, ClusterPlan>>
  readonly certificates: Readonly<Record<string, CertificatePlan>>
  /** The explicit forward proxy; null: there is none. */
  readonly egress: EgressPlan | null
  /** What it lets through, by host. */
  readonly egressHosts: Readonly<Record<string, EgressHostPlan>>
  /** Certificates that have to be ordered and renewed, by name; absent: none. No worker is told of them. */
  readonly acme?: Readonly<Record<string, AcmeCertificatePlan>>
}
