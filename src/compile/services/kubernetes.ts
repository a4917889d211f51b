/**
 * Kubernetes Services and their EndpointSlices as services. Labels and accounts of pods are not known here, so only
 * endpoints that come from WorkloadEntries have any.
 *
 * Source: istio: pilot/pkg/serviceregistry/kube/controller (endpointslice.go), pkg/kube/inject and
 * pkg/config/kube/conversion.go (`ConvertProtocol`).
 */
import type { EndpointSlice } from '../../resources/endpoint-slice.ts'
import type { Service, ServicePort as KubernetesPort } from '../../resources/service.ts'
import type { WorkloadEntry } from '../../resources/workload-entry.ts'
import { originOf } from '../findings.ts'
import { selects } from '../workload.ts'
import { describeWorkload, type MeshService, type ServiceEndpoint } from './service.ts'

/** Names a slice's service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

const HTTP2_APP_PROTOCOLS: readonly string[] = ['http2', 'grpc', 'grpc-web', 'kubernetes.io/h2c']
const HTTP2_NAMES: readonly string[] = ['http2', 'grpc', 'grpc-web']

/** Protocols that a port name may begin with (followed by `-` or nothing). */
const NAMED_PROTOCOLS: readonly string[] = [
  ...HTTP2_NAMES,
  'http',
  'https',
  'tls',
  'tcp',
  'udp',
  'mongo',
  'mysql',
  'redis',
]

/** The protocol that the port's name declares by Istio's convention, `NAME` or `NAME-suffix`; undefined: none. */
export function protocolOfName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (lower === 'grpc-web' || lower.startsWith('grpc-web-')) return 'grpc-web'
  const [prefix = ''] = lower.split('-')
  return NAMED_PROTOCOLS.find((protocol) => protocol === prefix)
}

function isHttp2({ name, appProtocol }: KubernetesPort): boolean {
  if (appProtocol !== undefined) return HTTP2_APP_PROTOCOLS.includes(appProtocol.toLowerCase())
  return HTTP2_NAMES.includes(protocolOfName(name ?? '') ?? '')
}

/**
 * @param slices Those of this service.
 * @param workloads WorkloadEntries of its namespace that its selector picks.
 */
export function serviceOfKubernetes(
  service: Service,
  slices: readonly EndpointSlice[],
  workloads: readonly WorkloadEntry[],
  clusterDomain: string,
): MeshService {
  const { metadata, spec } = service
  const ports = spec.ports ?? []
  const isAlias = spec.type === 'ExternalName' && spec.externalName !== undefined
  const endpointsOf = (port: KubernetesPort) =>
    isAlias
      ? [{ address: spec.externalName!.toLowerCase(), port: port.port, weight: 1, labels: {} }]
      : [...sliceEndpoints(service, slices, port), ...workloadEndpoints(workloads, port)]
  return {
    host: `${metadata.name}.${metadata.namespace}.svc.${clusterDomain}`,
    name: metadata.name,
    namespace: metadata.namespace,
    external: isAlias,
    resolution: isAlias ? 'dns' : 'static',
    subjectAltNames: [],
    origin: originOf(service),
    entries: [],
    ports: ports.map((port) => ({
      number: port.port,
      name: port.name ?? '',
      protocol: (port.appProtocol ?? protocolOfName(port.name ?? '') ?? '').toUpperCase(),
      http2: isHttp2(port),
    })),
    endpoints: new Map(ports.map((port) => [port.port, endpointsOf(port)])),
  }
}

/** WorkloadEntries of the service's namespace that its selector picks; a service without a selector picks none. */
export function workloadsOfService(
  { spec: { selector } }: Service,
  ofNamespace: readonly WorkloadEntry[],
): readonly WorkloadEntry[] {
  if (selector === undefined || Object.keys(selector).length === 0) return []
  return ofNamespace.filter(({ spec }) => selects(selector, spec.labels))
}

function sliceEndpoints(service: Service, slices: readonly EndpointSlice[], port: KubernetesPort): ServiceEndpoint[] {
  const family = addressFamily(slices)
  return slices.flatMap(({ spec }) => {
    const number = slicePort(service, spec.ports ?? [], port)
    if (number === undefined || (spec.addressType ?? 'IPv4') !== family) return []
    return (spec.endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses, zone }) => {
        // A slice tells the zone; the region is known to the nodes alone.
        const place = zone ? { locality: `/${zone}` } : {}
        return addresses.map((address) => ({ address, port: number, weight: 1, ...place, labels: {} }))
      })
  })
}

/**
 * A dual-stack service has one slice for each family with the same pods in both. One family is used, or each pod would
 * count twice: IPv4 where there is any.
 */
function addressFamily(slices: readonly EndpointSlice[]): string {
  const families = slices.map(({ spec }) => spec.addressType ?? 'IPv4')
  return families.includes('IPv4') ? 'IPv4' : 'IPv6'
}

/** Ports of a slice carry the service port's name. Where each side has one port only, a missing name does no harm. */
function slicePort(
  service: Service,
  slicePorts: readonly { readonly name?: string; readonly port?: number }[],
  port: KubernetesPort,
): number | undefined {
  const named = slicePorts.find(({ name }) => (name ?? '') === (port.name ?? ''))
  if (named !== undefined) return named.port
  return slicePorts.length === 1 && service.spec.ports?.length === 1 ? slicePorts[0]?.port : undefined
}

function workloadEndpoints(workloads: readonly WorkloadEntry[], port: KubernetesPort): ServiceEndpoint[] {
  const target = typeof port.targetPort === 'number' ? port.targetPort : port.port
  return workloads.flatMap(({ spec }) => {
    const { address, ports } = spec
    if (!address) return []
    const byTarget = typeof port.targetPort === 'string' ? ports?.[port.targetPort] : undefined
    return [
      {
        address,
        port: ports?.[port.name ?? ''] ?? byTarget ?? target,
        ...describeWorkload(spec),
      },
    ]
  })
}
