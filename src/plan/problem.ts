/**
 * A finding about configuration: what is wrong, where, and what would be right. Reading, validating and compiling
 * collect problems and go on; `analyze`, the log, the admin API and `status` print the same ones.
 */

/**
 * `error`: the part that `origin` names is not used (the object is rejected, or the rule is left out).
 * `warning`: it is used, perhaps not as its author meant. `info`: worth knowing, nothing to do.
 */
export type Severity = 'error' | 'warning' | 'info'

/** Which object, where in it, and where that is written. */
export interface Origin {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** JSON pointer into the object (RFC 6901), for example `/spec/http/0/route/1/weight`; empty for the whole object. */
  readonly pointer?: string
  /** The file as it was given, or `kubernetes` for the API; absent for what has no source of its own. */
  readonly source?: string
  /** Line in `source`, counted from 1, where it is known. */
  readonly line?: number
}

export interface Problem {
  /**
   * `area/what`, for example `schema/type` or `route/unknown-service`. Where `istioctl analyze` has a message for it,
   * `istioCode` names that.
   */
  readonly code: string
  /** Istio's analyzer message, for example `IST0101`. */
  readonly istioCode?: string
  readonly severity: Severity
  readonly origin: Origin
  /** What is wrong, in words its author would use. */
  readonly message: string
  /** What to do about it, where that is not in the message already. */
  readonly remedy?: string
}

/** `FILE:LINE: error: Kind namespace/name /pointer: message. Remedy [code]`, as compilers print it. */
export function formatProblem(problem: Problem): string {
  const { origin } = problem
  const place =
    origin.source === undefined ? '' : `${origin.source}${origin.line === undefined ? '' : `:${origin.line}`}: `
  const object = origin.name === '' ? '' : `${origin.kind} ${origin.namespace}/${origin.name}`
  const where = [object, origin.pointer ?? ''].filter((part) => part !== '').join(' ')
  const remedy = problem.remedy === undefined ? '' : `. ${problem.remedy.replace(/\.$/, '')}`
  const codes = problem.istioCode === undefined ? problem.code : `${problem.code}, ${problem.istioCode}`
  return `${place}${problem.severity}: ${where === '' ? '' : `${where}: `}${problem.message}${remedy} [${codes}]`
}
