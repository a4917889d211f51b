/** The gateway's own certificate in a mesh, as `/certs` shows it beside those of the listeners. Never the key. */
import type { TransportPlan } from '../plan/cluster.ts'
import { type CertificateView, describe } from './certs.ts'
import type { AdminModel } from './model.ts'

/** What is known of it; the parts of `ManagedIdentity` that may be shown. */
export interface MeshCertificateState {
  readonly provider: 'files' | 'istiod'
  /** PEM; null: there is none, or it has expired. */
  readonly certificateChain: string | null
  /** Milliseconds since 1970; null: nobody here renews it, or there is none. */
  readonly renewAt: number | null
  /** Why there is no newer one; null: nothing is wrong. */
  readonly problem: string | null
}

/** None where the gateway has no identity in a mesh. @param now Milliseconds since 1970. */
export function meshCertificateViews(model: AdminModel, now: number): CertificateView[] {
  const state = model.meshCertificate()
  if (state === null) return []
  const clusters = Object.values(model.plan()?.clusters ?? {}).filter(({ transport }) => usesMesh(transport))
  return [
    meshCertificateView(
      state,
      clusters.map(({ name }) => name),
      now,
    ),
  ]
}

function usesMesh(transport: TransportPlan): boolean {
  if (transport.kind !== 'tls' && transport.kind !== 'auto-mtls') return false
  const { trust, clientCertificate } = transport.tls
  return trust.kind === 'mesh' || clientCertificate?.kind === 'mesh'
}

/**
 * @param usedBy Clusters that present it.
 * @param now Milliseconds since 1970.
 */
export function meshCertificateView(
  { provider, certificateChain, renewAt, problem }: MeshCertificateState,
  usedBy: readonly string[],
  now: number,
): CertificateView {
  const view = { name: `mesh identity (${provider})`, usedBy, source: 'mesh' }
  if (certificateChain === null) return { ...view, error: problem ?? 'there is none yet' }
  return {
    ...view,
    ...describe(certificateChain, now),
    ...(renewAt === null ? {} : { renewalAt: new Date(renewAt).toISOString() }),
    ...(problem === null ? {} : { problem }),
  }
}
