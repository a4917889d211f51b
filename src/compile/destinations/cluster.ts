/**
 * One cluster.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_builder.go (`buildCluster`), cluster_traffic_policy.go
 * (`applyTrafficPolicy`, `shouldH2Upgrade`).
 */
import type { ClusterPlan, Discovery, EndpointPlan } from '../../plan/cluster.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ConnectionPoolSettings, LoadBalancerSettings } from '../../resources/destination-rule.ts'
import { problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import { type MeshService, type ServiceEndpoint, type ServicePort, TLS_MODE_LABEL } from '../services/service.ts'
import { type Labels, selects } from '../workload.ts'
import { compileConnectionPool } from './connection-pool.ts'
import type { CredentialReference } from './credentials.ts'
import type { MergedRule, Piece } from './destination-rules.ts'
import { compileLoadBalancer } from './load-balancer.ts'
import { needsLocality, type Place, placeEndpoints, type PlacedEndpoint } from './locality.ts'
import type { MeshDefaults } from './mesh-defaults.ts'
import { notEnforced } from './not-enforced.ts'
import { compileOutlierDetection } from './outlier-detection.ts'
import type { PeerMtls } from './peer-mtls.ts'
import { effectivePolicy } from './traffic-policy.ts'
import { compileTransport } from './transport.ts'

export interface ClusterParts {
  readonly service: MeshService
  readonly port: ServicePort
  /** Empty, or the name of a subset that `rule` has. */
  readonly subset: string
  readonly rule: MergedRule | undefined
}

/** What all clusters are compiled with. */
export interface DestinationContext {
  readonly options: CompileOptions
  readonly defaults: MeshDefaults
  /** Where the gateway itself is. */
  readonly place: Place
  readonly peers: PeerMtls
}

export interface CompiledCluster {
  readonly plan: ClusterPlan
  readonly credentials: readonly CredentialReference[]
  readonly problems: readonly Problem[]
}

export function compileCluster(parts: ClusterParts, context: DestinationContext): CompiledCluster {
  const { service, port, subset, rule } = parts
  const { options, defaults, place, peers } = context
  const policy = effectivePolicy(rule, port.number, subset)
  const pool = policy.connectionPool?.value ?? defaults.trafficPolicy.connectionPool
  const outlier = policy.outlierDetection?.value ?? defaults.trafficPolicy.outlierDetection
  const locality = policy.loadBalancer?.value.localityLbSetting ?? defaults.localityLbSetting
  const selected = endpointsOf(service, port, rule?.subsets.get(subset)?.value.labels)
  const endpoints = selected.map((endpoint) => withoutMtls(endpoint, service.namespace, peers))
  const protocol = protocolOf(port, pool, options)
  const transport = compileTransport({
    service,
    port: port.number,
    subset,
    protocol,
    tls: policy.tls,
    endpoints,
    peers,
    options,
  })
  return {
    plan: {
      name: `outbound|${port.number}|${subset}|${service.host}`,
      host: service.host,
      port: port.number,
      subset,
      service: { name: service.name, namespace: service.namespace },
      discovery: discover(service, placeEndpoints(endpoints, locality, outlier !== undefined, place)),
      ...compileLoadBalancer(policy.loadBalancer?.value),
      protocol,
      transport: transport.plan,
      ...compileConnectionPool(pool, policy.retryBudget?.value, options.mesh, defaults.tcpKeepalive),
      ...(outlier === undefined ? {} : { outlierDetection: compileOutlierDetection(outlier) }),
    },
    credentials: transport.credentials,
    problems: [
      ...(rule?.rules ?? []).flatMap(notEnforced),
      ...transport.problems,
      ...nowhere(policy.loadBalancer, place),
    ],
  }
}

function endpointsOf(service: MeshService, port: ServicePort, labels: Labels | undefined): readonly ServiceEndpoint[] {
  const all = service.endpoints.get(port.number) ?? []
  return labels === undefined ? all : all.filter((endpoint) => selects(labels, endpoint.labels))
}

/** An endpoint whose PeerAuthentication switches mutual TLS off loses the mark that it takes it. */
function withoutMtls(endpoint: ServiceEndpoint, namespace: string, peers: PeerMtls): ServiceEndpoint {
  const { labels, port } = endpoint
  if (labels[TLS_MODE_LABEL] !== 'istio' || !peers.isOffAt(namespace, labels, port)) return endpoint
  return { ...endpoint, labels: { ...labels, [TLS_MODE_LABEL]: 'disabled' } }
}

function discover({ resolution }: MeshService, endpoints: readonly PlacedEndpoint[]): Discovery {
  switch (resolution) {
    case 'static':
      return { kind: 'static', endpoints: endpoints.map(toPlan) }
    case 'dns':
    case 'dns-round-robin': {
      const targets = endpoints.map((endpoint) => {
        const { address, ...rest } = toPlan(endpoint)
        return { hostname: address, ...rest }
      })
      return { kind: 'dns', mode: resolution === 'dns' ? 'strict' : 'logical', targets }
    }
    case 'none':
      return { kind: 'original-destination' }
    default:
      return resolution satisfies never
  }
}

function toPlan({ labels, network: _network, serviceAccount: _account, ...rest }: PlacedEndpoint): EndpointPlan {
  return Object.keys(labels).length === 0 ? rest : { ...rest, labels }
}

/**
 * A rule's word counts for any port; the mesh's default for HTTP ports, which is what routes send to. With
 * `useClientProtocol` neither that nor the port's protocol counts.
 */
function protocolOf(
  { http2 }: ServicePort,
  pool: ConnectionPoolSettings | undefined,
  { mesh }: CompileOptions,
): ClusterPlan['protocol'] {
  const { useClientProtocol = false, h2UpgradePolicy: asked = 'DEFAULT' } = pool?.http ?? {}
  if (useClientProtocol) return 'client'
  return http2 || (asked === 'DEFAULT' ? mesh.h2UpgradePolicy : asked) === 'UPGRADE' ? 'http2' : 'http1'
}

/** A rule that goes by localities says nothing to a gateway that does not know its own. */
function nowhere(loadBalancer: Piece<LoadBalancerSettings> | undefined, { locality }: Place): Problem[] {
  const setting = loadBalancer?.value.localityLbSetting
  if (loadBalancer === undefined || setting === undefined || locality.region !== '' || !needsLocality(setting))
    return []
  return [
    problem('warning', loadBalancer.rule, `${loadBalancer.pointer}/localityLbSetting`, {
      code: 'destination-rule/locality-unknown',
      message: 'it is not known where this gateway is, so what depends on its locality has no effect',
      remedy: "Set locality, or give the gateway the labels of its node's region and zone.",
    }),
  ]
}
