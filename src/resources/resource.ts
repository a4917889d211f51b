/**
 * What all resources have in common, whatever source they come from. The kinds themselves are one file each beside
 * this one; their types follow from their schemas.
 */

export interface Metadata {
  readonly name: string
  /** `default` where the object named none; empty for kinds without a namespace (Namespace). */
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** RFC 3339; absent for objects from files, which then order by name and namespace alone. */
  readonly creationTimestamp?: string
}

/** An object after it was read and checked: nothing in it needs checking again. */
export interface Resource<Kind extends string, Spec> {
  readonly apiVersion: string
  readonly kind: Kind
  readonly metadata: Metadata
  readonly spec: Spec
}

/** `Kind/namespace/name`: the identity of an object over all its versions. */
export type ResourceKey = string

export function resourceKey(kind: string, namespace: string, name: string): ResourceKey {
  return `${kind}/${namespace}/${name}`
}

/**
 * Istio's order among objects of one kind: oldest first, then by name, then by namespace. "The first" in Istio's
 * documentation always means this order (`pilot/pkg/model/config.go`, `sortByCreationComparator`).
 */
export function compareResources(a: { metadata: Metadata }, b: { metadata: Metadata }): number {
  const [left, right] = [a.metadata, b.metadata]
  return (
    compareText(left.creationTimestamp ?? '', right.creationTimestamp ?? '') ||
    compareText(left.name, right.name) ||
    compareText(left.namespace, right.namespace)
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
