/** What the admin API needs to know of the gateway: plain functions that give plain data. */
import type { Plan } from '../plan/plan.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { MeshCertificateState } from './mesh-certificate.ts'
import type { Problem } from '../plan/problem.ts'

/** A source of resources: a folder, a file, the Kubernetes API. */
export interface SourceState {
  readonly name: string
  /** Objects that were read from it. */
  readonly objects: number
  /** Milliseconds since 1970 of the last complete reading; null: none yet. */
  readonly readAt: number | null
  /** Why the newest reading failed; null: it did not. What it held before stays in force. */
  readonly error: string | null
}

export interface WorkerState {
  readonly id: number
  readonly pid: number | null
  /** Generation that the worker serves; 0: none yet. */
  readonly generation: number
  readonly restarts: number
  /** Why it could not apply an update, of which it may serve a part; null: nothing of the kind. */
  readonly problem: string | null
}

/** One listener as a worker has it. */
export interface ListenerState {
  readonly name: string
  /** The Gateway server's port. */
  readonly port: number
  /** Where it is bound, `ADDRESS:PORT`. */
  readonly address: string
  /** Null: it listens. */
  readonly error: string | null
}

export interface EndpointStats {
  /** `ADDRESS:PORT` */
  readonly address: string
  readonly weight: number
  readonly connections: number
  /** Requests in flight, and since the endpoint exists. */
  readonly active: number
  readonly requests: number
  readonly connectFailures: number
  /** Until when outlier detection leaves it out, in ms since 1970; null: it does not. Absent: nothing judges it. */
  readonly ejectedUntil?: number | null
}

/** One cluster as one worker has it. */
export interface ClusterStats {
  readonly name: string
  readonly endpoints: readonly EndpointStats[]
}

/** A certificate that is ordered from an authority and renewed. All times in ms since 1970. */
export interface OrderedCertificate {
  readonly name: string
  readonly issuer: string
  readonly hosts: readonly string[]
  /** Of the one that was issued; null: none was yet. */
  readonly notAfter: number | null
  /** When it is ordered, or renewed, next; null: it is just happening. */
  readonly nextAttemptAt: number | null
  /** Why the last attempt failed; null: it did not. */
  readonly lastError: string | null
  /** Attempts that failed since one succeeded. */
  readonly failures: number
}

/** A request to be explained, as `sluice explain` sends it. */
export interface ExplainRequest {
  readonly method: string
  /** With its host. */
  readonly url: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`: the workload whose certificate the client shows; absent: it shows none. */
  readonly principal?: string
}

export interface CertificateProblem {
  /** As `/certs` calls it, or the path of a file. */
  readonly name: string
  readonly problem: string
}

export interface AdminModel {
  readonly version: string
  /** The plan in force; null: none yet. */
  plan(): Plan | null
  /** Its number, and `NUMBER-HASH`. */
  generation(): { readonly number: number; readonly text: string }
  /** Findings about the newest configuration. Objects with an `error` among them are rejected, or left out in part. */
  problems(): readonly Problem[]
  sources(): readonly SourceState[]
  workers(): readonly WorkerState[]
  /** The security policies in force, and whether they were seen to refuse. */
  policies(): readonly PolicyProof[]
  /** Of all workers; the same listener may be there once a worker. */
  listenerStates(): readonly ListenerState[]
  /** Of all workers; they are added up here. A worker that does not answer is left out. */
  clusterStats(): Promise<readonly ClusterStats[]>
  /** The gateway's own certificate in its mesh; null: it has no identity there. */
  meshCertificate(): MeshCertificateState | null
  /** Certificates that are ordered from authorities (ACME), issued yet or not. */
  orderedCertificates(): readonly OrderedCertificate[]
  /** Certificates of the plan that cannot be used as they are: expired, unreadable, no pair. What was good before may be in use. */
  certificateProblems(): readonly CertificateProblem[]
  isReady(): boolean
  metricsText(): Promise<string>
  readonly metricsContentType: string
  logLevel(): string
  /** In every process. */
  setLogLevel(level: string): void
  /** Begins to drain, as SIGTERM does; returns at once. */
  drain(): void
  /** What would serve a request, and why; absent: this gateway cannot tell. */
  explain?(request: ExplainRequest): unknown
}
