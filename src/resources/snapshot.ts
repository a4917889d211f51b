/**
 * All resources at one moment: immutable, each kind in Istio's order (`compareResources`). A resource that did not
 * change is the same object in the next snapshot, and a kind in which nothing changed is the same array.
 */
import type { AuthorizationPolicy } from './authorization-policy.ts'
import type { ConfigMap } from './config-map.ts'
import type { DestinationRule } from './destination-rule.ts'
import type { EndpointSlice } from './endpoint-slice.ts'
import type { Gateway } from './gateway.ts'
import type { Namespace } from './namespace.ts'
import type { PeerAuthentication } from './peer-authentication.ts'
import type { RateLimitPolicy } from './rate-limit-policy.ts'
import type { RequestAuthentication } from './request-authentication.ts'
import type { Metadata } from './resource.ts'
import type { Secret } from './secret.ts'
import type { ServiceEntry } from './service-entry.ts'
import type { Service } from './service.ts'
import type { Sidecar } from './sidecar.ts'
import type { Telemetry } from './telemetry.ts'
import type { VirtualService } from './virtual-service.ts'
import type { WorkloadEntry } from './workload-entry.ts'

export interface Snapshot {
  readonly gateways: readonly Gateway[]
  readonly virtualServices: readonly VirtualService[]
  readonly destinationRules: readonly DestinationRule[]
  readonly serviceEntries: readonly ServiceEntry[]
  readonly workloadEntries: readonly WorkloadEntry[]
  readonly sidecars: readonly Sidecar[]
  readonly services: readonly Service[]
  readonly endpointSlices: readonly EndpointSlice[]
  readonly secrets: readonly Secret[]
  readonly configMaps: readonly ConfigMap[]
  readonly namespaces: readonly Namespace[]
  readonly peerAuthentications: readonly PeerAuthentication[]
  readonly requestAuthentications: readonly RequestAuthentication[]
  readonly authorizationPolicies: readonly AuthorizationPolicy[]
  readonly telemetries: readonly Telemetry[]
  readonly rateLimitPolicies: readonly RateLimitPolicy[]
  /** In the order of kind, then `compareResources`. */
  readonly rejectedSecurityPolicies: readonly RejectedSecurityPolicy[]
}

/** A security policy that was refused and has no good version to fall back on: what it guards has to be closed. */
export interface RejectedSecurityPolicy {
  readonly kind: SecurityPolicyKind
  readonly metadata: Metadata
  /** Labels of the workloads that it is for, where they could be read; absent: all workloads of its namespace. */
  readonly matchLabels?: Readonly<Record<string, string>>
}

export type SecurityPolicyKind = 'PeerAuthentication' | 'RequestAuthentication' | 'AuthorizationPolicy'

/** The arrays of resources in a snapshot, by kind. */
export interface ResourcesByKind {
  readonly Gateway: Gateway
  readonly VirtualService: VirtualService
  readonly DestinationRule: DestinationRule
  readonly ServiceEntry: ServiceEntry
  readonly WorkloadEntry: WorkloadEntry
  readonly Sidecar: Sidecar
  readonly Service: Service
  readonly EndpointSlice: EndpointSlice
  readonly Secret: Secret
  readonly ConfigMap: ConfigMap
  readonly Namespace: Namespace
  readonly PeerAuthentication: PeerAuthentication
  readonly RequestAuthentication: RequestAuthentication
  readonly AuthorizationPolicy: AuthorizationPolicy
  readonly Telemetry: Telemetry
  readonly RateLimitPolicy: RateLimitPolicy
}

export type Kind = keyof ResourcesByKind
export type AnyResource = ResourcesByKind[Kind]

/** Where a snapshot holds each kind. */
export const SNAPSHOT_FIELD = {
  Gateway: 'gateways',
  VirtualService: 'virtualServices',
  DestinationRule: 'destinationRules',
  ServiceEntry: 'serviceEntries',
  WorkloadEntry: 'workloadEntries',
  Sidecar: 'sidecars',
  Service: 'services',
  EndpointSlice: 'endpointSlices',
  Secret: 'secrets',
  ConfigMap: 'configMaps',
  Namespace: 'namespaces',
  PeerAuthentication: 'peerAuthentications',
  RequestAuthentication: 'requestAuthentications',
  AuthorizationPolicy: 'authorizationPolicies',
  Telemetry: 'telemetries',
  RateLimitPolicy: 'rateLimitPolicies',
} as const satisfies Record<Kind, keyof Snapshot>

export const EMPTY_SNAPSHOT: Snapshot = {
  gateways: [],
  virtualServices: [],
  destinationRules: [],
  serviceEntries: [],
  workloadEntries: [],
  sidecars: [],
  services: [],
  endpointSlices: [],
  secrets: [],
  configMaps: [],
  namespaces: [],
  peerAuthentications: [],
  requestAuthentications: [],
  authorizationPolicies: [],
  telemetries: [],
  rateLimitPolicies: [],
  rejectedSecurityPolicies: [],
}
