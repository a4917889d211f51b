/** From the settings to the provider that they name. */
import { createCaClient } from './ca-client.ts'
import { createCaIdentity } from './ca-identity.ts'
import { createFileIdentity } from './file-identity.ts'
import type { Time } from './identity-holder.ts'
import type { IdentityLog, ManagedIdentity } from './managed-identity.ts'
import type { KeyType } from './signing-request.ts'

/** The `identity` part of the settings. */
export interface MeshIdentitySettings {
  readonly provider: 'off' | 'files' | 'istiod'
  readonly certificateChainPath: string
  readonly privateKeyPath: string
  readonly rootCertificatesPath: string
  readonly serviceAccount: string | null
  readonly caAddress: string
  readonly caServerName: string | null
  readonly caPlaintext: boolean
  readonly rootCertPath: string
  readonly tokenPath: string
  readonly clusterId: string | null
  /** Milliseconds. */
  readonly secretTtl: number
  readonly keyType: KeyType
}

export interface MeshIdentityDeps extends Time {
  readonly trustDomain: string
  /** The gateway's own. */
  readonly namespace: string
  /** 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly log: IdentityLog
}

/** The value of `rootCertPath` for the roots that come with Node (`istio: CA_ROOT_CA`). */
const SYSTEM_ROOTS = 'SYSTEM'
/** The longest call of the CA, in ms: connecting and signing take some tens of them. */
const CALL_TIMEOUT_MS = 10_000

/** Begins to obtain the certificate. @returns Null: this gateway has no identity in a mesh. */
export function createMeshIdentity(settings: MeshIdentitySettings, deps: MeshIdentityDeps): ManagedIdentity | null {
  switch (settings.provider) {
    case 'off':
      return null
    case 'files':
      return createFileIdentity({
        ...deps,
        paths: {
          certificateChain: settings.certificateChainPath,
          privateKey: settings.privateKeyPath,
          rootCertificates: settings.rootCertificatesPath,
        },
      })
    case 'istiod':
      return createCaIdentity({
        ...deps,
        request: createCaClient({
          address: settings.caAddress,
          serverName: settings.caServerName,
          plaintext: settings.caPlaintext,
          timeoutMs: CALL_TIMEOUT_MS,
        }),
        serviceAccount: settings.serviceAccount,
        tokenPath: settings.tokenPath,
        caRootsPath: settings.caPlaintext || settings.rootCertPath === SYSTEM_ROOTS ? null : settings.rootCertPath,
        lifetimeMs: settings.secretTtl,
        keyType: settings.keyType,
        clusterId: settings.clusterId ?? '',
      })
    default:
      return settings.provider satisfies never
  }
}
