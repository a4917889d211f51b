/** What a TLS server presents and trusts, ready for OpenSSL; made anew when the material is, not for every handshake. */
import { constants, createHash } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { TlsServerPlan } from '../plan/listener.ts'
import { SERVER_CIPHERS, TLS13_SUITES } from './cipher-suites.ts'
import type { MaterialLease, MaterialStore } from './material-store.ts'
import type { KeyPairMaterial, TrustMaterial } from './pem.ts'
import { subjectAltNames } from './subject-alt-names.ts'

export interface ServerContext {
  /** Without ticket keys. */
  readonly options: SecureContextOptions
  /** URI names of what is presented. */
  readonly ownUris: readonly string[]
  /** What is presented, an RSA and an ECDSA certificate at most. */
  readonly presented: readonly KeyPairMaterial[]
}

type Limits = Pick<TlsServerPlan, 'minVersion' | 'maxVersion' | 'cipherSuites' | 'ecdhCurves'>

/** How long a client may come back with its session, in s: BoringSSL's, and so Envoy's, default. */
const SESSION_TIMEOUT_S = 7200
/** What OpenSSL takes for the context of a session. */
const SESSION_CONTEXT_LENGTH = 32

export class ServerContextSource {
  readonly #plan: TlsServerPlan
  readonly #keyPairs: readonly MaterialLease<KeyPairMaterial>[]
  readonly #trust: MaterialLease<TrustMaterial> | null
  #current: ServerContext | null = null
  /** What {@link ServerContextSource.current} was made of. */
  #made: readonly (number | undefined)[] = []

  /** Begins to use the material of a server's plan; to be closed by whoever made it. */
  constructor(plan: TlsServerPlan, materials: MaterialStore) {
    this.#plan = plan
    const { mode, certificates, clientCertificates } = plan
    this.#keyPairs =
      mode === 'ISTIO_MUTUAL'
        ? [materials.keyPair({ kind: 'mesh' })]
        : certificates.map((name) => materials.keyPair({ kind: 'certificate', name }))
    const trust = clientCertificates?.trust ?? null
    this.#trust = trust === null || trust.kind === 'none' ? null : materials.trust(trust)
  }

  /**
   * For the next handshake; the same object while nothing changes.
   *
   * @returns Null where there is nothing to present, or clients could not be verified: every handshake is then refused.
   */
  current(): ServerContext | null {
    const pairs = this.#keyPairs.map(({ material }) => material.current)
    const trust = this.#trust?.material.current
    const made = [...pairs.map((pair) => pair?.generation), trust?.generation]
    if (made.length === this.#made.length && made.every((generation, index) => generation === this.#made[index])) {
      return this.#current
    }
    this.#made = made
    const usable = pairs.flatMap((pair) => (pair === null ? [] : [pair.value]))
    this.#current = usable.length === 0 || trust === null ? null : this.#create(usable, trust?.value ?? null)
    return this.#current
  }

  /** What is missing, for the operator; empty: nothing. */
  get problem(): string {
    if (this.#keyPairs.length === 0) return 'it names no certificate that could be presented'
    const missing = [...this.#keyPairs, this.#trust].find((lease) => lease?.material.current === null)
    return missing === undefined || missing === null ? '' : `${missing.material.name}: ${missing.material.problem}`
  }

  close(): void {
    for (const lease of this.#keyPairs) lease.release()
    this.#trust?.release()
  }

  #create(pairs: readonly KeyPairMaterial[], trust: TrustMaterial | null): ServerContext {
    return {
      options: {
        ...limits(this.#plan),
        cert: pairs.map(({ certificateChain }) => certificateChain),
        key: pairs.map(({ privateKey }) => privateKey.reveal()),
        ca: [...(trust?.certificates ?? [])],
        ...(trust === null || trust.crls.length === 0 ? {} : { crl: [...trust.crls] }),
        // An intermediate authority may be all that is trusted, as in Envoy (X509_V_FLAG_PARTIAL_CHAIN).
        ...(trust === null ? {} : { allowPartialTrustChain: true }),
        honorCipherOrder: true,
        sessionIdContext: sessionContext(this.#plan, trust),
        sessionTimeout: SESSION_TIMEOUT_S,
        // A second handshake on a connection could put another client in the place of the one that was verified.
        // A client whose first choice is ChaCha20 has no AES in its hardware.
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA,
      },
      ownUris: pairs.flatMap(({ leaf }) =>
        subjectAltNames(leaf).flatMap(({ type, value }) => (type === 'URI' ? [value] : [])),
      ),
      presented: pairs,
    }
  }
}

function limits({ minVersion, maxVersion, cipherSuites, ecdhCurves }: Limits): SecureContextOptions {
  // OpenSSL has nothing left to sign with below TLS 1.2 unless its security level is lowered: who asks for such a
  // version by name gets it.
  const isOld = minVersion < 'TLSv1.2'
  const suites = [
    ...TLS13_SUITES,
    cipherSuites ?? (isOld ? 'DEFAULT' : SERVER_CIPHERS),
    ...(isOld ? ['@SECLEVEL=0'] : []),
  ]
  return {
    minVersion,
    maxVersion,
    ciphers: suites.join(':'),
    ...(ecdhCurves === undefined ? {} : { ecdhCurve: ecdhCurves }),
  }
}

/**
 * A session is resumed only at the server, and under the demands, that it was made with: a resumed one is not verified
 * again. The same in every worker.
 */
function sessionContext({ name, serverNames, mode, clientCertificates }: TlsServerPlan, trust: TrustMaterial | null) {
  return createHash('sha256')
    .update(JSON.stringify([name, serverNames, mode, clientCertificates, trust?.certificates, trust?.crls]))
    .digest('base64')
    .slice(0, SESSION_CONTEXT_LENGTH)
}
