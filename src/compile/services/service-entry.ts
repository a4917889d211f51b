/**
 * ServiceEntries as services: one for each of their hosts.
 *
 * Source: istio: pilot/pkg/serviceregistry/serviceentry/conversion.go.
 */
import { isIP } from 'node:net'
import type { ServiceEntry, ServiceEntryPort } from '../../resources/service-entry.ts'
import type { WorkloadEntry, WorkloadEntrySpec } from '../../resources/workload-entry.ts'
import { originOf } from '../findings.ts'
import { selects } from '../workload.ts'
import {
  describeWorkload,
  type MeshService,
  type Resolution,
  type ServiceEndpoint,
  type ServicePort,
} from './service.ts'

const HTTP2_PROTOCOLS: readonly string[] = ['HTTP2', 'GRPC', 'GRPC-WEB']

const RESOLUTIONS: Readonly<Record<string, Resolution>> = {
  NONE: 'none',
  STATIC: 'static',
  DNS: 'dns',
  DNS_ROUND_ROBIN: 'dns-round-robin',
  // Resolved for each request by its host, as the explicit egress proxy does with what has no endpoints of its own.
  DYNAMIC_DNS: 'none',
}

/** WorkloadEntries that the entry's `workloadSelector` picks; they are of its own namespace. */
export function selectedWorkloads(
  { spec: { workloadSelector } }: ServiceEntry,
  ofNamespace: readonly WorkloadEntry[],
): readonly WorkloadEntry[] {
  if (workloadSelector === undefined) return []
  return ofNamespace.filter(({ spec }) => selects(workloadSelector.labels, spec.labels))
}

/** @param host One of the entry's hosts, in lower case. */
export function serviceOfEntry(entry: ServiceEntry, host: string, workloads: readonly WorkloadEntry[]): MeshService {
  const { spec, metadata } = entry
  const resolution = RESOLUTIONS[spec.resolution ?? 'NONE'] ?? 'none'
  const ports = spec.ports ?? []
  const given =
    spec.workloadSelector === undefined ? (spec.endpoints ?? []) : workloads.map((workload) => workload.spec)
  // Without endpoints, DNS resolves the host itself.
  const targets = given.length === 0 && isDns(resolution) && !spec.workloadSelector ? [{ address: host }] : given
  return {
    host,
    // Istio's metrics name an external service by its host.
    name: host,
    namespace: metadata.namespace,
    external: spec.location !== 'MESH_INTERNAL',
    resolution,
    subjectAltNames: spec.subjectAltNames ?? [],
    origin: originOf(entry),
    ports: ports.map(readPort),
    entries: [entry],
    endpoints: new Map(
      ports.map((port) => [port.number, targets.flatMap((target) => endpoint(target, port, resolution))]),
    ),
  }
}

function isDns(resolution: Resolution): boolean {
  return resolution === 'dns' || resolution === 'dns-round-robin'
}

function readPort({ number, name, protocol: written }: ServiceEntryPort): ServicePort {
  const protocol = (written ?? '').toUpperCase()
  return { number, name, protocol, http2: HTTP2_PROTOCOLS.includes(protocol) }
}

function endpoint(target: WorkloadEntrySpec, port: ServiceEntryPort, resolution: Resolution): ServiceEndpoint[] {
  const { address, ports } = target
  // A WorkloadEntry may have only a network, and a name cannot be an endpoint that is not resolved.
  if (!address || resolution === 'none') return []
  const isSocket = address.startsWith('unix://')
  if (resolution === 'static' && !isSocket && isIP(address) === 0) return []
  return [
    {
      address,
      port: isSocket ? 0 : (ports?.[port.name] ?? port.targetPort ?? port.number),
      ...describeWorkload(target),
    },
  ]
}
