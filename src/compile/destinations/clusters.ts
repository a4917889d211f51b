/**
 * Clusters: what routes send to, with the endpoints of their service and the policy of its DestinationRule.
 *
 * Source: istio: pilot/pkg/networking/core/cluster.go, cluster_builder.go, cluster_traffic_policy.go.
 */
import type { ClusterPlan } from '../../plan/cluster.ts'
import type { Problem } from '../../plan/problem.ts'
import { listed } from '../findings.ts'
import { Memo, sameElements } from '../memo.ts'
import type { CompileOptions } from '../options.ts'
import type { ClusterReference } from '../routes/forward.ts'
import type { ServiceRegistry } from '../services/registry.ts'
import type { MeshService } from '../services/service.ts'
import type { BoundVirtualService } from '../virtual-services.ts'
import { compileCluster, type DestinationContext } from './cluster.ts'
import type { CredentialReference } from './credentials.ts'
import type { DestinationRules, MergedRule } from './destination-rules.ts'
import { placeOf } from './locality.ts'
import { readMeshDefaults } from './mesh-defaults.ts'
import type { PeerMtls } from './peer-mtls.ts'

/** Whoever sends requests to clusters: VirtualServices, external authorizers. */
export type ClusterUser = Pick<BoundVirtualService, 'clusters'>

/** What became of a cluster that some route names. */
interface Outcome {
  /** Undefined: the data plane answers 503 `NC`. */
  readonly plan: ClusterPlan | undefined
  readonly credentials: readonly CredentialReference[]
  readonly problems: readonly Problem[]
  /** What it was made from. */
  readonly service: MeshService | undefined
  readonly rule: MergedRule | undefined
  readonly peers: PeerMtls
}

export interface Clusters {
  readonly clusters: Readonly<Record<string, ClusterPlan>>
  /** Names that are in routes and stand for nothing, with the reason. */
  readonly missing: ReadonlyMap<string, Missing>
  /** What the clusters need of Secrets and ConfigMaps. */
  readonly credentials: readonly CredentialReference[]
  readonly problems: readonly Problem[]
}

export interface Missing {
  readonly code: string
  readonly message: string
}

/** Makes clusters; one whose service and rule did not change is the object that it was before. */
export class ClusterBuilder {
  readonly #context: Omit<DestinationContext, 'peers'>
  /** By service and index of rules, so that rules are only looked up again when some rule changed. */
  readonly #memo = new Memo<Outcome>()
  #clusters: Clusters['clusters'] = {}
  #last: { inputs: readonly unknown[]; bound: readonly ClusterUser[]; result: Clusters } | undefined

  constructor(options: CompileOptions) {
    this.#context = { options, defaults: readMeshDefaults(options.mesh), place: placeOf(options.gateway) }
  }

  build(bound: readonly ClusterUser[], registry: ServiceRegistry, rules: DestinationRules, peers: PeerMtls): Clusters {
    const inputs = [registry, rules, peers]
    const last = this.#last
    // The usual edit is one of a few rules, which go on naming the clusters that they named before.
    const isSame = last !== undefined && sameElements(last.inputs, inputs) && nameTheSame(last.bound, bound)
    const result = isSame ? last.result : this.#buildAll(bound, registry, rules, peers)
    this.#last = { inputs, bound, result }
    return result
  }

  #buildAll(
    bound: readonly ClusterUser[],
    { services }: ServiceRegistry,
    rules: DestinationRules,
    peers: PeerMtls,
  ): Clusters {
    this.#memo.begin()
    const plans: ClusterPlan[] = []
    const missing = new Map<string, Missing>()
    const credentials: CredentialReference[] = []
    const problems: Problem[] = [...this.#context.defaults.problems]
    for (const { clusters } of bound) {
      for (const reference of clusters) {
        const { cluster } = reference
        if (this.#memo.isUsed(cluster)) continue
        const service = services.get(reference.host)
        const outcome = this.#memo.get(cluster, [service, rules, peers], (last) => {
          const rule = service && rules.resolve(service)
          const isSame =
            last !== undefined && sameElements([last.service, last.rule, last.peers], [service, rule, peers])
          return isSame ? last : { ...this.#make(reference, service, rule, peers), service, rule, peers }
        })
        if (outcome.plan === undefined) missing.set(cluster, whyMissing(reference, service))
        else plans.push(outcome.plan)
        for (const needed of outcome.credentials) credentials.push(needed)
        for (const found of outcome.problems) problems.push(found)
      }
    }
    if (this.#memo.end()) this.#clusters = Object.fromEntries(plans.map((plan) => [plan.name, plan]))
    return { clusters: this.#clusters, missing, credentials, problems }
  }

  #make(
    { cluster, port, subset, passthrough }: ClusterReference,
    service: MeshService | undefined,
    rule: MergedRule | undefined,
    peers: PeerMtls,
  ): Pick<Outcome, 'plan' | 'credentials' | 'problems'> {
    const servicePort = service?.ports.find(({ number }) => number === port)
    const isKnown = subset === '' || rule?.subsets.has(subset) === true
    if (service === undefined || servicePort === undefined || !isKnown) {
      return { plan: undefined, credentials: [], problems: [] }
    }
    const compiled = compileCluster({ service, port: servicePort, subset, rule }, { ...this.#context, peers })
    if (passthrough === undefined) return compiled
    const { protocol: _protocol, transport: _transport, ...plan } = compiled.plan
    return {
      plan: { ...plan, name: cluster, protocol: 'http1', transport: { kind: 'plaintext' } },
      credentials: [],
      problems: compiled.problems,
    }
  }
}

/** Whether two lists of VirtualServices name the same clusters in the same order. */
function nameTheSame(a: readonly ClusterUser[], b: readonly ClusterUser[]): boolean {
  if (a.length !== b.length) return false
  return a.every((one, i) => {
    const other = b[i]!
    if (one === other) return true
    return sameElements(one.clusters.map(nameOfCluster), other.clusters.map(nameOfCluster))
  })
}

function nameOfCluster({ cluster }: ClusterReference): string {
  return cluster
}

function whyMissing({ host, port, subset }: ClusterReference, service: MeshService | undefined): Missing {
  if (service === undefined) return { code: 'route/unknown-service', message: `no service has the host ${host}` }
  const ports = service.ports.map(({ number }) => number)
  if (!ports.includes(port)) {
    const has = ports.length === 0 ? 'it has none' : `it has ${listed(ports.map(String))}`
    return { code: 'route/unknown-port', message: `service ${host} has no port ${port}: ${has}` }
  }
  return { code: 'route/unknown-subset', message: `no DestinationRule for ${host} defines the subset ${subset}` }
}
