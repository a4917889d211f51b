/**
 * Security policies that are for this gateway → what requests have to pass. What cannot be understood closes it.
 *
 * Source: istio: pilot/pkg/model/policyattachment.go and authorization.go (which policies apply), pkg/config/security.
 */
import type { ExtAuthzProviderPlan } from '../../plan/ext-authz.ts'
import type { PoliciesPlan } from '../../plan/policy.ts'
import type { Origin, Problem } from '../../plan/problem.ts'
import type { Snapshot } from '../../resources/snapshot.ts'
import { type Named, originOf, problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import type { Workload } from '../workload.ts'
import { compileAuthorization } from './authorization.ts'
import { compileRequestAuthentications } from './jwt.ts'
import { selectionByLabels } from './selection.ts'

export interface Security {
  readonly policies: PoliciesPlan
  /** The policies because of which every request is refused. */
  readonly closedBy: readonly Origin[]
  readonly problems: readonly Problem[]
}

export type SecurityPolicies = Pick<
  Snapshot,
  'requestAuthentications' | 'authorizationPolicies' | 'rejectedSecurityPolicies'
>

/**
 * PeerAuthentication is left out: it is about mTLS from clients, which no listener of this version takes.
 *
 * @param providers External authorizers by name; null for one that is broken.
 */
export function compileSecurity(
  policies: SecurityPolicies,
  providers: ReadonlyMap<string, ExtAuthzProviderPlan | null>,
  workload: Workload,
  options: CompileOptions,
): Security {
  const authorization = compileAuthorization(policies.authorizationPolicies, providers, workload, options)
  const rejected = policies.rejectedSecurityPolicies.filter(
    (policy) =>
      policy.kind !== 'PeerAuthentication' &&
      selectionByLabels(policy, policy.matchLabels, workload, options) !== 'none',
  )
  const jwt = compileRequestAuthentications(policies, workload, options)
  const closing = [
    ...authorization.notUnderstood.map((policy) => ({ policy, why: 'is not understood' })),
    ...rejected.map((policy) => ({ policy, why: 'was rejected and has no good version to fall back on' })),
  ]
  return {
    policies: {
      jwt: jwt.providers,
      authorization: authorization.plan,
      authorizationPolicies: authorization.applied,
    },
    closedBy: closing.map(({ policy }) => originOf(policy)),
    problems: [...jwt.problems, ...authorization.problems, ...closing.map(({ policy, why }) => closed(policy, why))],
  }
}

function closed(policy: Named, why: string): Problem {
  return problem('error', policy, '', {
    code: 'security/closed',
    message: `this ${policy.kind} ${why}, so every request to this gateway is refused with 403`,
    remedy: 'Remove it to open the gateway, or keep it from this gateway by a selector.',
  })
}
