/** ConfigMap of Kubernetes' core v1. It has no `spec`: what stands beside `metadata` is read as one. */
import { Type, type Static } from 'typebox'
import type { Resource } from './resource.ts'
import { type Frozen, map, optional, text } from './schema.ts'

export const ConfigMapSpecSchema = Type.Object({
  data: optional(map(text)),
  /** base64 */
  binaryData: optional(map(text)),
})

export type ConfigMapSpec = Frozen<Static<typeof ConfigMapSpecSchema>>
export type ConfigMap = Resource<'ConfigMap', ConfigMapSpec>
