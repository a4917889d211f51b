/**
 * How a root rule's matches and its delegate's become one.
 *
 * Source: istio: pilot/pkg/model/virtualservice.go (`mergeHTTPMatchRequests`, `hasConflict`).
 */
import type { HTTPMatchRequest, StringMatch } from '../../resources/virtual-service.ts'

type Matches = Readonly<Record<string, StringMatch>>

/** @returns Undefined where no request could be meant by both. */
export function combineMatches(root: HTTPMatchRequest, delegate: HTTPMatchRequest): HTTPMatchRequest | undefined {
  if (!isCompatible(root, delegate)) return undefined
  const name = [root.name, delegate.name].filter((part) => part).join('-')
  return {
    ...root,
    ...delegate,
    ...(name === '' ? {} : { name }),
    ...union('headers', root.headers, delegate.headers),
    ...union('withoutHeaders', root.withoutHeaders, delegate.withoutHeaders),
    ...union('queryParams', root.queryParams, delegate.queryParams),
    ...union('sourceLabels', root.sourceLabels, delegate.sourceLabels),
  }
}

function isCompatible(root: HTTPMatchRequest, delegate: HTTPMatchRequest): boolean {
  return (
    (['uri', 'scheme', 'method', 'authority'] as const).every((field) => isNarrower(root[field], delegate[field])) &&
    (['headers', 'withoutHeaders', 'queryParams'] as const).every((field) =>
      areNarrower(root[field], delegate[field]),
    ) &&
    (root.ignoreUriCase ?? false) === (delegate.ignoreUriCase ?? false) &&
    (!root.port || !delegate.port || root.port === delegate.port) &&
    (!root.sourceNamespace || root.sourceNamespace === delegate.sourceNamespace) &&
    Object.entries(root.sourceLabels ?? {}).every(
      ([key, value]) => (delegate.sourceLabels?.[key] ?? value) === value,
    ) &&
    isWithin(delegate.gateways, root.gateways)
  )
}

function areNarrower(root: Matches | undefined, delegate: Matches | undefined): boolean {
  return Object.entries(root ?? {}).every(([name, match]) => isNarrower(match, delegate?.[name]))
}

/** Only these are known to be narrower without looking into expressions; anything else counts as a conflict. */
function isNarrower(root: StringMatch | undefined, delegate: StringMatch | undefined): boolean {
  if (root === undefined || delegate === undefined) return true
  if (root.exact !== undefined) return root.exact === delegate.exact
  if (root.prefix !== undefined) return (delegate.prefix ?? delegate.exact)?.startsWith(root.prefix) ?? false
  return false
}

function isWithin(delegate: readonly string[] | undefined, root: readonly string[] | undefined): boolean {
  if (!delegate?.length || !root?.length) return true
  return delegate.every((gateway) => root.includes(gateway))
}

function union<Field extends string, V>(
  field: Field,
  root: Readonly<Record<string, V>> | undefined,
  delegate: Readonly<Record<string, V>> | undefined,
): { [key in Field]?: Record<string, V> } {
  if (root === undefined && delegate === undefined) return {}
  return { [field]: { ...root, ...delegate } } as { [key in Field]: Record<string, V> }
}
