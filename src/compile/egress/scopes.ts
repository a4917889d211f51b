/**
 * Sidecars, as far as they say what may be reached through the explicit proxy: the one of the gateway's own namespace
 * narrows the whole list, the one of a client's workload what that client may use of it.
 *
 * Source: istio: pilot/pkg/model/push_context.go (`getSidecarScope`), sidecar.go (`convertToSidecarScope`).
 */
import type { EgressScopeEntryPlan, EgressScopePlan } from '../../plan/egress.ts'
import type { Sidecar } from '../../resources/sidecar.ts'
import { originOf } from '../findings.ts'
import { type Labels, selects } from '../workload.ts'

export interface Scopes {
  /**
   * @param labels Undefined: not known, and only a Sidecar for the whole namespace can be meant.
   * @returns Null where no Sidecar is for the workload.
   */
  of(namespace: string, labels: Labels | undefined): EgressScopePlan | null
}

/** @param sidecars Oldest first: of several that mean the same workload the oldest counts. */
export function readScopes(sidecars: readonly Sidecar[], rootNamespace: string): Scopes {
  const plans = new Map<string, EgressScopePlan>()
  const planOf = (sidecar: Sidecar, namespace: string): EgressScopePlan => {
    const { metadata } = sidecar
    const key = `${metadata.namespace}/${metadata.name}/${namespace}`
    const plan = plans.get(key) ?? compileScope(sidecar, namespace)
    plans.set(key, plan)
    return plan
  }
  const forAll = (namespace: string) =>
    sidecars.find(
      ({ metadata, spec }) =>
        metadata.namespace === namespace && Object.keys(spec.workloadSelector?.labels ?? {}).length === 0,
    )
  return {
    of(namespace, labels) {
      const own = sidecars.find(({ metadata, spec }) => {
        const selector = spec.workloadSelector?.labels ?? {}
        return (
          metadata.namespace === namespace &&
          Object.keys(selector).length > 0 &&
          labels !== undefined &&
          selects(selector, labels)
        )
      })
      const sidecar = own ?? forAll(namespace) ?? forAll(rootNamespace)
      return sidecar === undefined ? null : planOf(sidecar, namespace)
    },
  }
}

/** @param namespace Of the workload, which `.` stands for. */
function compileScope(sidecar: Sidecar, namespace: string): EgressScopePlan {
  const { egress, outboundTrafficPolicy } = sidecar.spec
  const allow: EgressScopeEntryPlan[] = []
  const except: EgressScopeEntryPlan[] = []
  for (const { hosts = [], port } of egress ?? []) {
    for (const written of hosts) {
      const slash = written.indexOf('/')
      const scope = written.slice(0, slash)
      if (scope === '~') continue
      const isExcluded = scope.startsWith('~')
      const of = isExcluded ? scope.slice(1) : scope
      const entry = {
        namespace: of === '.' ? namespace : of,
        host: written.slice(slash + 1).toLowerCase(),
        port: port?.number ?? null,
      }
      if (isExcluded) except.push(entry)
      else allow.push(entry)
    }
  }
  return {
    origin: originOf(sidecar),
    mode: modeOf(outboundTrafficPolicy?.mode),
    allow: egress === undefined || egress.length === 0 ? null : allow,
    except,
  }
}

/** `ALLOW_ANY_DYNAMIC_DNS` resolves what it is asked for, which the explicit proxy does anyway. */
function modeOf(mode: string | undefined): EgressScopePlan['mode'] {
  if (mode === undefined) return null
  return mode === 'REGISTRY_ONLY' ? 'REGISTRY_ONLY' : 'ALLOW_ANY'
}
