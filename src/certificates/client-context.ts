/** What a TLS client presents and trusts, ready for OpenSSL; made anew when the material is, not for every connection. */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { CLIENT_CIPHERS } from './cipher-suites.ts'
import type { MaterialLease } from './material-store.ts'
import type { KeyPairMaterial, TrustMaterial } from './pem.ts'
import type { Material } from './rotating-material.ts'

export interface ClientContext {
  /** Different for different material: connections of two generations are not mixed. */
  readonly generation: string
  readonly secureContext: SecureContext
}

export interface ClientContextParts {
  /** Null: peers are not verified. */
  readonly trust: MaterialLease<TrustMaterial> | null
  /** Null: no certificate is presented. */
  readonly keyPair: MaterialLease<KeyPairMaterial> | null
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Gives the context of that key if there is one, else makes it. */
  readonly share: (key: string, create: () => SecureContext) => SecureContext
}

export class ClientContextSource {
  readonly #parts: ClientContextParts
  #current: ClientContext | null = null
  #trust: Material<TrustMaterial> | null = null
  #keyPair: Material<KeyPairMaterial> | null = null

  constructor(parts: ClientContextParts) {
    this.#parts = parts
  }

  /**
   * For the next connection; the same object while nothing changes.
   *
   * @returns Null where something is missing: then there must be no connection.
   */
  current(): ClientContext | null {
    const { trust, keyPair } = this.#parts
    if (trust?.material.current === null || keyPair?.material.current === null) return null
    const trusted = trust?.material.current ?? null
    const presented = keyPair?.material.current ?? null
    if (this.#current !== null && trusted === this.#trust && presented === this.#keyPair) return this.#current
    this.#trust = trusted
    this.#keyPair = presented
    this.#current = this.#create(trusted, presented)
    return this.#current
  }

  /** What is missing, for the operator; empty: nothing. */
  get problem(): string {
    const { trust, keyPair } = this.#parts
    const missing = [trust, keyPair].find((lease) => lease?.material.current === null)
    return missing?.material.problem ?? ''
  }

  close(): void {
    this.#parts.trust?.release()
    this.#parts.keyPair?.release()
  }

  #create(trust: Material<TrustMaterial> | null, keyPair: Material<KeyPairMaterial> | null): ClientContext {
    const { minVersion, share } = this.#parts
    const generation = `${trust?.generation ?? '-'}.${keyPair?.generation ?? '-'}`
    const secureContext = share(`${generation} ${minVersion}`, () =>
      createSecureContext({
        // An intermediate authority may be all that is trusted, as in Envoy (X509_V_FLAG_PARTIAL_CHAIN).
        allowPartialTrustChain: true,
        ca: [...(trust?.value.certificates ?? [])],
        ...(trust === null || trust.value.crls.length === 0 ? {} : { crl: [...trust.value.crls] }),
        ...(keyPair === null ? {} : { cert: keyPair.value.certificateChain, key: keyPair.value.privateKey.reveal() }),
        ciphers: CLIENT_CIPHERS,
        minVersion,
        maxVersion: 'TLSv1.3',
        // A second handshake on a connection could put another peer in the place of the one that was verified.
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      }),
    )
    return { generation, secureContext }
  }
}
