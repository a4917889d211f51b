/**
 * The `mesh:` part of `sluice.yaml`: Istio's MeshConfig by its own names, so that an existing mesh configuration can be
 * brought along as it is. Fields that mean something to a gateway are read; the others are known by name, so that a
 * typing error is told apart from a field that only sidecars or istiod need.
 *
 * Sources: istio/api mesh/v1alpha1/config.proto and proxy.proto; defaults from istio pkg/config/mesh/mesh.go.
 */
import { choice, duration, durationOrOff, flag, group, message, messages, text, texts, whole } from './fields.ts'
import { retryPolicy } from './special.ts'

/** Known and accepted, but nothing reads it yet. */
const later = { served: false } as const

const gatewayTopology = group('What stands in front of this gateway.', {
  numTrustedProxies: whole(
    'How many proxies in front of this gateway are trusted to write `x-forwarded-for`. The client address is the one that many places from the right; 0 takes the address of the connection.',
    0,
    { least: 0, most: 255 },
  ),
  forwardClientCertDetails: choice(
    "What becomes of `x-forwarded-client-cert`. From clients with a certificate: `SANITIZE` removes it, `SANITIZE_SET` replaces it by that certificate's element, `APPEND_FORWARD` appends the element, `FORWARD_ONLY` leaves it as it is. From all other clients every value but `ALWAYS_FORWARD_ONLY`, which leaves it as it is, removes it.",
    ['UNDEFINED', 'SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'],
    'SANITIZE_SET',
  ),
  proxyProtocol: message(
    'Given (`{}`): every connection has to begin with a PROXY protocol header, version 1 or 2; see `downstream.proxyProtocol` for single ports and sources.',
  ),
})

const proxyHeaders = group(
  'Headers that the gateway adds of its own accord.',
  {
    server: group('The `server` header of responses.', {
      disabled: flag("Leaves the upstream's own `server` header as it is.", false),
      value: text('The value of the header.', 'istio-envoy'),
    }),
    envoyDebugHeaders: group('`x-envoy-upstream-service-time` and other `x-envoy-` headers of responses.', {
      disabled: flag('Leaves them out.', false),
    }),
    attemptCount: group('`x-envoy-attempt-count` on requests to upstreams.', {
      disabled: flag('Leaves it out.', false),
    }),
    requestId: group('`x-request-id` on requests to upstreams.', {
      disabled: flag("Makes none; a client's own then stays.", false),
    }),
    xForwardedHost: group('`x-forwarded-host` on requests whose host is rewritten.', {
      enabled: flag('Adds the host before the rewrite.', false),
    }),
    xForwardedPort: group('`x-forwarded-port` on requests to upstreams.', {
      enabled: flag(
        'Adds the local port that the client connected to. Behind trusted proxies what they say stays.',
        false,
      ),
    }),
    preserveHttp1HeaderCase: flag(
      'Keeps the letter case of header names between HTTP/1.1 clients and upstreams, in both directions. Headers of the gateway itself are in lower case.',
      false,
    ),
  },
  { tolerant: true, unused: ['forwardedClientCert', 'setCurrentClientCertDetails', 'metadataExchangeHeaders'] },
)

const defaultConfig = group(
  "Istio's ProxyConfig: how one gateway runs.",
  {
    gatewayTopology,
    proxyHeaders,
    drainDuration: duration(
      'After SIGTERM, and for listeners that a new plan takes away: how long requests in flight may take to finish.',
      45_000,
      '45s',
      { ms: 1000, text: '1s' },
    ),
    terminationDrainDuration: durationOrOff(
      'Istio ends a proxy this long after SIGTERM whatever still runs. Here `drainDuration` bounds that.',
      { ms: 5000, text: '5s' },
      later,
    ),
    concurrency: whole('Worker processes, where `workers` is not given; 0 is one a core.', 0, { least: 0, most: 256 }),
  },
  {
    tolerant: true,
    unused: [
      'configPath',
      'binaryPath',
      'serviceCluster',
      'tracingServiceName',
      'parentShutdownDuration',
      'discoveryAddress',
      'discoveryRefreshDelay',
      'zipkinAddress',
      'statsdUdpAddress',
      'envoyMetricsServiceAddress',
      'proxyAdminPort',
      'availabilityZone',
      'controlPlaneAuthPolicy',
      'customConfigFile',
      'statNameLength',
      'proxyBootstrapTemplatePath',
      'interceptionMode',
      'tracing',
      'sds',
      'envoyAccessLogService',
      'envoyMetricsService',
      'proxyMetadata',
      'runtimeValues',
      'statusPort',
      'extraStatTags',
      'meshId',
      'readinessProbe',
      'proxyStatsMatcher',
      'holdApplicationUntilProxyStarts',
      'caCertificatesPem',
      'image',
      'privateKeyProvider',
      'statsCompression',
      'connectionSettings',
      'fileFlushInterval',
      'fileFlushMinSizeKb',
    ],
  },
)

