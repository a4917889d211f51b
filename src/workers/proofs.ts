/** What is known about each security policy in force, from what every worker found out. */
import type { PoliciesPlan } from '../plan/policy.ts'
import type { PolicyProof } from '../plan/proof.ts'

/** The one that says least counts: a policy is only as good as it is in every worker. */
const RANK: Readonly<Record<PolicyProof['state'], number>> = { failed: 0, loaded: 1, proven: 2 }

/**
 * @param plan Null: there is none yet. @param workers Each worker's proofs; null: it has none yet.
 * @returns One for each policy of the plan, in its order.
 */
export function policyProofs(
  plan: PoliciesPlan | null,
  workers: readonly (readonly PolicyProof[] | null)[],
): PolicyProof[] {
  if (plan === null) return []
  const found = workers.map((proofs) => new Map(proofs?.map((proof) => [keyOf(proof), proof])))
  return policiesOf(plan).map((policy) => {
    const unknown: PolicyProof = { ...policy, state: 'loaded', because: 'it has not been tried in every worker yet' }
    const all = found.length === 0 ? [unknown] : found.map((proofs) => proofs.get(keyOf(policy)) ?? unknown)
    return all.reduce((least, proof) => (RANK[proof.state] < RANK[least.state] ? proof : least))
  })
}

type PolicyName = Pick<PolicyProof, 'kind' | 'namespace' | 'name'>

function policiesOf({ authorizationPolicies, jwt }: PoliciesPlan): PolicyName[] {
  const names = [
    ...authorizationPolicies.map(({ origin: { namespace, name } }) => ({
      kind: 'AuthorizationPolicy' as const,
      namespace,
      name,
    })),
    ...jwt.map(({ origin: { namespace, name } }) => ({ kind: 'RequestAuthentication' as const, namespace, name })),
  ]
  return [...new Map(names.map((policy) => [keyOf(policy), policy])).values()]
}

function keyOf({ kind, namespace, name }: PolicyName): string {
  return `${kind} ${namespace}/${name}`
}
