/** What the process that obtains the mesh certificate has of it, beyond what the users of the certificate need. */
import type { MeshCertificate, MeshIdentity } from '../mesh-identity.ts'
import type { IdentityProblem } from './problem.ts'

export interface IdentityStatus {
  readonly provider: 'files' | 'istiod'
  /** When the next one will be asked for, in ms since 1970; null: that is not for this gateway to do, or it is asking. */
  readonly renewAt: number | null
  /** Why the last try to get a newer one failed; null: it did not. */
  readonly problem: string | null
}

export interface ManagedIdentity extends MeshIdentity {
  /** Resolves when the first try has ended, well or badly. Never rejects. */
  readonly started: Promise<void>
  status(): IdentityStatus
}

export interface IdentityLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Tells of a problem when it begins or becomes another one, and of the certificate that ends it. */
export class IdentityReporter {
  readonly #log: IdentityLog
  readonly #provider: IdentityStatus['provider']
  #told: string | null = null

  constructor(log: IdentityLog, provider: IdentityStatus['provider']) {
    this.#log = log
    this.#provider = provider
  }

  /** @param inForce What stays in force meanwhile. */
  problem(problem: IdentityProblem, inForce: MeshCertificate | null): void {
    const key = `${problem.kind} ${problem.message}`
    if (key === this.#told) return
    this.#told = key
    const fields = { provider: this.#provider, reason: problem.kind, ...(problem.detail && { detail: problem.detail }) }
    const consequence =
      inForce === null
        ? 'there is no mesh certificate until that changes'
        : `the one in force stays until ${isoTime(inForce.notAfter)}`
    this.#log.warn(fields, `no new mesh certificate: ${problem.message}; ${consequence}`)
  }

  /** @param isNew False: it was in force all the time, which is worth a line only after a problem. */
  inForce(certificate: MeshCertificate, renewAt: number | null, isNew: boolean): void {
    if (!isNew && this.#told === null) return
    this.#told = null
    const { spiffeId, notAfter } = certificate
    const renewal = renewAt === null ? {} : { renewAt: isoTime(renewAt) }
    const fields = { provider: this.#provider, spiffeId, notAfter: isoTime(notAfter), ...renewal }
    if (spiffeId === '')
      this.#log.warn(fields, 'mesh certificate in force; it has no SPIFFE id, so peers may refuse it')
    else this.#log.info(fields, 'mesh certificate in force')
  }

  expired({ spiffeId, notAfter }: MeshCertificate): void {
    this.#log.error(
      { provider: this.#provider, spiffeId, notAfter: isoTime(notAfter) },
      'the mesh certificate has expired and there is no newer one: mutual TLS inside the mesh fails from now on',
    )
  }
}

/** @param ms Since 1970. */
function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