export const meshSchema = group(
  "Istio's MeshConfig, by its own field names. A field that no one knows is a warning.",
  {
    accessLogFile: text('Where access log lines go: `/dev/stdout`, `/dev/stderr` or a file; empty is off.', ''),
    accessLogEncoding: choice('How an access log line is written.', ['TEXT', 'JSON'], 'TEXT'),
    accessLogFormat: text(
      "A line of Envoy's command operators for `TEXT`, an object of them as JSON text for `JSON`; empty is Istio's default format.",
      '',
    ),
    rootNamespace: text('The namespace whose policies and rules hold for all namespaces.', 'istio-system'),
    trustDomain: text('The trust domain of identities in the mesh.', 'cluster.local'),
    trustDomainAliases: texts('Other names of the trust domain: an upstream may have an identity in any of them.', []),
    pathNormalization: group('How paths are normalised before they are matched and sent on.', {
      normalization: choice(
        '`BASE` resolves dot segments and back-slashes, `MERGE_SLASHES` joins slashes too, `DECODE_AND_MERGE_SLASHES` first decodes `%2F` and `%5C`. `DEFAULT` is `BASE`.',
        ['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'],
        'DEFAULT',
      ),
    }),
    connectTimeout: duration(
      'How long connecting to an upstream may take, where its DestinationRule does not say.',
      10_000,
      '10s',
      { ms: 1, text: '1ms' },
    ),
    defaultHttpRetryPolicy: retryPolicy(
      "The `retries` of rules that have none of their own, as an HTTPRetry. Without it Istio's default holds: 2 attempts when connecting failed or the upstream refused.",
    ),
    h2UpgradePolicy: choice(
      'Whether upstreams are talked to with HTTP/2 where nothing says so.',
      ['DO_NOT_UPGRADE', 'UPGRADE'],
      'DO_NOT_UPGRADE',
    ),
    outboundTrafficPolicy: group('What becomes of requests to hosts that no ServiceEntry lists.', {
      mode: choice(
        "For the explicit egress proxy. Istio's own default is `ALLOW_ANY`; an egress proxy that lets everything through would be none.",
        ['REGISTRY_ONLY', 'ALLOW_ANY'],
        'REGISTRY_ONLY',
      ),
    }),
    defaultServiceExportTo: texts('`exportTo` of ServiceEntries and Services that have none.', ['*']),
    defaultVirtualServiceExportTo: texts('`exportTo` of VirtualServices that have none.', ['*']),
    defaultDestinationRuleExportTo: texts('`exportTo` of DestinationRules that have none.', ['*']),
    enableAutoMtls: flag('Uses mutual TLS to upstreams that have a sidecar.', true),
    dnsRefreshRate: duration(
      'How often the name of an upstream is looked up again where the answer has no time to live, and at the longest after a failure.',
      60_000,
      '60s',
      { ms: 100, text: '100ms' },
    ),
    localityLbSetting: message(
      'Distribution and failover between localities, as in a DestinationRule, where the DestinationRule has none. Not set, it is on: nearer endpoints first, where there is `outlierDetection` and localities are known.',
    ),
    extensionProviders: messages(
      'External authorizers by name, for AuthorizationPolicies with the action `CUSTOM`: `envoyExtAuthzHttp` and `envoyExtAuthzGrpc` with all their fields. Tracers and loggers are accepted and have no effect yet.',
    ),
    tlsDefaults: group('TLS of Gateway servers outside the mesh that do not say it themselves.', {
      minProtocolVersion: choice(
        'Least TLS version; `TLS_AUTO` is TLS 1.2.',
        ['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'],
        'TLS_AUTO',
      ),
      cipherSuites: texts("Cipher suites of TLS 1.2 and below, by OpenSSL's names; empty is OpenSSL's choice.", []),
      ecdhCurves: texts(
        "Curves, the preferred first: `P-256`, `P-384`, `P-521`, `X25519`, `X25519MLKEM768`; empty is OpenSSL's choice.",
        [],
      ),
    }),
    meshMTLS: group('TLS inside the mesh.', {
      minProtocolVersion: choice(
        'Least TLS version of mutual TLS in the mesh, to upstreams and of `ISTIO_MUTUAL` servers; `TLS_AUTO` is TLS 1.2.',
        ['TLS_AUTO', 'TLSV1_2', 'TLSV1_3'],
        'TLS_AUTO',
      ),
      cipherSuites: texts('Cipher suites of `ISTIO_MUTUAL` servers.', []),
      ecdhCurves: texts('Curves of `ISTIO_MUTUAL` servers.', []),
    }),
    tcpKeepalive: message(
      'TCP keep-alive probes on upstream connections (`probes`, `time`, `interval`); fields of a DestinationRule take the place of these.',
    ),
    defaultTrafficPolicy: message(
      '`connectionPool` and `outlierDetection` of upstreams whose DestinationRule does not give that block, or that have none.',
    ),
    enableTracing: flag('Generates spans.', true, later),
    defaultProviders: message('Which extension providers hold where a Telemetry names none.', later),
    defaultConfig,
  },
  {
    tolerant: true,
    unused: [
      'ingressService',
      'ingressSelector',
      'ingressClass',
      'ingressControllerMode',
      'enableEnvoyAccessLogService',
      'disableEnvoyListenerLog',
      'inboundTrafficPolicy',
      'configSources',
      'caCertificates',
      'ca',
      'certificates',
      'inboundClusterStatName',
      'outboundClusterStatName',
      'enablePrometheusMerge',
      'verifyCertificateAtClient',
      'discoverySelectors',
      'protocolDetectionTimeout',
      'proxyListenPort',
      'proxyInboundListenPort',
      'proxyHttpPort',
      'serviceSettings',
      'thriftConfig',
      'serviceScopeConfigs',
      'hboneIdleTimeout',
    ],
  },
)
