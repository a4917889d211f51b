/**
 * The mesh identity of a worker: the primary obtains the certificate and sends it over the channel between the two
 * processes. It is in memory only.
 */
import type { MeshCertificate, MeshIdentity } from '../mesh-identity.ts'
import { IdentityHolder, type Time } from './identity-holder.ts'

export interface RemoteIdentity extends MeshIdentity {
  /** @param state What `current()` says in the primary. */
  update(state: MeshCertificate | null): void
}

export function createRemoteIdentity(time: Time): RemoteIdentity {
  const holder = new IdentityHolder(time)
  return {
    current: () => holder.current(),
    onChange: (callback) => holder.onChange(callback),
    update(state) {
      holder.set(state)
    },
    close() {
      holder.close()
      return Promise.resolve()
    },
  }
}
