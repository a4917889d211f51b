/** Making problems: every step of the compiler reports through these, so that origins look alike. */
import type { Origin, Problem, Severity } from '../plan/problem.ts'
import type { Metadata } from '../resources/resource.ts'

/** Any resource, as far as its identity goes. */
export interface Named {
  readonly kind: string
  readonly metadata: Metadata
}

/** @param pointer JSON pointer into the object; empty for the whole of it. */
export function originOf(resource: Named, pointer = ''): Origin {
  const { namespace, name } = resource.metadata
  return pointer === '' ? { kind: resource.kind, namespace, name } : { kind: resource.kind, namespace, name, pointer }
}

export interface Finding {
  readonly code: string
  readonly istioCode?: string
  readonly message: string
  readonly remedy?: string
}

export function problem(severity: Severity, resource: Named, pointer: string, finding: Finding): Problem {
  return { ...finding, severity, origin: originOf(resource, pointer) }
}

/** `NAMESPACE/NAME`, as Istio's users refer to objects. */
export function nameOf(resource: { readonly metadata: Metadata }): string {
  return `${resource.metadata.namespace}/${resource.metadata.name}`
}

/** Drops repetitions: the same finding about the same place, reached by two ways. Keeps the first of each. */
export function distinct(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter(({ code, origin, message }) => {
    const key = JSON.stringify([code, origin.kind, origin.namespace, origin.name, origin.pointer, message])
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** Quotes one part of a JSON pointer (RFC 6901): header names and hosts may hold `/` and `~`. */
export function pointerPart(part: string | number): string {
  return String(part).replaceAll('~', '~0').replaceAll('/', '~1')
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
