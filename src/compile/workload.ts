/**
 * Which selectors mean this gateway.
 *
 * Source: istio: pkg/config/labels (`Instance.SubsetOf`), pilot/pkg/model/authentication.go for the scope of policies.
 */
import type { Gateway } from '../resources/gateway.ts'
import type { CompileOptions } from './options.ts'

export type Labels = Readonly<Record<string, string>>

/** Whether each pair of `selector` is in `labels`; an empty selector selects everything. */
export function selects(selector: Labels | undefined, labels: Labels | undefined): boolean {
  for (const key in selector) if (labels?.[key] !== selector[key]) return false
  return true
}

export interface Workload {
  readonly namespace: string
  /** Whether this gateway serves a Gateway with that selector. */
  serves(selector: Labels | undefined): boolean
  /** Whether the labels are known to be this gateway's. */
  isSelectedBy(selector: Labels | undefined): boolean
  /** Whether the labels may be this gateway's: what a policy that guards asks, as not guarding is the worse mistake. */
  mayBeSelectedBy(selector: Labels | undefined): boolean
}

/**
 * With labels in the options those decide. Without, the gateway stands for whichever workload the Gateways select: it
 * serves all of them, and a label that one of their selectors names counts as its own.
 */
export function createWorkload(
  { gateway: { namespace, labels } }: CompileOptions,
  gateways: readonly Gateway[],
): Workload {
  if (labels !== null) {
    const isSelectedBy = (selector: Labels | undefined) => selects(selector, labels)
    return { namespace, serves: isSelectedBy, isSelectedBy, mayBeSelectedBy: isSelectedBy }
  }
  const known = new Map<string, Set<string>>()
  for (const { spec } of gateways) {
    for (const [key, value] of Object.entries(spec.selector ?? {})) {
      known.set(key, (known.get(key) ?? new Set()).add(value))
    }
  }
  const every = (selector: Labels | undefined, unknownKey: boolean) =>
    Object.entries(selector ?? {}).every(([key, value]) => known.get(key)?.has(value) ?? unknownKey)
  return {
    namespace,
    serves: () => true,
    isSelectedBy: (selector) => every(selector, false),
    mayBeSelectedBy: (selector) => every(selector, true),
  }
}
