/** What an external authorizer has said of a request, whichever protocol it speaks. */
import type { Exchange } from '../../exchange/exchange.ts'
import type { HeaderList } from '../../exchange/headers.ts'

export type Verdict = AllowVerdict | DenyVerdict | ErrorVerdict

export interface AllowVerdict {
  readonly kind: 'allow'
  /** Of the request, in this order; then `remove`. */
  readonly requestHeaders: readonly HeaderChange[]
  readonly removedHeaders: readonly string[]
  /** Of the response. */
  readonly responseHeaders: readonly HeaderChange[]
  readonly query: {
    readonly set: readonly (readonly [name: string, value: string])[]
    readonly remove: readonly string[]
  }
}

export interface DenyVerdict {
  readonly kind: 'deny'
  readonly status: number
  /** Without what concerns the authorizer's connection alone. */
  readonly headers: HeaderList
  readonly body: string | Buffer
}

/** It could not be asked, or its answer is of no use. */
export interface ErrorVerdict {
  readonly kind: 'error'
  /** For the operator; no part of it goes to the client. */
  readonly reason: string
}

export interface HeaderChange {
  /** Lower case. */
  readonly name: string
  readonly value: string
  readonly how: HeaderChangeKind
}

export type HeaderChangeKind =
  /** In place of those that are there. */
  | 'set'
  /** Behind the value that is there, after a comma. */
  | 'append'
  /** On a line of its own. */
  | 'add'
  /** Only where there is none. */
  | 'add-if-absent'
  /** Only where there is one. */
  | 'overwrite'

/** The part of a request's body that the authorizer is shown. */
export interface CheckedBody {
  readonly bytes: Buffer
  /** More of it follows, or may. */
  readonly partial: boolean
}

/**
 * Asks about one request.
 *
 * @param body Null: the authorizer is not shown any, or there is none.
 * @param done Called once, and not after the check was called off.
 * @returns What calls the check off. @param timedOut Its time is up: the connection may be dead.
 */
export type Checker = (
  exchange: Exchange,
  body: CheckedBody | null,
  done: (verdict: Verdict) => void,
) => (timedOut: boolean) => void

/** Tells an authorizer, and is not believed where a client says it. */
export const PARTIAL_BODY_HEADER = 'x-envoy-auth-partial-body'

/** A longer answer is no answer: what it holds is kept until it is whole. */
export const MAX_ANSWER_BYTES = 1024 * 1024
