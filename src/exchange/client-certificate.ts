/** The certificate that a client has shown in the TLS handshake, as policies, headers and the log see it. */

/** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, taken apart. */
export interface WorkloadIdentity {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

export interface ClientCertificate {
  /** False: nobody has verified it (`insecureSkipVerify`), so what it says about its bearer counts for nothing. */
  readonly verified: boolean
  /** Subject alternative names, in the certificate's order. */
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** Null: it has no such name, or several. */
  readonly identity: WorkloadIdentity | null
  /** RFC 2253. */
  readonly subject: string
  readonly issuer: string
  /** Hexadecimal, lower case. */
  readonly sha256: string
  readonly sha1: string
  readonly serialNumber: string
  /** Milliseconds since 1970. */
  readonly validFrom: number
  readonly validTo: number
  /** PEM, percent-encoded as Envoy does it. */
  readonly encodedPem: string
  /** Its element of `x-forwarded-client-cert`. */
  readonly forwardedElement: string
}
