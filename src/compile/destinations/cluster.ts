/**
 * One cluster.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_builder.go (`buildCluster`), cluster_traffic_policy.go
 * (`applyTrafficPolicy`, `applyConnectionPool`, `shouldH2Upgrade`), cluster_tls.go.
 */
import { durationMs } from '../../lib/duration.ts'
import type { ClusterPlan, Discovery, LoadBalancerPlan, TransportPlan } from '../../plan/cluster.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ConnectionPoolSettings, LoadBalancerSettings } from '../../resources/destination-rule.ts'
import { problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import { type MeshService, type ServiceEndpoint, type ServicePort, TLS_MODE_LABEL } from '../services/service.ts'
import { type Labels, selects } from '../workload.ts'
import type { MergedRule } from './destination-rules.ts'
import { notEnforced } from './not-enforced.ts'
import { type EffectivePolicy, effectivePolicy } from './traffic-policy.ts'

export interface ClusterParts {
  readonly service: MeshService
  readonly port: ServicePort
  /** Empty, or the name of a subset that `rule` has. */
  readonly subset: string
  readonly rule: MergedRule | undefined
  readonly options: CompileOptions
}

const LOAD_BALANCERS: Readonly<Record<NonNullable<LoadBalancerSettings['simple']>, LoadBalancerPlan>> = {
  UNSPECIFIED: 'least-request',
  LEAST_REQUEST: 'least-request',
  LEAST_CONN: 'least-request',
  RANDOM: 'random',
  ROUND_ROBIN: 'round-robin',
  // Nothing to pass through to at a gateway.
  PASSTHROUGH: 'least-request',
}

export function compileCluster(parts: ClusterParts): { plan: ClusterPlan; problems: Problem[] } {
  const { service, port, subset, rule, options } = parts
  const policy = effectivePolicy(rule, port.number, subset)
  const pool = policy.connectionPool?.value
  const endpoints = endpointsOf(service, port, rule?.subsets.get(subset)?.value.labels)
  const problems = (rule?.rules ?? []).flatMap(notEnforced)
  return {
    plan: {
      name: `outbound|${port.number}|${subset}|${service.host}`,
      host: service.host,
      port: port.number,
      subset,
      service: { name: service.name, namespace: service.namespace },
      discovery: discover(service, endpoints),
      loadBalancer: LOAD_BALANCERS[policy.loadBalancer?.value.simple ?? 'UNSPECIFIED'],
      protocol: usesHttp2(port, pool, options) ? 'http2' : 'http1',
      transport: compileTransport(policy, problems) ?? compileAutoMtls(service, endpoints, options, problems),
      connectTimeoutMs: milliseconds(pool?.tcp?.connectTimeout) || options.mesh.connectTimeoutMs,
      idleTimeoutMs: idleTimeout(pool, options),
      maxRequestsPerConnection: pool?.http?.maxRequestsPerConnection ?? 0,
    },
    problems,
  }
}

function endpointsOf(service: MeshService, port: ServicePort, labels: Labels | undefined): readonly ServiceEndpoint[] {
  const all = service.endpoints.get(port.number) ?? []
  return labels === undefined ? all : all.filter((endpoint) => selects(labels, endpoint.labels))
}

function discover({ resolution }: MeshService, endpoints: readonly ServiceEndpoint[]): Discovery {
  switch (resolution) {
    case 'static':
      return { kind: 'static', endpoints: endpoints.map(withoutEmptyLabels) }
    case 'dns':
    case 'dns-round-robin': {
      const targets = endpoints.map((endpoint) => {
        const { address, ...rest } = withoutEmptyLabels(endpoint)
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

function withoutEmptyLabels({
  labels,
  ...rest
}: ServiceEndpoint): Omit<ServiceEndpoint, 'labels'> & { labels?: Labels } {
  return Object.keys(labels).length === 0 ? rest : { ...rest, labels }
}

/** A rule's word counts for any port; the mesh's default for HTTP ports, which is what routes send to. */
function usesHttp2(
  { http2 }: ServicePort,
  pool: ConnectionPoolSettings | undefined,
  { mesh }: CompileOptions,
): boolean {
  const asked = pool?.http?.h2UpgradePolicy ?? 'DEFAULT'
  return http2 || (asked === 'DEFAULT' ? mesh.h2UpgradePolicy : asked) === 'UPGRADE'
}

/** `http.idleTimeout`, else TCP's, else the mesh's; 0 switches it off. */
function idleTimeout(pool: ConnectionPoolSettings | undefined, { mesh }: CompileOptions): number | null {
  const text = pool?.http?.idleTimeout ?? pool?.tcp?.idleTimeout
  const timeout = text === undefined ? mesh.httpIdleTimeoutMs : durationMs(text)
  return timeout > 0 ? timeout : null
}

function milliseconds(text: string | undefined): number {
  return text === undefined ? 0 : durationMs(text)
}

/** What a `tls` block asks for; undefined where there is none. */
function compileTransport({ tls }: EffectivePolicy, problems: Problem[]): TransportPlan | undefined {
  if (tls === undefined) return undefined
  const mode = tls.value.mode ?? 'DISABLE'
  if (mode === 'DISABLE') return { kind: 'plaintext' }
  problems.push(
    problem('error', tls.rule, tls.pointer, {
      code: 'destination-rule/tls-unsupported',
      message: `tls mode ${mode} is not served by this version: requests to this destination are refused, never sent in plain text`,
    }),
  )
  return { kind: 'unsupported', reason: `tls mode ${mode}` }
}

/** Without a `tls` block Istio uses its own mTLS to the endpoints that are known to take it. */
function compileAutoMtls(
  { external, origin, host }: MeshService,
  endpoints: readonly ServiceEndpoint[],
  { mesh }: CompileOptions,
  problems: Problem[],
): TransportPlan {
  const takesMtls = endpoints.some(({ labels }) => labels[TLS_MODE_LABEL] === 'istio')
  if (takesMtls && !external && mesh.enableAutoMtls) {
    problems.push({
      code: 'service/mtls-unsupported',
      severity: 'warning',
      origin,
      message: `endpoints of ${host} take Istio's mTLS, which this version does not speak: requests go to them in plain text`,
      remedy: 'They answer unless their PeerAuthentication is STRICT.',
    })
  }
  return { kind: 'plaintext' }
}
