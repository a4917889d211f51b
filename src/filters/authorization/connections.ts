/**
 * AuthorizationPolicies for connections of which no request is read: what is said of requests has no meaning there.
 *
 * Source: semantics §5.7 ("TCP servers"); istio: pilot/pkg/security/authz/model/model.go (`generatePermission`,
 * `generatePrincipal`, `forTCP`), pilot/pkg/security/authz/builder/builder.go.
 */
import type {
  AuthorizationPlan,
  AuthorizationRulePlan,
  ConditionPlan,
  CustomAuthorizationPlan,
  TextAttribute,
} from '../../plan/authorization.ts'

const TEXT_OF_REQUESTS: Readonly<Record<TextAttribute, boolean>> = {
  'source.principal': false,
  'source.namespace': false,
  'source.serviceAccount': false,
  'source.trustDomain': false,
  'connection.sni': false,
  metadata: false,
  'request.auth.audiences': true,
  'request.auth.presenter': true,
  host: true,
  method: true,
}

/**
 * The policies as they hold for connections. What allows, or asks an authorizer, by a request can never do so and is
 * left out; what denies by a request denies more, since that part of it is left out.
 */
export function forConnections({ custom, audit, deny, allow, dryRun }: AuthorizationPlan): AuthorizationPlan {
  return {
    custom: custom.map(askNobody),
    audit: audit.map(withoutRequests),
    deny: deny.map(withoutRequests),
    allow: allow?.filter(hasNoRequests) ?? null,
    dryRun: { deny: dryRun.deny.map(withoutRequests), allow: dryRun.allow?.filter(hasNoRequests) ?? null },
  }
}

/** An external authorizer decides on requests: a connection that one should be asked about is refused. */
function askNobody(custom: CustomAuthorizationPlan): CustomAuthorizationPlan {
  return { ...custom, provider: null, rules: custom.rules.filter(hasNoRequests) }
}

function isOfRequests(condition: ConditionPlan): boolean {
  switch (condition.kind) {
    case 'text':
      return TEXT_OF_REQUESTS[condition.attribute]
    case 'header':
    case 'path':
    case 'claim':
    case 'request-principal':
      return true
    case 'address':
    case 'port':
      return false
    default:
      return condition satisfies never
  }
}

function hasNoRequests({ from, to, when }: AuthorizationRulePlan): boolean {
  return ![...from.flat(), ...to.flat(), ...when].some(isOfRequests)
}

function withoutRequests(rule: AuthorizationRulePlan): AuthorizationRulePlan {
  const keep = (conditions: readonly ConditionPlan[]) => conditions.filter((condition) => !isOfRequests(condition))
  return { ...rule, from: rule.from.map(keep), to: rule.to.map(keep), when: keep(rule.when) }
}
