/**
 * All services that this gateway may send to, by host.
 *
 * Source: istio: pilot/pkg/model/push_context.go (`initServiceRegistry`), pilot/pkg/serviceregistry/aggregate.
 */
import type { Problem } from '../../plan/problem.ts'
import type { Metadata } from '../../resources/resource.ts'
import type { Snapshot } from '../../resources/snapshot.ts'
import { problem } from '../findings.ts'
import { Memo } from '../memo.ts'
import type { CompileOptions } from '../options.ts'
import { isVisibleTo } from '../visibility.ts'
import { SERVICE_NAME_LABEL, serviceOfKubernetes, workloadsOfService } from './kubernetes.ts'
import { selectedWorkloads, serviceOfEntry } from './service-entry.ts'
import { joinServices, type MeshService } from './service.ts'

const EXPORT_TO_ANNOTATION = 'networking.istio.io/exportTo'

export interface ServiceRegistry {
  /** By lower-case host. */
  readonly services: ReadonlyMap<string, MeshService>
  /**
   * The port of each service that has exactly one, which is what routes need to know of services. The same map as in
   * the last compilation while nothing in it changed, so endpoints that come and go leave routes alone.
   */
  readonly solePorts: ReadonlyMap<string, number>
  readonly problems: readonly Problem[]
}

export type ServiceSources = Pick<Snapshot, 'services' | 'endpointSlices' | 'serviceEntries' | 'workloadEntries'>

/** One description of a host, before those of one namespace are joined and one namespace is chosen. */
interface Candidate {
  readonly namespace: string
  readonly isKubernetes: boolean
  /** What it is made from. */
  readonly inputs: readonly object[]
  make(): MeshService
}

/** @returns A function that makes the registry, and keeps what did not change since it was called last. */
export function createRegistryBuilder(options: CompileOptions): (sources: ServiceSources) => ServiceRegistry {
  const memo = new Memo<MeshService>()
  let solePorts: ReadonlyMap<string, number> = new Map()
  return (sources) => {
    memo.begin()
    const { candidates, problems } = collect(sources, options)
    const services = new Map<string, MeshService>()
    for (const [host, all] of candidates) {
      const chosen = choose(all, options.gateway.namespace)
      const inputs = chosen.flatMap((candidate) => candidate.inputs)
      services.set(
        host,
        memo.get(host, inputs, () => joinServices(chosen.map((candidate) => candidate.make()))!),
      )
    }
    memo.end()
    solePorts = keepIfSame(solePorts, services)
    return { services, solePorts, problems }
  }
}

function collect(
  { services, endpointSlices, serviceEntries, workloadEntries }: ServiceSources,
  { gateway: { namespace, clusterDomain }, mesh, egress }: CompileOptions,
): { candidates: Map<string, Candidate[]>; problems: Problem[] } {
  const candidates = new Map<string, Candidate[]>()
  const problems: Problem[] = []
  const add = (host: string, candidate: Candidate) => append(candidates, host, candidate)
  const isVisible = (exportTo: readonly string[] | undefined, own: string) =>
    isVisibleTo(exportTo, own, namespace, mesh.defaultServiceExportTo)
  const slices = groupBy(
    endpointSlices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels[SERVICE_NAME_LABEL]}`,
  )
  const workloads = groupBy(workloadEntries, ({ metadata }) => metadata.namespace)

  for (const service of services) {
    const { metadata } = service
    if (!isVisible(exportToAnnotation(metadata), metadata.namespace)) continue
    const ownSlices = slices.get(`${metadata.namespace}/${metadata.name}`) ?? []
    const picked = workloadsOfService(service, workloads.get(metadata.namespace) ?? [])
    add(`${metadata.name}.${metadata.namespace}.svc.${clusterDomain}`, {
      namespace: metadata.namespace,
      isKubernetes: true,
      inputs: [service, ...ownSlices, ...picked],
      make: () => serviceOfKubernetes(service, ownSlices, picked, clusterDomain),
    })
  }
  for (const entry of serviceEntries) {
    const { metadata, spec } = entry
    if (!isVisible(spec.exportTo, metadata.namespace)) continue
    if (spec.resolution === 'DYNAMIC_DNS') {
      problems.push(
        problem(egress === null ? 'warning' : 'info', entry, '/spec/resolution', {
          code: 'service-entry/unsupported',
          message:
            'resolution DYNAMIC_DNS is served by the explicit egress proxy alone: routes to its hosts are answered 503',
          remedy: 'For routes list the hosts one by one with resolution DNS.',
        }),
      )
    }
    const picked = selectedWorkloads(entry, workloads.get(metadata.namespace) ?? [])
    for (const host of new Set(spec.hosts.map((name) => name.toLowerCase()))) {
      add(host, {
        namespace: metadata.namespace,
        isKubernetes: false,
        inputs: [entry, ...picked],
        make: () => serviceOfEntry(entry, host, picked),
      })
    }
  }
  return { candidates, problems }
}

/** Descriptions of one namespace: the gateway's own, else the first one's with a Kubernetes Service, else the oldest. */
function choose(candidates: readonly Candidate[], client: string): readonly Candidate[] {
  if (candidates.length === 1) return candidates
  const preferred =
    candidates.find(({ namespace }) => namespace === client) ??
    candidates.find(({ isKubernetes }) => isKubernetes) ??
    candidates[0]
  return candidates.filter(({ namespace }) => namespace === preferred?.namespace)
}

function exportToAnnotation({ annotations }: Metadata): string[] | undefined {
  return annotations[EXPORT_TO_ANNOTATION]?.split(',').map((scope) => scope.trim())
}

function keepIfSame(
  last: ReadonlyMap<string, number>,
  services: ReadonlyMap<string, MeshService>,
): ReadonlyMap<string, number> {
  const next = new Map<string, number>()
  let isSame = true
  for (const [host, { ports }] of services) {
    const [port] = ports
    if (port === undefined || ports.length > 1) continue
    next.set(host, port.number)
    isSame &&= last.get(host) === port.number
  }
  return isSame && last.size === next.size ? last : next
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) append(groups, key(item), item)
  return groups
}

function append<T>(groups: Map<string, T[]>, key: string, item: T): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [item])
  else group.push(item)
}
