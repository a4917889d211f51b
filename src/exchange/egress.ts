/** What the explicit forward proxy has found out about a request; the audit and the metrics are made of it. */
import type { Origin } from '../plan/problem.ts'

/** Why a request did not get through. */
export type EgressDenial =
  | 'not-in-registry'
  | 'private-address'
  /** The port of the list speaks another protocol. */
  | 'protocol'
  /** Policies, or credentials that were no good. */
  | 'policy'
  /** It cannot be understood, or contradicts itself. */
  | 'bad-request'
  | 'sni-mismatch'
  | 'sni-missing'
  | 'not-tls'
  | 'encrypted-client-hello'
  | 'bad-client-hello'

export interface EgressFacts {
  /** `HOST:PORT` as it was understood; as it was written where it was not. */
  target: string
  /** Nothing lists the target, and `ALLOW_ANY` lets it through. */
  any: boolean
  /** The ServiceEntry that lists it; null: none does. */
  allowedBy: Origin | null
  /** Empty: it was let through. */
  denied: EgressDenial | ''
  /** What the log adds to that; may be empty. */
  detail: string
  /** Server name that the client asked for in a tunnel; empty: none, or not known. */
  serverName: string
  /** Namespace of the client's workload; empty: not known. */
  clientNamespace: string
}
