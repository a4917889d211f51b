/** What the explicit forward proxy lets through: the hosts and ports that visible ServiceEntries list. */
import type { ClusterPlan } from '../../plan/cluster.ts'
import type { EgressHostPlan, EgressPortPlan, EgressProtocol } from '../../plan/egress.ts'
import type { Origin, Problem } from '../../plan/problem.ts'
import type { ServiceEntry } from '../../resources/service-entry.ts'
import { originOf, problem } from '../findings.ts'
import { Memo } from '../memo.ts'
import type { ClusterReference } from '../routes/forward.ts'
import type { ServiceRegistry } from '../services/registry.ts'
import type { MeshService } from '../services/service.ts'
import { effectiveExportTo } from '../visibility.ts'

/** On a ServiceEntry: bytes a second that one worker lets through to it, in each direction. */
export const BANDWIDTH_ANNOTATION = 'sluice.dev/egress-bytes-per-second'

const PROTOCOLS: Readonly<Record<string, EgressProtocol>> = {
  HTTP: 'http',
  'GRPC-WEB': 'http',
  HTTP2: 'http2',
  GRPC: 'http2',
  HTTPS: 'tls',
  TLS: 'tls',
}

/** The clusters of everything that is listed; UDP is not proxied. */
export function egressReferences({ services }: ServiceRegistry): ClusterReference[] {
  const references: ClusterReference[] = []
  for (const { host, origin, ports, entries } of services.values()) {
    if (entries.length === 0) continue
    for (const { number, protocol } of ports) {
      if (protocol === 'UDP') continue
      references.push({ cluster: `outbound|${number}||${host}`, host, port: number, subset: '', origin })
    }
  }
  return references
}

interface CompiledHost {
  /** Null: none of its ports can be reached. */
  readonly plan: EgressHostPlan | null
  readonly problems: readonly Problem[]
}

/** @returns A function that compiles all hosts, and keeps those of which nothing changed since it was called last. */
export function createEgressHosts(
  fallbackExportTo: readonly string[],
): (
  registry: ServiceRegistry,
  clusters: Readonly<Record<string, ClusterPlan>>,
) => { readonly hosts: Readonly<Record<string, EgressHostPlan>>; readonly problems: readonly Problem[] } {
  const memo = new Memo<CompiledHost>()
  return ({ services }, clusters) => {
    memo.begin()
    const hosts: Record<string, EgressHostPlan> = {}
    const problems: Problem[] = []
    for (const [host, service] of services) {
      if (service.entries.length === 0) continue
      const own = service.ports.map(({ number }) => clusters[`outbound|${number}||${host}`])
      const compiled = memo.get(host, [service, ...own], () => compileHost(service, own, fallbackExportTo))
      if (compiled.plan !== null) hosts[host] = compiled.plan
      for (const found of compiled.problems) problems.push(found)
    }
    memo.end()
    return { hosts, problems }
  }
}

/** @param clusters In the order of the service's ports. */
function compileHost(
  service: MeshService,
  clusters: readonly (ClusterPlan | undefined)[],
  fallbackExportTo: readonly string[],
): CompiledHost {
  const { host, namespace, entries, resolution } = service
  const problems: Problem[] = []
  const ports = service.ports.flatMap((port, index): EgressPortPlan[] => {
    const cluster = clusters[index]
    if (cluster === undefined) return []
    const entry = entries.find(({ spec }) => spec.ports?.some(({ number }) => number === port.number)) ?? entries[0]!
    const bandwidth = readBandwidth(entry)
    if (bandwidth === 'wrong') {
      problems.push(
        problem('error', entry, '/metadata/annotations', {
          code: 'service-entry/bandwidth',
          message: `${BANDWIDTH_ANNOTATION} is no whole number of bytes from 1024: the host is not let through`,
        }),
      )
      return []
    }
    return [
      {
        number: port.number,
        protocol: PROTOCOLS[port.protocol] ?? 'tcp',
        origin: originOf(entry) satisfies Origin,
        pinned: resolution === 'static',
        cluster,
        ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth }),
      },
    ]
  })
  const addresses = [...new Set(entries.flatMap(({ spec }) => spec.addresses ?? []))]
  const exportTo = [...new Set(entries.flatMap((entry) => exportedTo(entry, fallbackExportTo)))]
  const plan: EgressHostPlan = {
    host,
    namespace,
    addresses,
    ...(exportTo.includes('*') ? {} : { exportTo }),
    ports,
  }
  return { plan: ports.length === 0 ? null : plan, problems }
}

function exportedTo({ spec, metadata }: ServiceEntry, fallback: readonly string[]): string[] {
  return effectiveExportTo(spec.exportTo, fallback).map((scope) => (scope === '.' ? metadata.namespace : scope))
}

/** Below a kilobyte a second a tunnel would only look broken. */
const LEAST_BYTES_PER_SECOND = 1024

function readBandwidth({ metadata }: ServiceEntry): number | 'wrong' | undefined {
  const text = metadata.annotations[BANDWIDTH_ANNOTATION]
  if (text === undefined) return undefined
  const bytes = /^[0-9]{1,15}$/.test(text) ? Number(text) : 0
  return bytes >= LEAST_BYTES_PER_SECOND ? bytes : 'wrong'
}
