/**
 * Security policies that are for this gateway. This version enforces none of them, so the gateway closes.
 *
 * Source: istio: pilot/pkg/model/policyattachment.go and authorization.go (which policies apply), pkg/config/security.
 */
import type { Origin, Problem } from '../plan/problem.ts'
import type { AuthorizationPolicy } from '../resources/authorization-policy.ts'
import type { RequestAuthentication } from '../resources/request-authentication.ts'
import type { Snapshot } from '../resources/snapshot.ts'
import { type Named, originOf, problem } from './findings.ts'
import type { CompileOptions } from './options.ts'
import type { Labels, Workload } from './workload.ts'

const DRY_RUN_ANNOTATION = 'istio.io/dry-run'

export interface Security {
  /** The policies because of which every request is refused. */
  readonly closedBy: readonly Origin[]
  readonly problems: readonly Problem[]
}

export type SecurityPolicies = Pick<
  Snapshot,
  'requestAuthentications' | 'authorizationPolicies' | 'rejectedSecurityPolicies'
>

/** PeerAuthentication is left out: it is about mTLS from clients, which no listener of this version takes. */
export function compileSecurity(policies: SecurityPolicies, workload: Workload, options: CompileOptions): Security {
  const applies = (policy: Named, matchLabels: Labels | undefined) =>
    appliesTo(policy, matchLabels, workload, options.mesh.rootNamespace)
  const understood = [...policies.requestAuthentications, ...policies.authorizationPolicies]
    .filter((policy) => guards(policy) && applies(policy, policy.spec.selector?.matchLabels))
    .map((policy) => ({ policy, why: 'is not enforced by this version' }))
  const rejected = policies.rejectedSecurityPolicies
    .filter((policy) => policy.kind !== 'PeerAuthentication' && applies(policy, policy.matchLabels))
    .map((policy) => ({ policy, why: 'was rejected and has no good version to fall back on' }))
  const closing = [...understood, ...rejected]
  return {
    closedBy: closing.map(({ policy }) => originOf(policy)),
    problems: closing.map(({ policy, why }) =>
      problem('error', policy, '', {
        code: 'security/closed',
        message: `this ${policy.kind} ${why}, so every request to this gateway is refused with 403`,
        remedy: 'Remove it to open the gateway, or keep it from this gateway by a selector.',
      }),
    ),
  }
}

/** Policies of the gateway's own namespace and of the root namespace, as far as their selector may mean it. */
function appliesTo(
  { metadata }: Named,
  matchLabels: Labels | undefined,
  workload: Workload,
  rootNamespace: string,
): boolean {
  const { namespace } = metadata
  if (namespace !== workload.namespace && namespace !== rootNamespace) return false
  return workload.mayBeSelectedBy(matchLabels)
}

/** Whether a policy keeps any request away: not a trial, no mere record, and not for another kind of gateway. */
function guards(policy: RequestAuthentication | AuthorizationPolicy): boolean {
  const { targetRef, targetRefs } = policy.spec
  // A classic gateway has no Gateway API object or service that a policy could be attached to.
  if (targetRef !== undefined || (targetRefs ?? []).length > 0) return false
  if (policy.kind === 'RequestAuthentication') return (policy.spec.jwtRules ?? []).length > 0
  return policy.spec.action !== 'AUDIT' && policy.metadata.annotations[DRY_RUN_ANNOTATION] !== 'true'
}
