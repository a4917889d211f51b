/** Namespace of Kubernetes' core v1: its labels are what matters here. */
import { Type, type Static } from 'typebox'
import type { Resource } from './resource.ts'
import type { Frozen } from './schema.ts'

export const NamespaceSpecSchema = Type.Object({})

export type NamespaceSpec = Frozen<Static<typeof NamespaceSpecSchema>>
/** `metadata.namespace` is empty: a Namespace is in none. */
export type Namespace = Resource<'Namespace', NamespaceSpec>
