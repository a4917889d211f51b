/** EndpointSlice of discovery.k8s.io/v1. It has no `spec`: what stands beside `metadata` is read as one. */
import { Type, type Static } from 'typebox'
import type { Resource } from './resource.ts'
import { flag, type Frozen, integer, list, optional, text, texts } from './schema.ts'

const EndpointSchema = Type.Object({
  addresses: texts,
  conditions: optional(Type.Object({ ready: optional(flag), serving: optional(flag), terminating: optional(flag) })),
  hostname: optional(text),
  nodeName: optional(text),
  zone: optional(text),
  targetRef: optional(
    Type.Object({ kind: optional(text), namespace: optional(text), name: optional(text), uid: optional(text) }),
  ),
})

const EndpointPortSchema = Type.Object({
  name: optional(text),
  protocol: optional(text),
  port: optional(integer),
  appProtocol: optional(text),
})

export const EndpointSliceSpecSchema = Type.Object({
  addressType: optional(text),
  endpoints: optional(list(EndpointSchema)),
  ports: optional(list(EndpointPortSchema)),
})

export type Endpoint = Frozen<Static<typeof EndpointSchema>>
export type EndpointPort = Frozen<Static<typeof EndpointPortSchema>>
export type EndpointSliceSpec = Frozen<Static<typeof EndpointSliceSpecSchema>>
/** The label `kubernetes.io/service-name` names its service. */
export type EndpointSlice = Resource<'EndpointSlice', EndpointSliceSpec>
