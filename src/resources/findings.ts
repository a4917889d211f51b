/** Collects what is wrong with one object. */
import type { Problem, Severity } from '../plan/problem.ts'
import type { Metadata } from './resource.ts'

export type { Problem } from '../plan/problem.ts'

export interface Findings {
  readonly problems: readonly Problem[]
  /** The object is refused. */
  error(code: string, pointer: string, message: string, more?: MoreAboutFinding): void
  /** The object is used, perhaps not as its author meant. */
  warning(code: string, pointer: string, message: string, more?: MoreAboutFinding): void
  info(code: string, pointer: string, message: string, more?: MoreAboutFinding): void
}

export interface MoreAboutFinding {
  readonly remedy?: string | undefined
  readonly istioCode?: string
}

/** Istio's analyzer messages for what its validation refuses and what it warns of. */
const ISTIO_CODE = { error: 'IST0106', warning: 'IST0133' } as const

/** At most so many problems of one object are kept: a file of another kind altogether is wrong in every line. */
const MAX_PROBLEMS = 50

export function createFindings(object: {
  readonly kind: string
  readonly metadata: Pick<Metadata, 'namespace' | 'name'>
}): Findings {
  const problems: Problem[] = []
  const { kind } = object
  const { namespace, name } = object.metadata

  function add(severity: Severity, code: string, pointer: string, message: string, more: MoreAboutFinding = {}): void {
    // An error is never dropped for the warnings before it: it decides whether the object is used.
    if (
      problems.length >= MAX_PROBLEMS &&
      (severity !== 'error' || problems.some((known) => known.severity === 'error'))
    )
      return
    const istioCode = more.istioCode ?? (severity === 'info' ? undefined : ISTIO_CODE[severity])
    problems.push({
      code,
      ...(istioCode === undefined ? {} : { istioCode }),
      severity,
      origin: { kind, namespace, name, ...(pointer === '' ? {} : { pointer }) },
      message,
      ...(more.remedy === undefined ? {} : { remedy: more.remedy }),
    })
  }

  return {
    problems,
    error: (code, pointer, message, more) => add('error', code, pointer, message, more),
    warning: (code, pointer, message, more) => add('warning', code, pointer, message, more),
    info: (code, pointer, message, more) => add('info', code, pointer, message, more),
  }
}

/** A reference token of a JSON pointer (RFC 6901, section 3). */
export function pointerToken(key: string): string {
  return key.includes('~') || key.includes('/') ? key.replaceAll('~', '~0').replaceAll('/', '~1') : key
}

/** Keys out of `keys` that the object sets. */
export function present<Key extends string>(object: { readonly [Name in Key]?: unknown }, keys: readonly Key[]): Key[] {
  return keys.filter((key) => object[key] !== undefined)
}
