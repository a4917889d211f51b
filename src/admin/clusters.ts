/** `/clusters`: every cluster with its endpoints, and what all workers together have going with them. */
import type { ClusterPlan } from '../plan/cluster.ts'
import type { AdminModel, ClusterStats, EndpointStats } from './model.ts'

export interface EndpointView {
  /** `ADDRESS:PORT` */
  readonly address: string
  /** `ejected`: by at least one worker. `unknown`: nothing judges it. */
  readonly health: 'healthy' | 'ejected' | 'unknown'
  /** When the last worker that ejected it will use it again; null: it is in use everywhere. */
  readonly ejectedUntil: string | null
  readonly weight: number
  readonly connections: number
  readonly activeRequests: number
  readonly requests: number
  readonly connectFailures: number
}

export interface ClusterView {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly subset: string
  readonly service: ClusterPlan['service']
  readonly discovery: ClusterPlan['discovery']['kind']
  readonly loadBalancer: ClusterPlan['loadBalancer']
  readonly protocol: ClusterPlan['protocol']
  readonly transport: string
  readonly endpoints: readonly EndpointView[]
}

export async function clusterViews(model: AdminModel): Promise<ClusterView[]> {
  const plan = model.plan()
  if (plan === null) return []
  const stats = Map.groupBy(await model.clusterStats(), ({ name }) => name)
  return Object.values(plan.clusters).map((cluster) => clusterView(cluster, stats.get(cluster.name) ?? []))
}

function clusterView(plan: ClusterPlan, stats: readonly ClusterStats[]): ClusterView {
  const { transport } = plan
  return {
    name: plan.name,
    host: plan.host,
    port: plan.port,
    subset: plan.subset,
    service: plan.service,
    discovery: plan.discovery.kind,
    loadBalancer: plan.loadBalancer,
    protocol: plan.protocol,
    transport: transport.kind === 'unsupported' ? `unsupported: ${transport.reason}` : transport.kind,
    endpoints: endpointViews(plan, stats),
  }
}

/** Endpoints that the plan names, and those that workers found for names. */
function endpointViews(plan: ClusterPlan, stats: readonly ClusterStats[]): EndpointView[] {
  const views = new Map<string, EndpointView>()
  if (plan.discovery.kind === 'static') {
    for (const { address, port, weight } of plan.discovery.endpoints) {
      const key = endpointAddress(address, port)
      views.set(key, { address: key, weight, ...NOTHING_YET })
    }
  }
  for (const endpoint of stats.flatMap(({ endpoints }) => endpoints)) {
    const view = views.get(endpoint.address) ?? { ...NOTHING_YET, address: endpoint.address, weight: endpoint.weight }
    views.set(endpoint.address, add(view, endpoint))
  }
  return [...views.values()]
}

const NOTHING_YET = {
  health: 'unknown',
  ejectedUntil: null,
  connections: 0,
  activeRequests: 0,
  requests: 0,
  connectFailures: 0,
} as const

function add(view: EndpointView, stats: EndpointStats): EndpointView {
  return {
    ...view,
    ...judged(view, stats.ejectedUntil),
    connections: view.connections + stats.connections,
    activeRequests: view.activeRequests + stats.active,
    requests: view.requests + stats.requests,
    connectFailures: view.connectFailures + stats.connectFailures,
  }
}

/** An endpoint that one worker has ejected is shown as ejected. */
function judged(view: EndpointView, until: number | null | undefined): Pick<EndpointView, 'health' | 'ejectedUntil'> {
  if (until === undefined || (until === null && view.health === 'ejected')) return view
  if (until === null) return { health: 'healthy', ejectedUntil: null }
  const text = new Date(until).toISOString()
  const later = view.ejectedUntil !== null && view.ejectedUntil > text ? view.ejectedUntil : text
  return { health: 'ejected', ejectedUntil: later }
}

/** As workers name their endpoints. */
function endpointAddress(address: string, port: number): string {
  if (address.startsWith('unix://')) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
