/** DestinationRule: how a service's endpoints are used. istio/api networking/v1alpha3/destination_rule.proto */
import type { Static } from 'typebox'
import type { Resource } from './resource.ts'
import {
  anything,
  big,
  count,
  duration,
  fields,
  flag,
  type Frozen,
  integer,
  labels,
  list,
  map,
  number,
  optional,
  PolicySelectorSchema,
  text,
  texts,
  word,
} from './schema.ts'

const HTTPCookieSchema = fields({
  name: text,
  path: optional(text),
  ttl: optional(duration),
  attributes: optional(list(fields({ name: text, value: optional(text) }))),
})

const ConsistentHashLBSchema = fields({
  httpHeaderName: optional(text),
  httpCookie: optional(HTTPCookieSchema),
  useSourceIp: optional(flag),
  httpQueryParameterName: optional(text),
  ringHash: optional(fields({ minimumRingSize: optional(big) })),
  maglev: optional(fields({ tableSize: optional(big) })),
  minimumRingSize: optional(big),
})

export const LocalityLoadBalancerSettingSchema = fields({
  distribute: optional(list(fields({ from: optional(text), to: optional(map(count)) }))),
  failover: optional(list(fields({ from: optional(text), to: optional(text) }))),
  failoverPriority: optional(texts),
  enabled: optional(flag),
})

const LoadBalancerSettingsSchema = fields({
  simple: optional(word(['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST'])),
  consistentHash: optional(ConsistentHashLBSchema),
  localityLbSetting: optional(LocalityLoadBalancerSettingSchema),
  /** Exclusive with `localityLbSetting`; read, not acted upon. */
  zoneAwareLbSetting: optional(anything),
  warmupDurationSecs: optional(duration),
  warmup: optional(
    fields({ duration: optional(duration), minimumPercent: optional(number), aggression: optional(number) }),
  ),
})

const ConnectionPoolSettingsSchema = fields({
  tcp: optional(
    fields({
      maxConnections: optional(integer),
      connectTimeout: optional(duration),
      tcpKeepalive: optional(
        fields({ probes: optional(count), time: optional(duration), interval: optional(duration) }),
      ),
      maxConnectionDuration: optional(duration),
      idleTimeout: optional(duration),
    }),
  ),
  http: optional(
    fields({
      http1MaxPendingRequests: optional(integer),
      http2MaxRequests: optional(integer),
      maxRequestsPerConnection: optional(integer),
      maxRetries: optional(integer),
      idleTimeout: optional(duration),
      h2UpgradePolicy: optional(word(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'])),
      useClientProtocol: optional(flag),
      maxConcurrentStreams: optional(integer),
      http2KeepAlive: optional(fields({ interval: optional(duration), timeout: optional(duration) })),
    }),
  ),
})

const OutlierDetectionSchema = fields({
  consecutiveErrors: optional(integer),
  splitExternalLocalOriginErrors: optional(flag),
  consecutiveLocalOriginFailures: optional(count),
  consecutiveGatewayErrors: optional(count),
  consecutive5xxErrors: optional(count),
  interval: optional(duration),
  baseEjectionTime: optional(duration),
  maxEjectionPercent: optional(integer),
  minHealthPercent: optional(integer),
  outlierDetectionHttpErrorCodes: optional(list(count)),
})

const ClientTLSSettingsSchema = fields({
  mode: optional(word(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'])),
  clientCertificate: optional(text),
  privateKey: optional(text),
  caCertificates: optional(text),
  credentialName: optional(text),
  subjectAltNames: optional(texts),
  sni: optional(text),
  insecureSkipVerify: optional(flag),
  caCrl: optional(text),
})

const perPort = {
  loadBalancer: optional(LoadBalancerSettingsSchema),
  connectionPool: optional(ConnectionPoolSettingsSchema),
  outlierDetection: optional(OutlierDetectionSchema),
  tls: optional(ClientTLSSettingsSchema),
}

const PortTrafficPolicySchema = fields({
  port: optional(fields({ number: optional(count) })),
  ...perPort,
})

export const TrafficPolicySchema = fields({
  ...perPort,
  portLevelSettings: optional(list(PortTrafficPolicySchema)),
  tunnel: optional(fields({ protocol: optional(text), targetHost: text, targetPort: count })),
  proxyProtocol: optional(fields({ version: optional(word(['V1', 'V2'])) })),
  retryBudget: optional(fields({ percent: optional(number), minRetryConcurrency: optional(count) })),
})

const SubsetSchema = fields({
  name: text,
  labels: optional(labels),
  trafficPolicy: optional(TrafficPolicySchema),
})

export const DestinationRuleSpecSchema = fields({
  host: text,
  trafficPolicy: optional(TrafficPolicySchema),
  subsets: optional(list(SubsetSchema)),
  exportTo: optional(texts),
  workloadSelector: optional(PolicySelectorSchema),
})

export type HTTPCookie = Frozen<Static<typeof HTTPCookieSchema>>
export type ConsistentHashLB = Frozen<Static<typeof ConsistentHashLBSchema>>
export type LocalityLoadBalancerSetting = Frozen<Static<typeof LocalityLoadBalancerSettingSchema>>
export type LoadBalancerSettings = Frozen<Static<typeof LoadBalancerSettingsSchema>>
export type ConnectionPoolSettings = Frozen<Static<typeof ConnectionPoolSettingsSchema>>
export type OutlierDetection = Frozen<Static<typeof OutlierDetectionSchema>>
export type ClientTLSSettings = Frozen<Static<typeof ClientTLSSettingsSchema>>
export type PortTrafficPolicy = Frozen<Static<typeof PortTrafficPolicySchema>>
export type TrafficPolicy = Frozen<Static<typeof TrafficPolicySchema>>
export type Subset = Frozen<Static<typeof SubsetSchema>>
export type DestinationRuleSpec = Frozen<Static<typeof DestinationRuleSpecSchema>>
export type DestinationRule = Resource<'DestinationRule', DestinationRuleSpec>
