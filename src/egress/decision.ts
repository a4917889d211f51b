/** Whether a client may go where it asks to: the list, seen through the Sidecars that are for the client. */
import { covers } from '../lib/names.ts'
import type { Target } from '../lib/target.ts'
import type {
  EgressClientPlan,
  EgressPlan,
  EgressScopeEntryPlan,
  EgressScopePlan,
  OutboundMode,
} from '../plan/egress.ts'
import { type AllowedHost, type AllowedPort, Allowlist } from './allowlist.ts'

/** A place that a client may be let through to. */
export type Goal = Extract<Target, { readonly kind: 'name' | 'address' }>

export type Decision =
  /** @property names Hosts of the list that the address stands for, or the one that has the name. */
  | {
      readonly kind: 'listed'
      readonly goal: Goal
      readonly entry: AllowedPort
      readonly others: readonly AllowedPort[]
    }
  /** `ALLOW_ANY`. */
  | { readonly kind: 'any'; readonly goal: Goal }
  | { readonly kind: 'refused' }

const REFUSED: Decision = { kind: 'refused' }
const NONE: readonly AllowedPort[] = []

const NO_EGRESS: EgressPlan = { mode: 'REGISTRY_ONLY', scope: null, clients: [] }

export class EgressDecisions {
  readonly list = new Allowlist()
  #plan: EgressPlan = NO_EGRESS
  #clients: ReadonlyMap<string, EgressClientPlan> = new Map()

  update(plan: EgressPlan): void {
    this.#plan = plan
    this.#clients = new Map(plan.clients.flatMap((client) => client.addresses.map((address) => [address, client])))
  }

  /** Namespace of the client's workload; empty: not known. */
  namespaceOf(address: string): string {
    return this.#clients.get(address)?.namespace ?? ''
  }

  /** @param client IP address of the client's end of the connection. */
  decide(target: Target, client: string): Decision {
    if (target.kind !== 'name' && target.kind !== 'address') return REFUSED
    const { scope } = this.#plan
    const own = this.#clients.get(client)
    const { port } = target
    const isVisible = (host: AllowedHost) =>
      isInScope(scope, host, target, port) &&
      (own === undefined || (isExportedTo(host, own.namespace) && isInScope(own.scope, host, target, port)))
    if (target.kind === 'name') {
      const entry = this.list.find(target.host, port, isVisible)
      if (entry !== null) return { kind: 'listed', goal: target, entry, others: NONE }
    } else {
      const [entry, ...others] = this.list.findAddress(target.host, port, isVisible)
      if (entry !== undefined) return { kind: 'listed', goal: target, entry, others }
    }
    return this.#modeFor(own) === 'ALLOW_ANY' ? { kind: 'any', goal: target } : REFUSED
  }

  #modeFor(client: EgressClientPlan | undefined): OutboundMode {
    return client?.scope?.mode ?? this.#plan.scope?.mode ?? this.#plan.mode
  }
}

function isExportedTo({ plan: { exportTo } }: AllowedHost, namespace: string): boolean {
  return exportTo === undefined || exportTo.includes(namespace)
}

function isInScope(scope: EgressScopePlan | null, { plan }: AllowedHost, target: Goal, port: number): boolean {
  if (scope === null || scope.allow === null) return true
  // An address is one of the entry's host.
  const name = target.kind === 'name' ? target.host : plan.host
  const has = (entries: readonly EgressScopeEntryPlan[]) =>
    entries.some(
      (entry) =>
        (entry.namespace === '*' || entry.namespace === plan.namespace) &&
        (entry.port === null || entry.port === port) &&
        covers(entry.host, name),
    )
  return has(scope.allow) && !has(scope.except)
}
