/**
 * Header operations of rules and destinations, and the Host that hides among them.
 *
 * Source: istio: pilot/pkg/networking/core/route/route.go (`TranslateHeadersOperations`, `applyHeadersOperations`);
 * envoy: source/common/router/header_parser.cc for the order of evaluation.
 */
import type { HeaderOperations } from '../../plan/route.ts'
import type { HeaderOperations as HeaderOperationsSpec } from '../../resources/virtual-service.ts'

export interface Operations {
  /** Undefined where nothing is left to do. */
  readonly headers: HeaderOperations | undefined
  /** Value set for `host` or `:authority`: Envoy has an action of its own for that. */
  readonly host: string | undefined
}

const NONE: Operations = { headers: undefined, host: undefined }

/** Reads one list of operations: names in lower case and in order, Host apart from the others. */
export function readOperations(spec: HeaderOperationsSpec | undefined): Operations {
  if (spec === undefined) return NONE
  const set = entries(spec.set)
  const add = entries(spec.add)
  const host = [...set, ...add].find(([name]) => isHost(name))?.[1]
  const headers = orNothing({
    remove: (spec.remove ?? []).map((name) => name.toLowerCase()),
    set: set.filter(([name]) => !isHost(name)),
    add: add.filter(([name]) => !isHost(name)),
  })
  return { headers, host }
}

/** Joins two lists into one evaluation; where both set a header the second one wins. */
export function joinOperations(
  first: HeaderOperations | undefined,
  second: HeaderOperations | undefined,
): HeaderOperations | undefined {
  if (first === undefined || second === undefined) return first ?? second
  return {
    remove: [...first.remove, ...second.remove],
    set: [...first.set, ...second.set],
    add: [...first.add, ...second.add],
  }
}

function entries(values: Readonly<Record<string, string>> | undefined): (readonly [name: string, value: string])[] {
  if (values === undefined) return []
  return Object.entries(values)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

function isHost(name: string): boolean {
  return name === 'host' || name === ':authority'
}

function orNothing(operations: HeaderOperations): HeaderOperations | undefined {
  const { remove, set, add } = operations
  return remove.length + set.length + add.length === 0 ? undefined : operations
}
