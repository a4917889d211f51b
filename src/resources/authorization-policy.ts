/** AuthorizationPolicy: who may do what. istio/api security/v1beta1/authorization_policy.proto */
import type { Static } from 'typebox'
import type { Resource } from './resource.ts'
import {
  fields,
  type Frozen,
  list,
  optional,
  PolicySelectorSchema,
  PolicyTargetReferenceSchema,
  text,
  texts,
  word,
} from './schema.ts'

const SourceSchema = fields({
  principals: optional(texts),
  notPrincipals: optional(texts),
  requestPrincipals: optional(texts),
  notRequestPrincipals: optional(texts),
  namespaces: optional(texts),
  notNamespaces: optional(texts),
  serviceAccounts: optional(texts),
  notServiceAccounts: optional(texts),
  trustDomains: optional(texts),
  notTrustDomains: optional(texts),
  ipBlocks: optional(texts),
  notIpBlocks: optional(texts),
  remoteIpBlocks: optional(texts),
  notRemoteIpBlocks: optional(texts),
})

const OperationSchema = fields({
  hosts: optional(texts),
  notHosts: optional(texts),
  ports: optional(texts),
  notPorts: optional(texts),
  methods: optional(texts),
  notMethods: optional(texts),
  paths: optional(texts),
  notPaths: optional(texts),
})

const ConditionSchema = fields({ key: text, values: optional(texts), notValues: optional(texts) })

const RuleSchema = fields({
  from: optional(list(fields({ source: optional(SourceSchema) }))),
  to: optional(list(fields({ operation: optional(OperationSchema) }))),
  when: optional(list(ConditionSchema)),
})

export const AuthorizationPolicySpecSchema = fields({
  selector: optional(PolicySelectorSchema),
  targetRef: optional(PolicyTargetReferenceSchema),
  targetRefs: optional(list(PolicyTargetReferenceSchema)),
  rules: optional(list(RuleSchema)),
  action: optional(word(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'])),
  provider: optional(fields({ name: optional(text) })),
})

export type Source = Frozen<Static<typeof SourceSchema>>
export type Operation = Frozen<Static<typeof OperationSchema>>
export type Condition = Frozen<Static<typeof ConditionSchema>>
export type Rule = Frozen<Static<typeof RuleSchema>>
export type AuthorizationPolicySpec = Frozen<Static<typeof AuthorizationPolicySpecSchema>>
export type AuthorizationPolicy = Resource<'AuthorizationPolicy', AuthorizationPolicySpec>
