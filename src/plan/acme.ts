/** Certificates that this gateway has issued by itself (ACME). For the primary process: workers get what was issued. */

export interface AcmeCertificatePlan {
  /** `NAMESPACE/NAME` of the Secret whose place it takes. */
  readonly name: string
  /** Name in `acme.issuers` of the settings. */
  readonly issuer: string
  /** Lower case, sorted; a wildcard (`*.example.com`) among them has to be proved by DNS. Never empty. */
  readonly hosts: readonly string[]
  /** Whether a listener on port 80 can answer HTTP-01, and one on port 443 TLS-ALPN-01. */
  readonly answers: { readonly 'http-01': boolean; readonly 'tls-alpn-01': boolean }
}
