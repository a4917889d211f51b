/** What policies, headers and the log may want to know of a client's certificate, worked out when it is asked for. */
import type { X509Certificate } from 'node:crypto'
import {
  distinguishedName,
  encodedPem,
  fingerprint,
  forwardedElement,
  readWorkloadIdentity,
} from '../certificates/client-certificate.ts'
import { subjectAltNames } from '../certificates/subject-alt-names.ts'
import type { ClientCertificate, WorkloadIdentity } from '../exchange/client-certificate.ts'

/** @param ownUris URI names of the certificate that the gateway has presented. */
export function describeClientCertificate(
  certificate: X509Certificate,
  ownUris: readonly string[],
  verified: boolean,
): ClientCertificate {
  return new Description(certificate, ownUris, verified)
}

/** One a connection: most connections are asked for a part of it, some for nothing. */
class Description implements ClientCertificate {
  readonly verified: boolean
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly identity: WorkloadIdentity | null
  readonly #certificate: X509Certificate
  readonly #ownUris: readonly string[]
  #forwardedElement: string | null = null

  constructor(certificate: X509Certificate, ownUris: readonly string[], verified: boolean) {
    this.#certificate = certificate
    this.#ownUris = ownUris
    this.verified = verified
    const names = subjectAltNames(certificate)
    this.uris = names.flatMap(({ type, value }) => (type === 'URI' ? [value] : []))
    this.dnsNames = names.flatMap(({ type, value }) => (type === 'DNS' ? [value] : []))
    // A workload has one SPIFFE ID and no other URI (X.509-SVID §2): two would let it be whoever a rule wants.
    this.identity = this.uris.length === 1 ? readWorkloadIdentity(this.uris[0]!) : null
  }

  get subject(): string {
    return distinguishedName(this.#certificate.subject)
  }

  get issuer(): string {
    return distinguishedName(this.#certificate.issuer)
  }

  get sha256(): string {
    return fingerprint(this.#certificate.fingerprint256)
  }

  get sha1(): string {
    return fingerprint(this.#certificate.fingerprint)
  }

  get serialNumber(): string {
    return this.#certificate.serialNumber.toLowerCase()
  }

  get validFrom(): number {
    return this.#certificate.validFromDate.getTime()
  }

  get validTo(): number {
    return this.#certificate.validToDate.getTime()
  }

  get encodedPem(): string {
    return encodedPem(this.#certificate)
  }

  get forwardedElement(): string {
    this.#forwardedElement ??= forwardedElement(this.#certificate, this.#ownUris)
    return this.#forwardedElement
  }
}
