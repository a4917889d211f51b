/** This gateway's own identity in a mesh, as those that present or verify certificates see it. */

/** One workload certificate and what its mesh trusts. */
export interface MeshCertificate {
  /** PEM, leaf first; the leaf's only name is a SPIFFE ID. */
  readonly certificateChain: string
  /** PEM. Never printed. */
  readonly privateKey: string
  /** PEM bundle of the mesh's roots. */
  readonly rootCertificates: string
  /** End of the leaf's validity, ms since the epoch. */
  readonly notAfter: number
  /** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT` */
  readonly spiffeId: string
}

/** Who gets and renews the workload certificate. */
export interface MeshIdentity {
  /** Null while there is none. */
  current(): MeshCertificate | null
  /**
   * Calls after every change of {@link MeshIdentity.current}.
   *
   * @returns What ends that.
   */
  onChange(callback: () => void): () => void
  close(): Promise<void>
}
