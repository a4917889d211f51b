/** Everything that can go wrong between a host and its certificate, told so that an operator can act on it. */

export type AcmeFailure =
  /** The directory does not answer, answers too late, or with an error of its own (5xx). */
  | 'unreachable'
  /** The authority says that there were too many requests. */
  | 'rate-limited'
  /** The local budget is used up; the authority was not asked. */
  | 'budget'
  /** The authority does not know the account, or has shut it. */
  | 'account'
  /** A host could not be proved. */
  | 'validation'
  /** The authority refused, for another reason. */
  | 'refused'
  /** What was issued cannot be used. */
  | 'certificate'
  /** A record could not be published. */
  | 'dns'
  /** The storage cannot be read or written. */
  | 'storage'
  /** The settings of the issuer cannot be used. */
  | 'settings'
  /** Somebody else holds the lock by now, or the gateway ends. */
  | 'interrupted'

export interface AcmeProblemFacts {
  /** The authority's own type of error, `urn:ietf:params:acme:error:…` (RFC 8555 section 6.7). */
  readonly type?: string
  /** Hosts that it is about, where it is not about all. */
  readonly hosts?: readonly string[]
  /** How long the authority wants to be left alone, in ms. */
  readonly retryAfterMs?: number
}

export class AcmeProblem extends Error {
  readonly kind: AcmeFailure
  readonly type: string
  readonly hosts: readonly string[]
  readonly retryAfterMs: number | null

  constructor(kind: AcmeFailure, message: string, facts: AcmeProblemFacts = {}) {
    super(message)
    this.kind = kind
    this.type = facts.type ?? ''
    this.hosts = facts.hosts ?? []
    this.retryAfterMs = facts.retryAfterMs ?? null
  }
}

/** @param kind What an error that says nothing of itself is taken for. */
export function asAcmeProblem(error: unknown, kind: AcmeFailure): AcmeProblem {
  if (error instanceof AcmeProblem) return error
  return new AcmeProblem(kind, error instanceof Error ? error.message : String(error))
}
