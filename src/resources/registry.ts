/** Which kinds there are: their groups and versions, their schemas, and the rules beyond those. */
import type { TSchema } from 'typebox'
import { nearest } from '../lib/nearest.ts'
import type { Problem } from '../plan/problem.ts'
import { validateAuthorizationPolicy } from './authorization-policy-rules.ts'
import { AuthorizationPolicySpecSchema } from './authorization-policy.ts'
import { ConfigMapSpecSchema } from './config-map.ts'
import { validateDestinationRule } from './destination-rule-rules.ts'
import { DestinationRuleSpecSchema } from './destination-rule.ts'
import { EndpointSliceSpecSchema } from './endpoint-slice.ts'
import { GatewaySpecSchema, validateGateway } from './gateway.ts'
import { NamespaceSpecSchema } from './namespace.ts'
import { PeerAuthenticationSpecSchema, validatePeerAuthentication } from './peer-authentication.ts'
import { RateLimitPolicySpecSchema, validateRateLimitPolicy } from './rate-limit-policy.ts'
import { RequestAuthenticationSpecSchema, validateRequestAuthentication } from './request-authentication.ts'
import { normaliseSecret, type RawSecretSpec, SecretSpecSchema, validateSecret } from './secret.ts'
import { ServiceEntrySpecSchema, validateServiceEntry } from './service-entry.ts'
import { ServiceSpecSchema } from './service.ts'
import { SidecarSpecSchema, validateSidecar } from './sidecar.ts'
import type { Kind, ResourcesByKind } from './snapshot.ts'
import { TelemetrySpecSchema, validateTelemetry } from './telemetry.ts'
import { validateVirtualService } from './virtual-service-rules.ts'
import { VirtualServiceSpecSchema } from './virtual-service.ts'
import { validateWorkloadEntry, WorkloadEntrySpecSchema } from './workload-entry.ts'

export interface KindEntry<Name extends Kind = Kind> {
  readonly kind: Name
  /** Empty for Kubernetes' core group. */
  readonly group: string
  readonly versions: readonly string[]
  /** Namespace is in no namespace. */
  readonly namespaced: boolean
  /** `root`: what other kinds have in `spec` stands beside `metadata`. */
  readonly body: 'spec' | 'root'
  /** Of the body, as users write it. */
  readonly schema: TSchema
  /** From what fits the schema to what the resource holds, where these differ. */
  readonly normalise?: (body: never) => ResourcesByKind[Name]['spec']
  readonly validate: (resource: ResourcesByKind[Name]) => Problem[]
}

const NETWORKING = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  body: 'spec',
} as const
const SECURITY = { group: 'security.istio.io', versions: ['v1', 'v1beta1'], namespaced: true, body: 'spec' } as const
const CORE = { group: '', versions: ['v1'], namespaced: true } as const

function nothingMore(): Problem[] {
  return []
}

