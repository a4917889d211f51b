/**
 * Where a request of a forwarding route goes: one destination is drawn, and every try goes there.
 *
 * Source: Envoy `config_impl.cc` (weighted clusters, `finalizeResponseHeaders`) and `conn_manager_impl.cc`
 * (`setRoute`: the stream's cluster is known from the moment when its route is).
 */
import type { Exchange, HeaderEdit } from '../exchange/exchange.ts'
import { compileHeaderOperations } from '../exchange/header-operations.ts'
import type { ForwardAction, RoutePlan, WeightedDestination } from '../plan/route.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import { compileRewrite, type Rewrite } from './rewrite.ts'

export interface CompiledDestination {
  readonly cluster: string
  readonly editRequest: HeaderEdit | null
  /** Its own operations, then the rule's. Null: it has none of its own. */
  readonly editResponse: HeaderEdit | null
  readonly rewrite: Rewrite | null
}

export interface Destinations {
  /** Draws one, and says so in the exchange. */
  select(exchange: Exchange): void
  /** The one that was drawn. */
  of(exchange: Exchange): CompiledDestination
}

export interface DestinationDeps {
  readonly clusters: { get(name: string): Cluster | undefined }
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export function compileDestinations(
  route: RoutePlan & { readonly action: ForwardAction },
  { clusters, random }: DestinationDeps,
): Destinations {
  const { action } = route
  const ruleEdit = compileHeaderOperations(route.responseHeaders)
  const destinations = action.destinations.map((destination) => compileDestination(action, destination, ruleEdit))
  const draw = compileDraw(
    action.destinations.map(({ weight }) => weight),
    random,
  )
  return {
    select(exchange) {
      const index = draw()
      const destination = destinations[index]!
      exchange.destination = index
      if (destination.editResponse !== null) exchange.responseOperations = destination.editResponse
      const plan = clusters.get(destination.cluster)?.plan
      // A cluster that is not there is none, for the log and the metrics too.
      if (plan === undefined) return
      const { upstream } = exchange
      upstream.cluster = plan.name
      upstream.serviceHost = plan.host
      upstream.serviceName = plan.service.name
      upstream.serviceNamespace = plan.service.namespace
    },
    of: (exchange) => destinations[exchange.destination]!,
  }
}

function compileDestination(
  action: ForwardAction,
  destination: WeightedDestination,
  ruleEdit: HeaderEdit | null,
): CompiledDestination {
  return {
    cluster: destination.cluster,
    editRequest: compileHeaderOperations(destination.requestHeaders),
    editResponse: joinEdits(compileHeaderOperations(destination.responseHeaders), ruleEdit),
    rewrite: compileRewrite(action.pathRewrite, action.hostRewrite ?? destination.hostRewrite),
  }
}

function joinEdits(first: HeaderEdit | null, second: HeaderEdit | null): HeaderEdit | null {
  if (first === null || second === null) return first
  return (headers, exchange) => {
    first(headers, exchange)
    second(headers, exchange)
  }
}

/** @returns A function that gives an index, by weight. */
export function compileDraw(weights: readonly number[], random: () => number): () => number {
  const last = weights.length - 1
  if (last === 0) return () => 0
  let total = 0
  const bounds = weights.map((weight) => (total += weight))
  return () => {
    const at = random() * total
    for (let i = 0; i < last; i++) if (at < bounds[i]!) return i
    return last
  }
}
