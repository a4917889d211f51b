/**
 * Resources → plan: a pure function, one step after the other. Each step is a file; what it keeps from one compilation
 * to the next is an optimisation and changes no result.
 */
import type { Plan } from '../plan/plan.ts'
import type { Problem } from '../plan/problem.ts'
import type { Gateway } from '../resources/gateway.ts'
import type { Snapshot } from '../resources/snapshot.ts'
import { analyze } from './analyze/analyze.ts'
import { ClusterBuilder, type Clusters, type Missing } from './destinations/clusters.ts'
import { readCredentials } from './destinations/credentials.ts'
import { createRuleIndexer, type DestinationRules } from './destinations/destination-rules.ts'
import { type PeerMtls, readPeerMtls } from './destinations/peer-mtls.ts'
import type { CompileContext } from './context.ts'
import { compileEgress, egressListener } from './egress/egress.ts'
import { createEgressHosts, egressReferences } from './egress/hosts.ts'
import { distinct, nameOf } from './findings.ts'
import { type AcmeOrders, compileAcmeOrders, type IssuedCertificates, NOTHING_ISSUED } from './gateways/acme.ts'
import { compileListeners } from './gateways/listeners.ts'
import { compileAutoPassthrough, withTcpRoutes } from './gateways/tcp.ts'
import { placeServers, type PlacedServers } from './gateways/ports.ts'
import { keepEqual, lastOf } from './memo.ts'
import { compileMesh } from './mesh.ts'
import { notInEffect } from './not-in-effect.ts'
import type { CompileOptions } from './options.ts'
import { findMissingTargets } from './rate-limit-targets.ts'
import { createRateLimitCompiler, type RateLimitTarget } from './rate-limits.ts'
import { RouteTableBuilder } from './route-tables.ts'
import { clustersOfAuthorizers, compileExtAuthzProviders, type ExtAuthzProviders } from './security/ext-authz.ts'
import { compileSecurity } from './security/security.ts'
import { createRegistryBuilder, type ServiceRegistry } from './services/registry.ts'
import { type BoundVirtualService, VirtualServiceBinder } from './virtual-services.ts'
import { createWorkload, type Workload } from './workload.ts'

export interface Compilation {
  readonly plan: Plan
  readonly problems: readonly Problem[]
}

export interface Compiler {
  /**
   * Compiles a snapshot. Parts of the plan in which nothing changed since the last call are the same objects.
   *
   * @param issued Certificates that authorities have issued; the same map while nothing in it changes.
   * @returns A plan in any case: what cannot be used is left out of it, and is a problem.
   */
  compile(snapshot: Snapshot, issued?: IssuedCertificates): Compilation
  /** Findings that change nothing in the plan; slower than {@link compile}, so not for every reload. */
  analyze(snapshot: Snapshot): readonly Problem[]
}

/** Compiles once, with nothing kept. */
export function compile(snapshot: Snapshot, options: CompileOptions): Compilation {
  return createCompiler(options).compile(snapshot)
}

