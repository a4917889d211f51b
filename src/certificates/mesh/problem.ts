/** Why there is no new mesh certificate. Each kind is one thing that an operator would do about it. */

export const IDENTITY_PROBLEMS = [
  /** The token's file is missing, empty or unreadable, or names nobody. */
  'token',
  /** The file of the roots that the CA is verified against. */
  'trust-root',
  'unreachable',
  /** Something answers there whose certificate is not trusted. */
  'untrusted-ca',
  'timeout',
  'unauthenticated',
  'denied',
  /** The CA does not like the request, the lifetime for example. */
  'refused',
  'ca-error',
  /** No certificates in the reply, or text that is none. */
  'bad-reply',
  'key-mismatch',
  'wrong-identity',
  'outside-validity',
  'untrusted-chain',
  /** A file of a mounted certificate that is missing, cannot be read, or does not fit the others. */
  'file',
] as const

export type IdentityProblemKind = (typeof IDENTITY_PROBLEMS)[number]

export class IdentityProblem extends Error {
  readonly kind: IdentityProblemKind
  /** What the other side or the operating system said; it may differ from try to try. */
  readonly detail: string

  /** @param message The same while the cause is the same: the log tells of a change only. */
  constructor(kind: IdentityProblemKind, message: string, detail = '') {
    super(message)
    this.name = 'IdentityProblem'
    this.kind = kind
    this.detail = detail.length > MOST_DETAIL ? `${detail.slice(0, MOST_DETAIL)}…` : detail
  }
}

/** Characters: a detail comes from outside. */
const MOST_DETAIL = 300

/** Of whatever was thrown. */
export function asIdentityProblem(error: unknown, kind: IdentityProblemKind): IdentityProblem {
  if (error instanceof IdentityProblem) return error
  return new IdentityProblem(kind, 'unexpected error', error instanceof Error ? error.message : String(error))
}
