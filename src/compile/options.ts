/**
 * What the compiler must know beside the resources: who this gateway is, and the mesh settings that shape a plan.
 * Field names are MeshConfig's and ProxyConfig's where Istio has one; times are milliseconds.
 *
 * Source: api: mesh/v1alpha1/config.proto and proxy.proto; istio: pkg/config/mesh/mesh.go for the defaults.
 */
import type { ForwardClientCertDetails } from '../plan/plan.ts'
import type { TLSProtocol } from '../resources/gateway.ts'
import type { HTTPRetry } from '../resources/virtual-service.ts'

export interface GatewayIdentity {
  /** Namespace of the gateway workload: where credentials, policies and `exportTo` are looked at from. */
  readonly namespace: string
  /** The workload's labels for selectors. Null: not known, and every Gateway is served whatever its selector. */
  readonly labels: Readonly<Record<string, string>> | null
  /** `region/zone/subzone` of where it runs; empty: as its labels say, if they do. */
  readonly locality: string
  /** Suffix of Kubernetes service names, `cluster.local` unless the cluster was set up differently. */
  readonly clusterDomain: string
}

/** Istio's TLSConfig of MeshConfig. */
export interface TlsDefaults {
  readonly minProtocolVersion: TLSProtocol
  /** Empty: none given. */
  readonly cipherSuites: readonly string[]
  readonly ecdhCurves: readonly string[]
}

export interface MeshOptions {
  readonly rootNamespace: string
  readonly trustDomain: string
  /** Identities in these are as good as those in `trustDomain`. */
  readonly trustDomainAliases: readonly string[]
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
  /** Takes the place of Istio's built-in two retries where a rule has no `retries`; null: the built-in ones. */
  readonly defaultHttpRetryPolicy: HTTPRetry | null
  readonly h2UpgradePolicy: 'DO_NOT_UPGRADE' | 'UPGRADE'
  readonly outboundTrafficPolicy: 'REGISTRY_ONLY' | 'ALLOW_ANY'
  readonly enableAutoMtls: boolean
  /** Whether this gateway is given a certificate of the mesh: without one it cannot speak the mesh's mutual TLS. */
  readonly hasMeshIdentity: boolean
  readonly meshMTLS: TlsDefaults & { readonly minProtocolVersion: 'TLS_AUTO' | 'TLSV1_2' | 'TLSV1_3' }
  /** Of Gateway servers outside the mesh (SIMPLE, MUTUAL, OPTIONAL_MUTUAL), where they do not say it themselves. */
  readonly tlsDefaults: TlsDefaults
  /** Istio's LocalityLoadBalancerSetting, unchecked; null: on, and empty. */
  readonly localityLbSetting: Readonly<Record<string, unknown>> | null
  /** Istio's TcpKeepalive, unchecked; null: no probes. */
  readonly tcpKeepalive: Readonly<Record<string, unknown>> | null
  /** Istio's TrafficPolicy, unchecked, of which connectionPool and outlierDetection count; null: neither. */
  readonly defaultTrafficPolicy: Readonly<Record<string, unknown>> | null
  /** Istio's ExtensionProviders, unchecked, of which external authorizers count. */
  readonly extensionProviders: readonly Readonly<Record<string, unknown>>[]
  readonly connectTimeoutMs: number
  /** Pooled HTTP connections without a request, where no DestinationRule says otherwise; 0: kept for ever. */
  readonly httpIdleTimeoutMs: number
  readonly pathNormalization: 'DEFAULT' | 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'
  /** Empty: no access log. */
  readonly accessLogFile: string
  readonly accessLogEncoding: 'TEXT' | 'JSON'
  /** Empty: Istio's default format. */
  readonly accessLogFormat: string
  /** `gatewayTopology.numTrustedProxies`. */
  readonly numTrustedProxies: number
  /** `gatewayTopology.forwardClientCertDetails`; `UNDEFINED` is a gateway's default, `SANITIZE_SET`. */
  readonly forwardClientCertDetails: ForwardClientCertDetails | 'UNDEFINED'
  readonly proxyHeaders: {
    /** An empty value is Istio's `istio-envoy`; disabled lets the upstream's header pass. */
    readonly server: { readonly disabled: boolean; readonly value: string }
    readonly envoyDebugHeaders: { readonly disabled: boolean }
    readonly attemptCount: { readonly disabled: boolean }
    readonly requestId: { readonly disabled: boolean }
    readonly xForwardedHost: { readonly enabled: boolean }
    readonly xForwardedPort: { readonly enabled: boolean }
    readonly preserveHttp1HeaderCase: boolean
  }
  /** The opposite of `DISABLE_SHADOW_HOST_SUFFIX`. */
  readonly shadowHostSuffix: boolean
  /** `PILOT_HTTP10`. */
  readonly http10: boolean
  /** Bytes of a request's body that are kept for retries and mirrors (Envoy's listener buffer limit). */
  readonly requestBufferBytes: number
  /** Whether gateways share a Redis: without it every rate limit is `local`. */
  readonly hasRedis: boolean
}

/** The explicit forward proxy. */
export interface EgressOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** Authorities that certificates can be ordered from (`acme:` of the settings). */
export interface AcmeOptions {
  /** By name. */
  readonly issuers: Readonly<Record<string, { readonly wildcards: boolean }>>
  /** For Gateways that name none; null: those get no certificate. */
  readonly defaultIssuer: string | null
}

export interface CompileOptions {
  readonly gateway: GatewayIdentity
  readonly acme: AcmeOptions
  readonly mesh: MeshOptions
  /** Null: there is none. */
  readonly egress: EgressOptions | null
}

/** Istio's defaults, for a gateway in `istio-system` whose labels are not known. */
export function defaultCompileOptions(): CompileOptions {
  return {
    gateway: { namespace: 'istio-system', labels: null, locality: '', clusterDomain: 'cluster.local' },
    acme: { issuers: {}, defaultIssuer: null },
    mesh: {
      rootNamespace: 'istio-system',
      trustDomain: 'cluster.local',
      trustDomainAliases: [],
      defaultServiceExportTo: ['*'],
      defaultVirtualServiceExportTo: ['*'],
      defaultDestinationRuleExportTo: ['*'],
      defaultHttpRetryPolicy: null,
      h2UpgradePolicy: 'DO_NOT_UPGRADE',
      outboundTrafficPolicy: 'REGISTRY_ONLY',
      enableAutoMtls: true,
      hasMeshIdentity: false,
      meshMTLS: { minProtocolVersion: 'TLS_AUTO', cipherSuites: [], ecdhCurves: [] },
      tlsDefaults: { minProtocolVersion: 'TLS_AUTO', cipherSuites: [], ecdhCurves: [] },
      localityLbSetting: null,
      tcpKeepalive: null,
      defaultTrafficPolicy: null,
      extensionProviders: [],
      connectTimeoutMs: 10_000,
      httpIdleTimeoutMs: 3_600_000,
      pathNormalization: 'DEFAULT',
      accessLogFile: '',
      accessLogEncoding: 'TEXT',
      accessLogFormat: '',
      numTrustedProxies: 0,
      forwardClientCertDetails: 'SANITIZE_SET',
      proxyHeaders: {
        server: { disabled: false, value: '' },
        envoyDebugHeaders: { disabled: false },
        attemptCount: { disabled: false },
        requestId: { disabled: false },
        xForwardedHost: { enabled: false },
        xForwardedPort: { enabled: false },
        preserveHttp1HeaderCase: false,
      },
      shadowHostSuffix: false,
      http10: false,
      requestBufferBytes: 1_048_576,
      hasRedis: false,
    },
    egress: null,
  }
}