export function createCompiler(options: CompileOptions): Compiler {
  const readGateways = lastOf((gateways: readonly Gateway[]) => {
    const workload = createWorkload(options, gateways)
    return { workload, placed: placeServers(gateways, workload) }
  })
  const keepOrders = keepEqual<AcmeOrders['orders']>()
  const readOrders = lastOf((placed: PlacedServers, secrets: Snapshot['secrets']) => {
    const names = new Set(secrets.map(nameOf))
    const found = compileAcmeOrders(placed.ports, (name) => names.has(name), options)
    return { ...found, orders: keepOrders(found.orders) }
  })
  const buildListeners = lastOf(
    (
      placed: PlacedServers,
      secrets: Snapshot['secrets'],
      configMaps: Snapshot['configMaps'],
      issued: IssuedCertificates,
    ) => {
      const { orders, problems } = readOrders(placed, secrets)
      const built = compileListeners(placed.ports, { secrets, configMaps, orders, issued }, options)
      return { ...built, orders, problems: [...problems, ...built.problems] }
    },
  )
  const readAutoPassthrough = lastOf((placed: PlacedServers, registry: ServiceRegistry, rules: DestinationRules) =>
    compileAutoPassthrough(placed.ports, registry, rules),
  )
  const buildRegistry = createRegistryBuilder(options)
  const readServices = lastOf(
    (
      services: Snapshot['services'],
      endpointSlices: Snapshot['endpointSlices'],
      serviceEntries: Snapshot['serviceEntries'],
      workloadEntries: Snapshot['workloadEntries'],
    ) => buildRegistry({ services, endpointSlices, serviceEntries, workloadEntries }),
  )
  const readRules = lastOf(createRuleIndexer(options))
  const binder = new VirtualServiceBinder()
  const tables = new RouteTableBuilder()
  const readPeers = lastOf((policies: Snapshot['peerAuthentications']) =>
    readPeerMtls(policies, options.mesh.rootNamespace),
  )
  const clusterBuilder = new ClusterBuilder(options)
  const readClusterCredentials = lastOf(
    (needed: Clusters['credentials'], secrets: Snapshot['secrets'], configMaps: Snapshot['configMaps']) =>
      readCredentials(needed, secrets, configMaps, options.gateway.namespace),
  )

  const egressClusters = new ClusterBuilder(options)
  const egressUsers = lastOf((registry: ServiceRegistry) => [{ clusters: egressReferences(registry) }])
  const compileEgressHosts = createEgressHosts(options.mesh.defaultServiceExportTo)
  const buildEgressHosts = lastOf(compileEgressHosts)
  const buildEgress = lastOf(
    (
      sidecars: Snapshot['sidecars'],
      workloadEntries: Snapshot['workloadEntries'],
      endpointSlices: Snapshot['endpointSlices'],
      serviceEntries: Snapshot['serviceEntries'],
    ) => compileEgress({ sidecars, workloadEntries, endpointSlices, serviceEntries }, options),
  )
  const keepPlan = keepEqual<Plan['egress']>()
  const joinCredentials = lastOf((a: Clusters['credentials'], b: Clusters['credentials']) => [...a, ...b])

  /** The explicit forward proxy. Its clusters are parts of its hosts: they are made when somebody first goes there. */
  const egressOf = (snapshot: Snapshot, registry: ServiceRegistry, rules: DestinationRules, peers: PeerMtls) => {
    if (options.egress === null) return null
    const { sidecars, workloadEntries, endpointSlices, serviceEntries } = snapshot
    const built = egressClusters.build(egressUsers(registry), registry, rules, peers)
    const { hosts, problems } = buildEgressHosts(registry, built.clusters)
    const listener = egressListener(options.egress)
    return {
      plan: keepPlan(buildEgress(sidecars, workloadEntries, endpointSlices, serviceEntries)),
      hosts,
      listener,
      credentials: built.credentials,
      problems: [...built.problems, ...problems],
    }
  }

  const keepProviders = keepEqual<ExtAuthzProviders>()
  const readProviders = lastOf((registry: ServiceRegistry) =>
    keepProviders(compileExtAuthzProviders(options, registry)),
  )
  const buildSecurity = lastOf(
    (
      requestAuthentications: Snapshot['requestAuthentications'],
      authorizationPolicies: Snapshot['authorizationPolicies'],
      rejectedSecurityPolicies: Snapshot['rejectedSecurityPolicies'],
      { plans }: ExtAuthzProviders,
      workload: Workload,
    ) =>
      compileSecurity(
        { requestAuthentications, authorizationPolicies, rejectedSecurityPolicies },
        plans,
        workload,
        options,
      ),
  )

  const buildRateLimits = lastOf(createRateLimitCompiler(options))
  const keepTargets = keepEqual<readonly RateLimitTarget[]>()
  const checkTargets = lastOf(
    (
      policies: Snapshot['rateLimitPolicies'],
      virtualServices: Snapshot['virtualServices'],
      gateways: Snapshot['gateways'],
    ) => findMissingTargets(policies, virtualServices, gateways, options),
  )

  const index = (snapshot: Snapshot): CompileContext => {
    const { workload, placed } = readGateways(snapshot.gateways)
    const { services, endpointSlices, serviceEntries, workloadEntries } = snapshot
    const registry = readServices(services, endpointSlices, serviceEntries, workloadEntries)
    const rules = readRules(snapshot.destinationRules, workload)
    const { solePorts } = registry
    const rateLimits = keepTargets(buildRateLimits(snapshot.rateLimitPolicies, workload).targets)
    const bound = binder.bind(snapshot.virtualServices, { placed, workload, options, solePorts, rateLimits })
    return { snapshot, options, workload, placed, registry, rules, bound }
  }

  return {
    compile(snapshot, issued = NOTHING_ISSUED) {
      const { workload, placed, registry, rules, bound } = index(snapshot)
      const {
        listeners,
        certificates: presented,
        orders,
        problems: listenerProblems,
      } = buildListeners(placed, snapshot.secrets, snapshot.configMaps, issued)
      const auto = readAutoPassthrough(placed, registry, rules)
      const routeTables = tables.build(placed.ports, bound)
      const providers = readProviders(registry)
      const {
        policies,
        closedBy,
        problems: securityProblems,
      } = buildSecurity(
        snapshot.requestAuthentications,
        snapshot.authorizationPolicies,
        snapshot.rejectedSecurityPolicies,
        providers,
        workload,
      )
      const authorizers = clustersOfAuthorizers(policies.authorization, options.mesh.rootNamespace)
      const users = [bound, [auto], authorizers.length === 0 ? [] : [{ clusters: authorizers }]].flat()
      const peers = readPeers(snapshot.peerAuthentications)
      const built = clusterBuilder.build(users, registry, rules, peers)
      const { clusters, missing, problems: clusterProblems } = built
      const egress = egressOf(snapshot, registry, rules, peers)
      const needed = egress === null ? built.credentials : joinCredentials(built.credentials, egress.credentials)
      const credentials = readClusterCredentials(needed, snapshot.secrets, snapshot.configMaps)
      const certificates = { ...presented, ...credentials.certificates }
      const routed = withTcpRoutes(listeners, placed.ports, bound, auto)
      const mesh = compileMesh(options, closedBy)
      const rateLimits = buildRateLimits(snapshot.rateLimitPolicies, workload)
      return {
        plan: {
          mesh,
          policies,
          rateLimits: rateLimits.plans,
          listeners: egress === null ? routed : { ...routed, [egress.listener.name]: egress.listener },
          routeTables,
          clusters,
          certificates,
          egress: egress?.plan ?? null,
          egressHosts: egress?.hosts ?? {},
          ...(Object.keys(orders).length === 0 ? {} : { acme: orders }),
        },
        problems: distinct([
          ...placed.problems,
          ...listenerProblems,
          ...providers.problems,
          ...securityProblems,
          ...rateLimits.problems,
          ...checkTargets(snapshot.rateLimitPolicies, snapshot.virtualServices, snapshot.gateways),
          ...routeProblems(bound),
          ...registry.problems,
          ...unknownDestinations(bound, missing),
          ...clusterProblems,
          ...(egress?.problems ?? []),
          ...credentials.problems,
          ...notInEffect(snapshot, workload, options),
        ]),
      }
    },
    analyze: (snapshot) => analyze(index(snapshot)),
  }
}

function routeProblems(bound: readonly BoundVirtualService[]): Problem[] {
  const all: Problem[] = []
  for (const { problems } of bound) for (const problem of problems) all.push(problem)
  return all
}

/** Only a warning: the rest of the rule and of its VirtualService works, and this part is answered 503. */
function unknownDestinations(bound: readonly BoundVirtualService[], missing: ReadonlyMap<string, Missing>): Problem[] {
  if (missing.size === 0) return []
  const all: Problem[] = []
  for (const { references } of bound) {
    for (const { cluster, origin } of references) {
      const why = missing.get(cluster)
      if (why === undefined) continue
      const message = `${why.message}, so requests to it are answered 503`
      all.push({ code: why.code, istioCode: 'IST0101', severity: 'warning', origin, message })
    }
  }
  return all
}
