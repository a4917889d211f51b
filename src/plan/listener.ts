/** Listeners of the plan: what is bound, and which routes answer there. */

/** A TLS server of a Gateway: chosen by SNI, with its own routes. */
export interface TlsServerPlan {
  /** `GATEWAY-NAMESPACE/GATEWAY/PORT-NAME`, for messages. */
  readonly name: string
  /** Exact names, `*.suffix`, or `*` for every client, those without SNI too. */
  readonly serverNames: readonly string[]
  readonly mode: 'SIMPLE'
  /**
   * Names in `Plan.certificates`; one that is missing there makes handshakes fail until it appears. None: the server
   * only keeps its names from other servers, and every handshake fails.
   */
  readonly certificates: readonly string[]
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL names for TLS 1.2 and below, joined by `:`; absent: Node's defaults. */
  readonly cipherSuites?: string
  readonly routeTable: string
}

interface ListenerBase {
  /** `PORT` or `BIND_PORT`: the identity of a listener over all plans. */
  readonly name: string
  /** The Gateway server's port; `--listen` may map it to another local one. */
  readonly port: number
  /** The server's own `bind`; absent: the gateway's address. */
  readonly bind?: string
}

export interface HttpListenerPlan extends ListenerBase {
  readonly kind: 'http'
  readonly routeTable: string
}

export interface TlsListenerPlan extends ListenerBase {
  readonly kind: 'tls'
  readonly servers: readonly TlsServerPlan[]
}

export type ListenerPlan = HttpListenerPlan | TlsListenerPlan

/** A key pair as it is presented, whole in the plan. `privateKey` is never printed. */
export interface SecretCertificatePlan {
  /** `NAMESPACE/NAME` of the Secret. */
  readonly name: string
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM. */
  readonly privateKey: string
}

/** A key pair in files, which are read, and read again when they change, by whoever presents it. */
export interface FileCertificatePlan {
  /** `file:` and the path of the certificate. */
  readonly name: string
  /** Path of a PEM file, leaf first. */
  readonly certificateFile: string
  /** Path of a PEM file. */
  readonly privateKeyFile: string
}

/** Certificates that peers are verified against, from a Secret or ConfigMap. */
export interface CaCertificatePlan {
  /** `ca:NAMESPACE/NAME` of a Secret (its name without `-cacert`), `ca:configmap://NAMESPACE/NAME` of a ConfigMap. */
  readonly name: string
  /** PEM bundle. */
  readonly caCertificates: string
  /** PEM. */
  readonly crl?: string
}

export type CertificatePlan = SecretCertificatePlan | FileCertificatePlan | CaCertificatePlan
