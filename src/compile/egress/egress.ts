/**
 * The explicit forward proxy: its listener, its mode, whose Sidecars narrow the list, and what is on the list.
 *
 * Source: Istio has none on a gateway; hosts and visibility follow its ServiceEntries, modes its
 * `outboundTrafficPolicy` (semantics §4.3).
 */
import { isIP } from 'node:net'
import type { EgressClientPlan, EgressPlan, EgressScopePlan } from '../../plan/egress.ts'
import type { EgressListenerPlan } from '../../plan/listener.ts'
import type { EndpointSlice } from '../../resources/endpoint-slice.ts'
import type { ServiceEntry } from '../../resources/service-entry.ts'
import type { Sidecar } from '../../resources/sidecar.ts'
import type { WorkloadEntry } from '../../resources/workload-entry.ts'
import type { CompileOptions, EgressOptions } from '../options.ts'
import type { Labels } from '../workload.ts'
import { readScopes } from './scopes.ts'

/** Its name among the listeners, which are named by their ports otherwise. */
export const EGRESS_LISTENER = 'egress'

export function egressListener({ host, port }: EgressOptions): EgressListenerPlan {
  return { kind: 'egress', name: EGRESS_LISTENER, port, bind: host }
}

export interface EgressSources {
  readonly sidecars: readonly Sidecar[]
  readonly workloadEntries: readonly WorkloadEntry[]
  readonly endpointSlices: readonly EndpointSlice[]
  readonly serviceEntries: readonly ServiceEntry[]
}

export function compileEgress(sources: EgressSources, { gateway, mesh }: CompileOptions): EgressPlan {
  const scopes = readScopes(sources.sidecars, mesh.rootNamespace)
  const matters = sources.sidecars.length > 0 || sources.serviceEntries.some(isRestricted)
  return {
    mode: mesh.outboundTrafficPolicy,
    scope: scopes.of(gateway.namespace, gateway.labels ?? undefined),
    // Whose workload a client is makes no difference where nothing depends on namespaces.
    clients: matters ? readClients(sources, (namespace, labels) => scopes.of(namespace, labels)) : [],
  }
}

function isRestricted({ spec: { exportTo } }: ServiceEntry): boolean {
  return exportTo !== undefined && exportTo.length > 0 && !exportTo.includes('*')
}

/**
 * Workloads by address, those with the same scope together. A WorkloadEntry knows its labels, an EndpointSlice only the
 * namespace; an address that both have is the WorkloadEntry's.
 */
function readClients(
  { workloadEntries, endpointSlices }: EgressSources,
  scopeOf: (namespace: string, labels: Labels | undefined) => EgressScopePlan | null,
): EgressClientPlan[] {
  const seen = new Set<string>()
  const groups = new Map<
    EgressScopePlan | string,
    { namespace: string; addresses: string[]; scope: EgressScopePlan | null }
  >()
  const add = (address: string | undefined, namespace: string, labels: Labels | undefined) => {
    if (address === undefined || isIP(address) === 0 || seen.has(address)) return
    seen.add(address)
    const scope = scopeOf(namespace, labels)
    const key = scope ?? namespace
    const group = groups.get(key) ?? { namespace, addresses: [], scope }
    group.addresses.push(address)
    groups.set(key, group)
  }
  for (const { metadata, spec } of workloadEntries) add(spec.address, metadata.namespace, spec.labels)
  for (const { metadata, spec } of endpointSlices) {
    for (const { addresses } of spec.endpoints ?? []) {
      for (const address of addresses) add(address, metadata.namespace, undefined)
    }
  }
  return [...groups.values()]
}
