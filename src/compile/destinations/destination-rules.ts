/**
 * Which DestinationRule a service has, seen from this gateway.
 *
 * Source: istio: pilot/pkg/model/push_context.go (`destinationRule`), pilot/pkg/model/destination_rule.go
 * (`mergeDestinationRule`), pilot/pkg/model/sidecar.go (`DestinationRule`).
 */
import type { DestinationRule, Subset, TrafficPolicy } from '../../resources/destination-rule.ts'
import { fullHost, mostSpecific } from '../hosts.ts'
import { Memo } from '../memo.ts'
import type { CompileOptions } from '../options.ts'
import type { MeshService } from '../services/service.ts'
import { effectiveExportTo, isVisibleTo } from '../visibility.ts'
import type { Workload } from '../workload.ts'

/** A piece of a rule, and the object and place that it comes from. */
export interface Piece<T> {
  readonly value: T
  readonly rule: DestinationRule
  readonly pointer: string
}

/** DestinationRules for one host, as one. */
export interface MergedRule {
  /** Oldest first. */
  readonly rules: readonly DestinationRule[]
  readonly trafficPolicy: Piece<TrafficPolicy> | undefined
  readonly subsets: ReadonlyMap<string, Piece<Subset>>
}

export interface DestinationRules {
  /** The rule of a service; undefined where it has none and the mesh's defaults hold. */
  resolve(service: MeshService): MergedRule | undefined
}

/** Rules of one scope, by host; several lists for a host are kept apart, in order. */
type Scope = Map<string, DestinationRule[]>

/** @returns A function that indexes rules, and keeps merged rules whose members did not change since it was called last. */
export function createRuleIndexer(
  options: CompileOptions,
): (all: readonly DestinationRule[], workload: Workload) => DestinationRules {
  const memo = new Memo<MergedRule>()
  return (all, workload) => {
    // What the last index resolved stays; it is looked up again, cluster by cluster, after this.
    memo.end()
    memo.begin()
    const { local, exported } = collect(all, options)
    const { namespace } = options.gateway
    const { rootNamespace } = options.mesh
    return {
      resolve({ host, namespace: serviceNamespace }) {
        const scopes = [local, exported.get(serviceNamespace), exported.get(rootNamespace)]
        for (const scope of scopes) {
          const rules = scope && mostSpecific(scope, host)
          if (rules !== undefined) return pick(rules, namespace, workload, memo)
        }
        return undefined
      },
    }
  }
}

function collect(
  all: readonly DestinationRule[],
  { gateway: { namespace, clusterDomain }, mesh }: CompileOptions,
): { local: Scope; exported: Map<string, Scope> } {
  const local: Scope = new Map()
  const exported = new Map<string, Scope>()
  const fallback = mesh.defaultDestinationRuleExportTo
  for (const rule of all) {
    const own = rule.metadata.namespace
    // A rule for some workloads is for those of its namespace.
    const exportTo = rule.spec.workloadSelector === undefined ? effectiveExportTo(rule.spec.exportTo, fallback) : ['.']
    const isPrivate = exportTo.every((scope) => scope === '.' || scope === own)
    const host = fullHost(rule.spec.host, own, clusterDomain)
    // In the root namespace exported rules are everybody's defaults, and no more specific for its own workloads.
    if (own === namespace && (own !== mesh.rootNamespace || isPrivate)) append(local, host, rule)
    if (isPrivate || !isVisibleTo(exportTo, own, namespace, fallback)) continue
    const scope: Scope = exported.get(own) ?? new Map()
    exported.set(own, scope)
    append(scope, host, rule)
  }
  return { local, exported }
}

function append(scope: Scope, host: string, rule: DestinationRule): void {
  const rules = scope.get(host)
  if (rules === undefined) scope.set(host, [rule])
  else rules.push(rule)
}

/** A rule for these very workloads before one for all; of those that are kept apart, the oldest. */
function pick(
  rules: readonly DestinationRule[],
  namespace: string,
  workload: Workload,
  memo: Memo<MergedRule>,
): MergedRule | undefined {
  const usable = rules.filter(
    ({ metadata, spec }) =>
      spec.workloadSelector === undefined ||
      (metadata.namespace === namespace && workload.isSelectedBy(spec.workloadSelector.matchLabels)),
  )
  const first = usable.find(({ spec }) => spec.workloadSelector !== undefined) ?? usable[0]
  if (first === undefined) return undefined
  const members = usable.filter((rule) => mergeKey(rule) === mergeKey(first))
  const { name, namespace: own } = first.metadata
  return memo.get(`${own}/${name}`, members, () => merge(members))
}

/** Rules that differ in this are kept apart. */
function mergeKey({ spec: { exportTo, workloadSelector } }: DestinationRule): string {
  return JSON.stringify([[...(exportTo ?? [])].sort(), workloadSelector?.matchLabels ?? null])
}

function merge(rules: readonly DestinationRule[]): MergedRule {
  const subsets = new Map<string, Piece<Subset>>()
  for (const rule of rules) {
    for (const [i, value] of (rule.spec.subsets ?? []).entries()) {
      if (!subsets.has(value.name)) subsets.set(value.name, { value, rule, pointer: `/spec/subsets/${i}` })
    }
  }
  const withPolicy = rules.find(({ spec }) => spec.trafficPolicy !== undefined)
  const trafficPolicy = withPolicy?.spec.trafficPolicy && {
    value: withPolicy.spec.trafficPolicy,
    rule: withPolicy,
    pointer: '/spec/trafficPolicy',
  }
  return { rules, trafficPolicy, subsets }
}
