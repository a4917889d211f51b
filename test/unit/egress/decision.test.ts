import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EgressDecisions } from '../../../src/egress/decision.ts'
import { readTarget } from '../../../src/lib/target.ts'
import type { EgressPlan, EgressScopePlan } from '../../../src/plan/egress.ts'
import { hostPlan } from './plans.ts'

const origin = { kind: 'Sidecar', namespace: 'team-a', name: 'default' }
const scope = (more: Partial<EgressScopePlan>): EgressScopePlan => ({
  origin,
  mode: null,
  allow: null,
  except: [],
  ...more,
})

function decisions(plan: Partial<EgressPlan>): (target: string, client?: string) => string {
  const all = new EgressDecisions()
  all.update({ mode: 'REGISTRY_ONLY', scope: null, clients: [], ...plan })
  for (const host of ['one.test', 'two.test', '*.cdn.test']) all.list.set(hostPlan(host))
  all.list.set({ ...hostPlan('team.test'), namespace: 'team-a', exportTo: ['istio-system', 'team-a'] })
  return (target, client = '10.9.9.9') => all.decide(readTarget(target, null), client).kind
}

test('what is listed is let through, nothing else is', () => {
  const decide = decisions({})
  assert.equal(decide('one.test:443'), 'listed')
  assert.equal(decide('one.test:80'), 'refused')
  assert.equal(decide('three.test:443'), 'refused')
})

test('ALLOW_ANY lets through what is not listed, but nothing that is no name and no address', () => {
  const decide = decisions({ mode: 'ALLOW_ANY' })
  assert.equal(decide('one.test:443'), 'listed')
  assert.equal(decide('three.test:443'), 'any')
  assert.equal(decide('2130706433:443'), 'refused')
  assert.equal(decide('u@three.test:443'), 'refused')
})

test('the Sidecar of the gateway narrows the list by namespace, host and port', () => {
  const decide = decisions({
    scope: scope({
      allow: [
        { namespace: 'shop', host: '*.cdn.test', port: 443 },
        { namespace: '*', host: 'one.test', port: null },
      ],
      except: [{ namespace: 'shop', host: 'secret.cdn.test', port: null }],
    }),
  })
  assert.equal(decide('a.cdn.test:443'), 'listed')
  assert.equal(decide('secret.cdn.test:443'), 'refused')
  assert.equal(decide('one.test:443'), 'listed')
  assert.equal(decide('two.test:443'), 'refused')
  assert.equal(decide('team.test:443'), 'refused')
})

test('a Sidecar narrower than a wildcard ServiceEntry lets through only what it names', () => {
  const decide = decisions({ scope: scope({ allow: [{ namespace: '*', host: 'a.cdn.test', port: null }] }) })
  assert.equal(decide('a.cdn.test:443'), 'listed')
  assert.equal(decide('b.cdn.test:443'), 'refused')
})

test('a client whose workload is known has its own Sidecar and sees what is exported to its namespace', () => {
  const decide = decisions({
    clients: [
      {
        addresses: ['10.0.0.1'],
        namespace: 'team-a',
        scope: scope({ allow: [{ namespace: '*', host: '*', port: null }] }),
      },
      { addresses: ['10.0.0.2'], namespace: 'team-b', scope: scope({ mode: 'ALLOW_ANY', allow: [] }) },
    ],
  })
  assert.equal(decide('team.test:443', '10.0.0.1'), 'listed')
  assert.equal(decide('one.test:443', '10.0.0.1'), 'listed')
  assert.equal(decide('three.test:443', '10.0.0.1'), 'refused')
  assert.equal(decide('team.test:443', '10.0.0.2'), 'any')
  assert.equal(decide('three.test:443'), 'refused')
})
