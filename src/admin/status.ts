/** `/status`: is the gateway in step with its sources, and if not, what stands in the way. */
import type { Origin, Problem } from '../plan/problem.ts'
import type { PolicyProof } from '../plan/proof.ts'
import { listenerViews } from './listeners.ts'
import type { AdminModel, CertificateProblem, OrderedCertificate, SourceState, WorkerState } from './model.ts'

/** An object with errors: its last good version stays in force, or the part with the error is left out. */
export interface RejectedObject {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly source: string | null
  readonly problems: readonly Problem[]
}

export interface StatusView {
  readonly version: string
  readonly ready: boolean
  /** Number of the plan in force; 0: none yet. */
  readonly generation: number
  /** The same with the hash of its content. */
  readonly configuration: string
  /** Every worker serves this generation, every source could be read, every listener listens, no policy fails. */
  readonly inStep: boolean
  readonly logLevel: string
  readonly sources: readonly SourceState[]
  readonly workers: readonly WorkerState[]
  readonly rejected: readonly RejectedObject[]
  /** Findings that reject nothing. */
  readonly warnings: readonly Problem[]
  /** Listeners that are not up, and why. */
  readonly listenersDown: readonly {
    readonly name: string
    readonly port: number
    readonly errors: readonly string[]
  }[]
  /** Security policies in force: proven ones were seen to refuse what they have to, loaded ones were not. */
  readonly policies: readonly PolicyProof[]
  /** Certificates that cannot be used as they are. */
  readonly unusableCertificates: readonly CertificateProblem[]
  /** Security policies that this build cannot enforce: while there is one, every request is refused with 403. */
  readonly closedBy: readonly Origin[]
  /** Certificates that should have been ordered, or renewed, and could not be. */
  readonly certificates: readonly OrderedCertificate[]
}

export function statusView(model: AdminModel): StatusView {
  const { number, text } = model.generation()
  const [sources, workers, problems] = [model.sources(), model.workers(), model.problems()]
  const policies = model.policies()
  const listenersDown = listenerViews(model)
    .filter(({ up }) => !up)
    .map(({ name, port, errors }) => ({ name, port, errors }))
  return {
    version: model.version,
    ready: model.isReady(),
    generation: number,
    configuration: text,
    inStep:
      number > 0 &&
      workers.every(({ generation, problem }) => generation === number && problem === null) &&
      sources.every(({ error }) => error === null) &&
      listenersDown.length === 0 &&
      policies.every(({ state }) => state !== 'failed'),
    logLevel: model.logLevel(),
    sources,
    workers,
    rejected: rejectedObjects(problems),
    warnings: problems.filter(({ severity }) => severity !== 'error'),
    listenersDown,
    policies,
    unusableCertificates: model.certificateProblems(),
    closedBy: model.plan()?.mesh.closedBy ?? [],
    certificates: model.orderedCertificates().filter(({ lastError }) => lastError !== null),
  }
}

/** Errors by their objects; those of no object (a file that is no YAML) by their sources. */
export function rejectedObjects(problems: readonly Problem[]): RejectedObject[] {
  const errors = problems.filter(({ severity }) => severity === 'error')
  const byObject = Map.groupBy(errors, ({ origin: { kind, namespace, name, source } }) =>
    JSON.stringify([kind, namespace, name, name === '' ? source : '']),
  )
  return [...byObject.values()].map((found) => {
    const { kind, namespace, name, source } = found[0]!.origin
    return { kind, namespace, name, source: source ?? null, problems: found }
  })
}
