/**
 * Which security policies are for this gateway.
 *
 * Source: istio: pilot/pkg/model/policyattachment.go and authorization.go; semantics §5.1.
 */
import type { Named } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import type { Labels, Workload } from '../workload.ts'

/**
 * `possible`: the gateway's labels are not known, and nothing says that the selector is not for it. A policy that
 * refuses is then in force; one that opens something must not be taken for certain.
 */
export type Selection = 'certain' | 'possible' | 'none'

/** A policy with a `selector`, or what could be read of one. */
export interface Selecting extends Named {
  readonly spec: {
    readonly selector?: { readonly matchLabels?: Labels }
    readonly targetRef?: object
    readonly targetRefs?: readonly object[]
  }
}

/** Policies of the gateway workload's own namespace and of the root namespace, as far as their selector means it. */
export function selectionOf(policy: Selecting, workload: Workload, options: CompileOptions): Selection {
  const { selector, targetRef, targetRefs } = policy.spec
  // What it is attached to is an object of the Gateway API or a service; a classic gateway is neither.
  if (targetRef !== undefined || (targetRefs ?? []).length > 0) return 'none'
  return selectionByLabels(policy, selector?.matchLabels, workload, options)
}

export function selectionByLabels(
  { metadata }: Named,
  matchLabels: Labels | undefined,
  workload: Workload,
  { mesh }: CompileOptions,
): Selection {
  const { namespace } = metadata
  if (namespace !== workload.namespace && namespace !== mesh.rootNamespace) return 'none'
  if (workload.isSelectedBy(matchLabels)) return 'certain'
  return workload.mayBeSelectedBy(matchLabels) ? 'possible' : 'none'
}
