/**
 * Header operations of routes and destinations as edits of a header list, in Envoy's order
 * (`envoy: source/common/router/header_parser.cc`): all removes, then every value is computed against what is left,
 * then all `set` (replace), then all `add` (another line). A value that turns out empty is neither set nor added.
 */
import type { HeaderOperations } from '../plan/route.ts'
import type { HeaderEdit } from './exchange.ts'
import { addHeader, removeHeader, setHeader } from './headers.ts'
import { compileFormat, type Format, type FormatDependencies } from './substitution.ts'

type StaticOperation = readonly [name: string, value: string]
type Operation = readonly [name: string, value: string | Format]

/**
 * Compiles operations; null: there is nothing to do. Values without operators are settled here.
 *
 * A value that is no format is left out: the plan's compiler rejects those, so one that comes this far has no meaning
 * that could be guessed. `deps` has no environment by default, because who writes a route must not read the gateway's
 * variables.
 */
export function compileHeaderOperations(
  operations: HeaderOperations | undefined,
  deps: FormatDependencies = { hostname: '', environment: {} },
): HeaderEdit | null {
  if (operations === undefined) return null
  const removes = operations.remove.map((name) => name.toLowerCase())
  const sets = compileValues(operations.set, deps)
  const adds = compileValues(operations.add, deps)
  if (removes.length + sets.length + adds.length === 0) return null
  return areStatic(sets) && areStatic(adds) ? staticEdit(removes, sets, adds) : dynamicEdit(removes, sets, adds)
}

function areStatic(operations: readonly Operation[]): operations is readonly StaticOperation[] {
  return operations.every(([, value]) => typeof value === 'string')
}

function staticEdit(
  removes: readonly string[],
  sets: readonly StaticOperation[],
  adds: readonly StaticOperation[],
): HeaderEdit {
  return (headers) => {
    for (const name of removes) removeHeader(headers, name)
    for (const [name, value] of sets) setHeader(headers, name, value)
    for (const [name, value] of adds) addHeader(headers, name, value)
  }
}

function dynamicEdit(removes: readonly string[], sets: readonly Operation[], adds: readonly Operation[]): HeaderEdit {
  return (headers, exchange) => {
    for (const name of removes) removeHeader(headers, name)
    // While a response's headers are being edited they are not yet the exchange's.
    const response = headers === exchange.headers ? exchange.responseHeaders : headers
    const evaluate = ([, value]: Operation): string =>
      typeof value === 'string' ? value : value(exchange, -1, response)
    const setValues = sets.map(evaluate)
    const addValues = adds.map(evaluate)
    for (const [index, [name]] of sets.entries()) {
      if (setValues[index] !== '') setHeader(headers, name, setValues[index]!)
    }
    for (const [index, [name]] of adds.entries()) {
      if (addValues[index] !== '') addHeader(headers, name, addValues[index]!)
    }
  }
}

/** Static values as text, others as formats; without those that can never have a value. */
function compileValues(
  entries: readonly (readonly [name: string, value: string])[],
  deps: FormatDependencies,
): readonly Operation[] {
  const compiled: Operation[] = []
  for (const [name, text] of entries) {
    const result = compileFormat(text, 'header', deps)
    if (!result.ok) continue
    const value = result.constant ?? result.format
    if (value !== '') compiled.push([name.toLowerCase(), value])
  }
  return compiled
}
