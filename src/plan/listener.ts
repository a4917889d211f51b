/** Listeners of the plan: what is bound, and which routes answer there. */
import type { TrustPlan } from './cluster.ts'
import type { PassthroughPlan, TcpRoutePlan } from './tcp.ts'

/** What a TLS server asks of its clients' certificates. */
export interface ClientCertificateDemand {
  /** False: a client may come without one; one that it shows has to be good all the same. */
  readonly required: boolean
  /** `none` (`insecureSkipVerify`): any certificate will do, as far as the names and hashes below let it. */
  readonly trust: TrustPlan
  /** One of them has to be among the certificate's names, exactly; empty: any. */
  readonly subjectAltNames: readonly string[]
  /**
   * base64 SHA-256 of the certificate's public key (SubjectPublicKeyInfo), and hexadecimal SHA-256 of the certificate
   * in lower case: it has to be one of either list; both empty: any.
   */
  readonly publicKeyHashes: readonly string[]
  readonly certificateHashes: readonly string[]
  /** Of these the certificate's SPIFFE ID has to be; null: that is not looked at. */
  readonly trustDomains: readonly string[] | null
}

/** A TLS server of a Gateway: chosen by SNI, with its own routes. */
export interface TlsServerPlan {
  /** `GATEWAY-NAMESPACE/GATEWAY/PORT-NAME`, for messages. */
  readonly name: string
  /** Exact names, `*.suffix`, or `*` for every client, those without SNI too. */
  readonly serverNames: readonly string[]
  readonly mode: 'SIMPLE' | 'MUTUAL' | 'OPTIONAL_MUTUAL' | 'ISTIO_MUTUAL'
  /**
   * Names in `Plan.certificates`; one that is missing there makes handshakes fail until it appears. None, in another
   * mode than ISTIO_MUTUAL, which presents the gateway's own certificate of the mesh: the server only keeps its names
   * from other servers, and every handshake fails.
   */
  readonly certificates: readonly string[]
  /** Null: clients are not asked for a certificate. */
  readonly clientCertificates: ClientCertificateDemand | null
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL names for TLS 1.2 and below, joined by `:`; absent: Node's defaults. */
  readonly cipherSuites?: string
  /** OpenSSL names of groups, joined by `:`, the preferred first; absent: OpenSSL's defaults. */
  readonly ecdhCurves?: string
  readonly routeTable: string
  /**
   * What it ends TLS for is no HTTP, and goes on as it is; null: nowhere, no rule takes it. Absent: HTTP, which
   * `routeTable` routes.
   */
  readonly tcp?: TcpRoutePlan | null
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
  /** TLS that goes on as it came. Of several for one name the first has it. Absent: all of it ends here. */
  readonly passthrough?: readonly PassthroughPlan[]
}

/** The explicit forward proxy; what it lets through is `Plan.egress`. */
export interface EgressListenerPlan extends ListenerBase {
  readonly kind: 'egress'
  readonly bind: string
}

/** Connections of which nothing is read. */
export interface TcpListenerPlan extends ListenerBase {
  readonly kind: 'tcp'
  /** Null: no rule takes its connections, and they are closed. */
  readonly route: TcpRoutePlan | null
}

export type ListenerPlan = HttpListenerPlan | TlsListenerPlan | TcpListenerPlan | EgressListenerPlan

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
