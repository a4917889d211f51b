/**
 * Service of Kubernetes' core v1: the fields that routing needs. Kubernetes has many more, and they are none of a
 * gateway's business, so its kinds are read without complaint about fields unknown here.
 */
import { Type, type Static } from 'typebox'
import type { Resource } from './resource.ts'
import { type Frozen, integer, integerOrText, labels, list, optional, text, texts } from './schema.ts'

const ServicePortSchema = Type.Object({
  name: optional(text),
  port: integer,
  protocol: optional(text),
  appProtocol: optional(text),
  targetPort: optional(integerOrText),
  nodePort: optional(integer),
})

export const ServiceSpecSchema = Type.Object({
  type: optional(text),
  clusterIP: optional(text),
  clusterIPs: optional(texts),
  externalName: optional(text),
  externalIPs: optional(texts),
  selector: optional(labels),
  ports: optional(list(ServicePortSchema)),
})

export type ServicePort = Frozen<Static<typeof ServicePortSchema>>
export type ServiceSpec = Frozen<Static<typeof ServiceSpecSchema>>
export type Service = Resource<'Service', ServiceSpec>
