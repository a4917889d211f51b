import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PoliciesPlan } from '../../../src/plan/policy.ts'
import type { PolicyProof } from '../../../src/plan/proof.ts'
import { policyProofs } from '../../../src/workers/proofs.ts'
import { makePlan } from '../filters/authorization/make-rules.ts'

const origin = { kind: 'AuthorizationPolicy', namespace: 'a', name: 'b' }
const plan: PoliciesPlan = {
  jwt: [],
  authorization: makePlan(),
  authorizationPolicies: [{ origin, action: 'DENY', isTrial: false }],
}
const proof = (state: PolicyProof['state']): PolicyProof => ({
  kind: 'AuthorizationPolicy',
  namespace: 'a',
  name: 'b',
  state,
  because: state,
})

for (const [what, workers, state] of [
  ['proven in every worker', [[proof('proven')], [proof('proven')]], 'proven'],
  ['proven in one, unknown in another', [[proof('proven')], null], 'loaded'],
  ['proven in one, failed in another', [[proof('proven')], [proof('failed')]], 'failed'],
  ['no worker', [], 'loaded'],
] as const) {
  test(`a policy is what it is in the worst worker: ${what}`, () => {
    assert.deepEqual(
      policyProofs(plan, workers).map((one) => one.state),
      [state],
    )
  })
}

test('proofs of policies that are gone say nothing', () => {
  assert.deepEqual(policyProofs({ ...plan, authorizationPolicies: [] }, [[proof('proven')]]), [])
  assert.deepEqual(policyProofs(null, [[proof('proven')]]), [])
})
