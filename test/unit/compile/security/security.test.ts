import assert from 'node:assert/strict'
import test from 'node:test'
import { createCompiler } from '../../../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../../../src/compile/options.ts'
import { compileAuthorization } from '../../../../src/compile/security/authorization.ts'
import { createWorkload } from '../../../../src/compile/workload.ts'
import type { AuthorizationPolicy, AuthorizationPolicySpec } from '../../../../src/resources/authorization-policy.ts'
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../../src/resources/snapshot.ts'
import { gateway, serviceEntry, snapshotOf, to, virtualService } from '../snapshots.ts'

function policy(name: string, spec: AuthorizationPolicySpec): AuthorizationPolicy {
  const metadata = { name, namespace: 'istio-system', labels: {}, annotations: {} }
  return { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata, spec }
}

const closedBy = (snapshot: Snapshot) => createCompiler(defaultCompileOptions()).compile(snapshot).plan.mesh.closedBy

test('policies stay the same object while nothing about them changes', () => {
  const options = defaultCompileOptions()
  const compiler = createCompiler({
    ...options,
    mesh: {
      ...options.mesh,
      extensionProviders: [{ name: 'authz', envoyExtAuthzHttp: { service: 'a.test', port: 80 } }],
    },
  })
  const policies = [policy('one', { action: 'DENY', rules: [{}] })]
  const resources = [gateway(), serviceEntry('a.test'), virtualService('app', ['app.test'], [to('a.test')])]
  const first = { ...snapshotOf(resources), authorizationPolicies: policies }
  const { plan } = compiler.compile(first)
  const { serviceEntries } = snapshotOf([...resources, serviceEntry('b.test')])
  const later = compiler.compile({ ...first, serviceEntries })
  assert.equal(later.plan.policies, plan.policies)
})

test('a condition that nobody knows closes the gateway, whatever the action of its policy', () => {
  for (const action of ['ALLOW', 'DENY', 'AUDIT'] as const) {
    const strange = policy('strange', { action, rules: [{ when: [{ key: 'request.mood', values: ['good'] }] }] })
    const options = defaultCompileOptions()
    const { plan, notUnderstood } = compileAuthorization([strange], new Map(), createWorkload(options, []), options)
    assert.deepEqual(notUnderstood, [strange])
    assert.deepEqual([plan.deny, plan.allow], [[], null])
    const names = closedBy({ ...EMPTY_SNAPSHOT, authorizationPolicies: [strange] }).map(({ name }) => name)
    assert.deepEqual(names, ['strange'])
  }
})
