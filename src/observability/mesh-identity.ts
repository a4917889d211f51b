/** Who a workload is in metrics: the gateway itself (`source_`), or the endpoint that answered (`destination_`). */

type Labels = Readonly<Record<string, string>>

export interface WorkloadIdentity {
  readonly workload: string
  readonly namespace: string
  readonly app: string
  readonly version: string
  readonly canonicalService: string
  readonly canonicalRevision: string
  readonly cluster: string
}

export interface MeshIdentity extends WorkloadIdentity {
  /** SPIFFE URI of the gateway's own certificate, or `unknown`. */
  readonly principal: string
}

/**
 * The identity that labels tell: what is missing is `unknown`, a missing revision `latest`
 * (`istio: pkg/model/proxy.go`, `pilot/pkg/util/labels`: canonical name and revision).
 *
 * @param workload Name of the Deployment or the like, where something better than the labels knows it.
 */
export function identityOf(labels: Labels, namespace: string, workload?: string): WorkloadIdentity {
  const named = workload ?? labels['service.istio.io/workload-name']
  const app = labels['app'] ?? labels['app.kubernetes.io/name']
  return {
    workload: named || 'unknown',
    namespace: named || app ? namespace || 'unknown' : 'unknown',
    app: app || 'unknown',
    version: labels['version'] || labels['app.kubernetes.io/version'] || 'unknown',
    canonicalService:
      labels['service.istio.io/canonical-name'] ||
      labels['app.kubernetes.io/name'] ||
      labels['app'] ||
      named ||
      'unknown',
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ||
      labels['app.kubernetes.io/version'] ||
      labels['version'] ||
      'latest',
    cluster: labels['topology.istio.io/cluster'] || 'unknown',
  }
}
