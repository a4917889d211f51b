/** What the compiler needs of the settings, in the shape of `compile/options.ts` (structurally: nothing is imported). */
import type { Settings } from './load.ts'
import { hasRedis } from './redis.ts'
import type { RetryPolicySetting } from './special.ts'

/** Where a policy is given it has its number of attempts: protobuf's default is 0, which is "no retries". */
export type RetryPolicyOption = RetryPolicySetting & { readonly attempts: number }

export function compileOptions(settings: Settings) {
  const { acme, mesh, upstream, downstream } = settings
  const { gatewayTopology, proxyHeaders } = mesh.defaultConfig
  const retry = mesh.defaultHttpRetryPolicy
  const defaultHttpRetryPolicy: RetryPolicyOption | null = retry === null ? null : { attempts: 0, ...retry }
  return {
    gateway: {
      namespace: settings.namespace,
      labels: settings.labels,
      locality: settings.locality ?? '',
      clusterDomain: settings.clusterDomain,
    },
    acme: {
      defaultIssuer: acme.defaultIssuer,
      issuers: Object.fromEntries(
        Object.entries(acme.issuers).map(([name, { challenges, dns }]) => [
          name,
          { wildcards: challenges.includes('dns-01') && (dns.server !== null || dns.hook !== null) },
        ]),
      ),
    },
    mesh: {
      rootNamespace: mesh.rootNamespace,
      trustDomain: mesh.trustDomain,
      trustDomainAliases: mesh.trustDomainAliases,
      defaultServiceExportTo: mesh.defaultServiceExportTo,
      defaultVirtualServiceExportTo: mesh.defaultVirtualServiceExportTo,
      defaultDestinationRuleExportTo: mesh.defaultDestinationRuleExportTo,
      defaultHttpRetryPolicy,
      h2UpgradePolicy: mesh.h2UpgradePolicy,
      outboundTrafficPolicy: mesh.outboundTrafficPolicy.mode,
      enableAutoMtls: mesh.enableAutoMtls,
      hasMeshIdentity: settings.identity.provider !== 'off',
      meshMTLS: mesh.meshMTLS,
      tlsDefaults: mesh.tlsDefaults,
      localityLbSetting: mesh.localityLbSetting,
      tcpKeepalive: mesh.tcpKeepalive,
      defaultTrafficPolicy: mesh.defaultTrafficPolicy,
      extensionProviders: mesh.extensionProviders,
      connectTimeoutMs: mesh.connectTimeout,
      httpIdleTimeoutMs: upstream.idleTimeout ?? 0,
      pathNormalization: mesh.pathNormalization.normalization,
      accessLogFile: mesh.accessLogFile,
      accessLogEncoding: mesh.accessLogEncoding,
      accessLogFormat: mesh.accessLogFormat,
      numTrustedProxies: gatewayTopology.numTrustedProxies,
      forwardClientCertDetails: gatewayTopology.forwardClientCertDetails,
      proxyHeaders,
      shadowHostSuffix: settings.shadowHostSuffix,
      http10: downstream.http10,
      requestBufferBytes: upstream.requestBufferBytes,
      hasRedis: hasRedis(settings.redis),
    },
    egress: settings.egress.listen,
  }
}
