/** How long the certificates that are presented to clients are still good, for the metrics page. */
import { X509Certificate } from 'node:crypto'
import type { CertificatePlan } from '../plan/listener.ts'

export interface CertificateExpiry {
  readonly name: string
  /** End of the leaf's validity, in ms since 1970. */
  readonly notAfter: number
}

/**
 * @param readFile Text of a file, for certificates that are paths in the plan; they are read at every call.
 * @returns What reads the certificates of a plan. One that cannot be read is left out: `/certs` says why.
 */
export function createExpiryReader(
  readFile: (path: string) => Promise<string>,
): (certificates: Iterable<CertificatePlan>) => Promise<CertificateExpiry[]> {
  // The compiler keeps the identity of what did not change, so each is parsed once.
  const known = new WeakMap<CertificatePlan, number>()
  return async (certificates) => {
    const found: CertificateExpiry[] = []
    for (const certificate of certificates) {
      if ('caCertificates' in certificate) continue
      try {
        let notAfter = known.get(certificate)
        if (notAfter === undefined) {
          const isFile = 'certificateFile' in certificate
          const chain = isFile ? await readFile(certificate.certificateFile) : certificate.certificateChain
          notAfter = new X509Certificate(chain).validToDate.getTime()
          if (!isFile) known.set(certificate, notAfter)
        }
        found.push({ name: certificate.name, notAfter })
      } catch {
        continue
      }
    }
    return found
  }
}
