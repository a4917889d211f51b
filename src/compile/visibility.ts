/**
 * `exportTo`: which namespaces may use an object.
 *
 * Source: istio: pilot/pkg/model/push_context.go, pkg/config/visibility.
 */

/**
 * @param exportTo What the object says; empty or absent takes `fallback`, the mesh's default for its kind.
 * @param own Namespace of the object, which `.` stands for.
 * @param client Namespace that wants to use it.
 */
export function isVisibleTo(
  exportTo: readonly string[] | undefined,
  own: string,
  client: string,
  fallback: readonly string[],
): boolean {
  const scopes = effectiveExportTo(exportTo, fallback)
  return scopes.some((scope) => scope === '*' || scope === client || (scope === '.' && own === client))
}

export function effectiveExportTo(
  exportTo: readonly string[] | undefined,
  fallback: readonly string[],
): readonly string[] {
  return exportTo === undefined || exportTo.length === 0 ? fallback : exportTo
}

/**
 * Istio's order of preference among VirtualServices of a gateway: private to its namespace (0), exported to it by
 * name (1), public (2); undefined: not visible.
 */
export function visibilityRank(
  exportTo: readonly string[] | undefined,
  own: string,
  client: string,
  fallback: readonly string[],
): 0 | 1 | 2 | undefined {
  const scopes = effectiveExportTo(exportTo, fallback)
  if (scopes.includes('*')) return 2
  if (!isVisibleTo(scopes, own, client, fallback)) return undefined
  return scopes.length === 1 && scopes[0] === '.' ? 0 : 1
}