export const KINDS: { readonly [Name in Kind]: KindEntry<Name> } = {
  Gateway: { kind: 'Gateway', ...NETWORKING, schema: GatewaySpecSchema, validate: validateGateway },
  VirtualService: {
    kind: 'VirtualService',
    ...NETWORKING,
    schema: VirtualServiceSpecSchema,
    validate: validateVirtualService,
  },
  DestinationRule: {
    kind: 'DestinationRule',
    ...NETWORKING,
    schema: DestinationRuleSpecSchema,
    validate: validateDestinationRule,
  },
  ServiceEntry: { kind: 'ServiceEntry', ...NETWORKING, schema: ServiceEntrySpecSchema, validate: validateServiceEntry },
  WorkloadEntry: {
    kind: 'WorkloadEntry',
    ...NETWORKING,
    schema: WorkloadEntrySpecSchema,
    validate: validateWorkloadEntry,
  },
  Sidecar: { kind: 'Sidecar', ...NETWORKING, schema: SidecarSpecSchema, validate: validateSidecar },
  PeerAuthentication: {
    kind: 'PeerAuthentication',
    ...SECURITY,
    schema: PeerAuthenticationSpecSchema,
    validate: validatePeerAuthentication,
  },
  RequestAuthentication: {
    kind: 'RequestAuthentication',
    ...SECURITY,
    schema: RequestAuthenticationSpecSchema,
    validate: validateRequestAuthentication,
  },
  AuthorizationPolicy: {
    kind: 'AuthorizationPolicy',
    ...SECURITY,
    schema: AuthorizationPolicySpecSchema,
    validate: validateAuthorizationPolicy,
  },
  Telemetry: {
    kind: 'Telemetry',
    group: 'telemetry.istio.io',
    versions: ['v1', 'v1alpha1'],
    namespaced: true,
    body: 'spec',
    schema: TelemetrySpecSchema,
    validate: validateTelemetry,
  },
  RateLimitPolicy: {
    kind: 'RateLimitPolicy',
    group: 'sluice.dev',
    versions: ['v1alpha1'],
    namespaced: true,
    body: 'spec',
    schema: RateLimitPolicySpecSchema,
    validate: validateRateLimitPolicy,
  },
  Service: { kind: 'Service', ...CORE, body: 'spec', schema: ServiceSpecSchema, validate: nothingMore },
  EndpointSlice: {
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    versions: ['v1'],
    namespaced: true,
    body: 'root',
    schema: EndpointSliceSpecSchema,
    validate: nothingMore,
  },
  Secret: {
    kind: 'Secret',
    ...CORE,
    body: 'root',
    schema: SecretSpecSchema,
    normalise: (body: RawSecretSpec) => normaliseSecret(body),
    validate: validateSecret,
  },
  ConfigMap: { kind: 'ConfigMap', ...CORE, body: 'root', schema: ConfigMapSpecSchema, validate: nothingMore },
  Namespace: {
    kind: 'Namespace',
    ...CORE,
    namespaced: false,
    body: 'spec',
    schema: NamespaceSpecSchema,
    validate: nothingMore,
  },
}

/** Istio's kinds that have no effect here, whatever group they are in. */
const WITHOUT_EFFECT: readonly string[] = [
  'EnvoyFilter',
  'WasmPlugin',
  'ExtensionFilter',
  'TrafficExtension',
  'ProxyConfig',
  'WorkloadGroup',
  'IstioOperator',
]

export type KindLookup =
  | { readonly status: 'served'; readonly entry: KindEntry }
  /** A kind of Istio that has no effect here. */
  | { readonly status: 'without-effect' }
  /** Nothing to do with a gateway: a Deployment, say. */
  | { readonly status: 'ignored' }
  | { readonly status: 'unknown-version'; readonly group: string; readonly versions: readonly string[] }
  | { readonly status: 'unknown-kind'; readonly suggestion?: string }

/** @param apiVersion `group/version`, or `v1` for Kubernetes' core group. */
export function lookUpKind(apiVersion: string, kind: string): KindLookup {
  const slash = apiVersion.lastIndexOf('/')
  const [group, version] = slash === -1 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
  const entry = Object.hasOwn(KINDS, kind) ? (KINDS[kind as Kind] as KindEntry) : undefined
  if (entry !== undefined && entry.group === group) {
    return entry.versions.includes(version)
      ? { status: 'served', entry }
      : { status: 'unknown-version', group, versions: entry.versions }
  }
  if (!isOwnGroup(group)) return { status: 'ignored' }
  if (WITHOUT_EFFECT.includes(kind)) return { status: 'without-effect' }
  if (entry !== undefined && isOwnGroup(entry.group)) {
    return { status: 'unknown-kind', suggestion: `${kind} is in ${entry.group}/${entry.versions[0]}` }
  }
  const known = Object.values(KINDS).filter((candidate) => candidate.group === group)
  const meant = nearest(
    kind,
    known.map((candidate) => candidate.kind),
  )
  return { status: 'unknown-kind', ...(meant === undefined ? {} : { suggestion: `Did you mean ${meant}?` }) }
}

function isOwnGroup(group: string): boolean {
  return group.endsWith('istio.io') || group === 'sluice.dev'
}
