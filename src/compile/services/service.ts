/** A service as clusters are made of it, whichever kind of resource describes it. */
import type { Origin } from '../../plan/problem.ts'
import type { ServiceEntry } from '../../resources/service-entry.ts'
import type { WorkloadEntrySpec } from '../../resources/workload-entry.ts'

export interface ServicePort {
  readonly number: number
  readonly name: string
  /** HTTP/2 from the first byte: the port's protocol is http2, grpc or grpc-web. */
  readonly http2: boolean
  /** As its resource writes it, in upper case; empty: it does not. */
  readonly protocol: string
}

export interface ServiceEndpoint {
  /** IP address, `unix://` and a path, or a name where the service resolves by DNS. */
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly locality?: string
  /** The network that it is in, where that is said. */
  readonly network?: string
  /** The account that it runs as, in the service's namespace: who its certificate has to be for. */
  readonly serviceAccount?: string
  readonly labels: Readonly<Record<string, string>>
}

export type Resolution = 'static' | 'dns' | 'dns-round-robin' | 'none'

export interface MeshService {
  /** Lower case; a wildcard is possible for ServiceEntries. */
  readonly host: string
  readonly name: string
  readonly namespace: string
  /** Outside the mesh: no automatic mTLS. */
  readonly external: boolean
  readonly resolution: Resolution
  /** Names that its certificates are for, where its ServiceEntry lists them. */
  readonly subjectAltNames: readonly string[]
  /** The resource that describes it; the first of several. */
  readonly origin: Origin
  readonly ports: readonly ServicePort[]
  /** ServiceEntries that describe it; none for a Kubernetes Service. */
  readonly entries: readonly ServiceEntry[]
  /** By port number. */
  readonly endpoints: ReadonlyMap<number, readonly ServiceEndpoint[]>
}

/** Label that sidecar injection puts on workloads that take Istio's mTLS. */
export const TLS_MODE_LABEL = 'security.istio.io/tlsMode'

/**
 * Joins the descriptions of one host in one namespace: the first one's identity, all ports (the first of a number
 * wins), all endpoints and all names of certificates.
 */
export function joinServices(parts: readonly MeshService[]): MeshService | undefined {
  const [first, ...others] = parts
  if (first === undefined || others.length === 0) return first
  const ports = new Map<number, ServicePort>()
  const endpoints = new Map<number, readonly ServiceEndpoint[]>()
  for (const part of parts) {
    for (const port of part.ports) if (!ports.has(port.number)) ports.set(port.number, port)
    for (const [number, found] of part.endpoints) endpoints.set(number, [...(endpoints.get(number) ?? []), ...found])
  }
  const subjectAltNames = [...new Set(parts.flatMap((part) => part.subjectAltNames))]
  const entries = parts.flatMap((part) => part.entries)
  return { ...first, subjectAltNames, ports: [...ports.values()], entries, endpoints }
}

/** What an endpoint has of a WorkloadEntry (or an endpoint of a ServiceEntry), but for its address and port. */
export function describeWorkload({
  weight,
  locality,
  network,
  serviceAccount,
  labels,
}: WorkloadEntrySpec): Omit<ServiceEndpoint, 'address' | 'port'> {
  return {
    weight: Math.max(1, weight ?? 1),
    ...(locality ? { locality } : {}),
    ...(network ? { network } : {}),
    ...(serviceAccount ? { serviceAccount } : {}),
    labels: labels ?? {},
  }
}
