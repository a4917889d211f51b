/**
 * Whom PeerAuthentication tells not to expect mutual TLS: the gateway does not begin it there by itself.
 *
 * Source: istio: pilot/pkg/model/authentication.go (`GetNamespaceMutualTLSMode`), pilot/pkg/model/push_context.go
 * (`BestEffortInferServiceMTLSMode`), pilot/pkg/xds/endpoints/mtls_checker.go.
 */
import type { MutualTLS, PeerAuthentication } from '../../resources/peer-authentication.ts'
import { type Labels, selects } from '../workload.ts'

export interface PeerMtls {
  /** Whether mutual TLS is switched off for the whole namespace. */
  isOffIn(namespace: string): boolean
  /** Whether a policy switches it off for this very workload. @param port The workload's own, not the service's. */
  isOffAt(namespace: string, labels: Labels, port: number): boolean
}

/** @param policies Oldest first: of several for the same workloads the oldest holds. */
export function readPeerMtls(policies: readonly PeerAuthentication[], rootNamespace: string): PeerMtls {
  const namespaces = new Map<string, MutualTLS['mode']>()
  const workloads = new Map<string, PeerAuthentication[]>()
  for (const policy of policies) {
    const { namespace } = policy.metadata
    if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0) {
      workloads.set(namespace, [...(workloads.get(namespace) ?? []), policy])
    } else if (!namespaces.has(namespace)) {
      namespaces.set(namespace, modeOf(policy.spec.mtls))
    }
  }
  return {
    isOffIn: (namespace) => (namespaces.get(namespace) ?? namespaces.get(rootNamespace)) === 'DISABLE',
    isOffAt(namespace, labels, port) {
      const policy = workloads.get(namespace)?.find(({ spec }) => selects(spec.selector?.matchLabels, labels))
      const mode = modeOf(policy?.spec.portLevelMtls?.[port]) ?? modeOf(policy?.spec.mtls)
      return mode === 'DISABLE'
    },
  }
}

/** Undefined: inherited. */
function modeOf(mtls: MutualTLS | undefined): MutualTLS['mode'] {
  return mtls?.mode === 'UNSET' ? undefined : mtls?.mode
}
