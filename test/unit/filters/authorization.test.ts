import assert from 'node:assert/strict'
import test from 'node:test'
import type { LocalReply } from '../../../src/exchange/local-reply.ts'
import {
  type AuthorizationEvent,
  compileAuthorization,
  compileCustom,
  denied,
} from '../../../src/filters/authorization.ts'
import { explainAuthorization } from '../../../src/filters/authorization/explain.ts'
import type { AuthorizationPlan } from '../../../src/plan/authorization.ts'
import type { Rule } from '../../../src/resources/authorization-policy.ts'
import { type Facts, makePlan, makeRequest, makeRule } from './authorization/make-rules.ts'

const path = (...paths: readonly string[]): Rule => ({ to: [{ operation: { paths } }] })
const silent = { onAuthorizationEvent: null }

function ask(plan: Partial<AuthorizationPlan>, facts: Facts): LocalReply | undefined {
  return compileAuthorization(makePlan(plan), silent)?.(makeRequest(facts))
}

test('without policies there is no filter', () => {
  assert.equal(compileAuthorization(makePlan(), silent), null)
})

test('a request that a DENY rule matches is refused in Envoy’s words, with the rule in the details', () => {
  const deny = [makeRule('other', path('/x')), makeRule('secret', path('/secret*'))]
  assert.equal(ask({ deny }, { path: '/' }), undefined)
  assert.deepEqual(ask({ deny }, { path: '/secret/1' }), {
    status: 403,
    body: 'RBAC: access denied',
    details: 'rbac_access_denied_matched_policy[ns[edge]-policy[secret]-rule[0]]',
  })
})

test('with ALLOW policies what none of them allows is refused', () => {
  const allow = [makeRule('one', path('/one')), makeRule('two', path('/two'))]
  assert.equal(ask({ allow }, { path: '/one' }), undefined)
  assert.equal(ask({ allow }, { path: '/two' }), undefined)
  assert.equal(ask({ allow }, { path: '/three' })?.details, 'rbac_access_denied_matched_policy[none]')
})

test('no ALLOW rule allows nothing, an empty one allows everything', () => {
  assert.equal(ask({ allow: [] }, {})?.status, 403)
  assert.equal(ask({ allow: [makeRule('all')] }, {}), undefined)
})

test('DENY goes before ALLOW', () => {
  const plan = { deny: [makeRule('deny', path('/a/secret'))], allow: [makeRule('allow', path('/a*'))] }
  assert.equal(ask(plan, { path: '/a' }), undefined)
  assert.equal(ask(plan, { path: '/a/secret' })?.details, `rbac_access_denied_matched_policy[${plan.deny[0]!.id}]`)
  assert.equal(ask(plan, { path: '/b' })?.details, 'rbac_access_denied_matched_policy[none]')
})

test('conditions of one entry are joined by and, entries and rules by or, the parts of a rule by and', () => {
  const allow = [
    makeRule('one', {
      to: [
        { operation: { methods: ['GET'], paths: ['/a', '/b'] } },
        { operation: { methods: ['PUT'], paths: ['/c'] } },
      ],
      from: [{ source: { ipBlocks: ['192.0.2.0/24'] } }, { source: { ipBlocks: ['10.0.0.0/8'] } }],
      when: [
        { key: 'request.headers[x]', values: ['1', '2'] },
        { key: 'request.headers[y]', values: ['*'] },
      ],
    }),
    makeRule('two', path('/d')),
  ]
  const headers = ['x', '1', 'y', '']
  const cases: readonly (readonly [Facts, boolean])[] = [
    [{ path: '/a', headers }, true],
    [{ path: '/b', headers: ['x', '2', 'y', '1'] }, true],
    [{ path: '/c', method: 'PUT', headers, peer: '10.0.0.1:1' }, true],
    [{ path: '/c', headers }, false],
    [{ path: '/a', headers, peer: '203.0.113.1:1' }, false],
    [{ path: '/a', headers: ['x', '1'] }, false],
    [{ path: '/a', headers: ['x', '3', 'y', '1'] }, false],
    [{ path: '/d' }, true],
  ]
  for (const [facts, allowed] of cases)
    assert.equal(ask({ allow }, facts) === undefined, allowed, JSON.stringify(facts))
})

test('policies on trial and audits are told, and decide nothing', () => {
  const events: AuthorizationEvent[] = []
  const [deny, allow, audit] = [
    makeRule('deny', path('/a')),
    makeRule('allow', path('/b')),
    makeRule('audit', path('/a')),
  ]
  const filter = compileAuthorization(makePlan({ audit: [audit], dryRun: { deny: [deny], allow: [allow] } }), {
    onAuthorizationEvent: (_, event) => void events.push(event),
  })!
  assert.equal(filter(makeRequest({ path: '/a' })), undefined)
  assert.deepEqual(events, [
    { kind: 'audit', rule: audit },
    { kind: 'shadow', action: 'DENY', result: 'denied', rule: deny },
    { kind: 'shadow', action: 'ALLOW', result: 'denied', rule: null },
  ])
  events.length = 0
  filter(makeRequest({ path: '/b' }))
  assert.deepEqual(events, [
    { kind: 'shadow', action: 'DENY', result: 'allowed', rule: null },
    { kind: 'shadow', action: 'ALLOW', result: 'allowed', rule: allow },
  ])
})

test('policies on trial cost nothing where nobody wants to know', () => {
  const plan = makePlan({ audit: [makeRule('a')], dryRun: { deny: [makeRule('b')], allow: [] } })
  assert.equal(compileAuthorization(plan, silent), null)
})

test('an external authorizer is asked about what its rules match, and about nothing else', () => {
  const asked: string[] = []
  const reply = { status: 401, details: 'ext_authz_denied' }
  const filter = compileCustom(
    { name: 'authz', provider: null, rules: [makeRule('a', path('/a')), makeRule('b', path('/b'))] },
    ({ pathname }) => {
      asked.push(pathname)
      return pathname === '/b' ? Promise.resolve(reply) : undefined
    },
  )
  assert.equal(filter(makeRequest({ path: '/' })), undefined)
  assert.equal(filter(makeRequest({ path: '/a' })), undefined)
  assert.ok(filter(makeRequest({ path: '/b' })) instanceof Promise)
  assert.deepEqual(asked, ['/a', '/b'])
})

test('without an authorizer to ask, what the rules match is refused', () => {
  const rule = makeRule('a', path('/a'))
  const filter = compileCustom({ name: 'gone', provider: null, rules: [rule] }, null)
  assert.equal(filter(makeRequest({ path: '/' })), undefined)
  assert.deepEqual(
    filter(makeRequest({ path: '/a' })),
    denied(`istio-ext-authz-gone-${rule.id}-deny-due-to-bad-CUSTOM-action`),
  )
})

test('blanks in details are underscores', () => {
  assert.equal(denied('a b\tc').details, 'rbac_access_denied_matched_policy[a_b_c]')
})

test('an explanation names the policy and the rule that decide', () => {
  const [ask, gone] = [makeRule('ask', path('/ask', '/both')), makeRule('gone', path('/gone'))]
  const [deny, allow] = [makeRule('deny', path('/deny', '/both')), makeRule('allow', path('/a', '/ask'))]
  const plan = makePlan({
    custom: [
      {
        name: 'here',
        provider: { name: 'here' } as unknown as NonNullable<AuthorizationPlan['custom'][number]['provider']>,
        rules: [ask],
      },
      { name: 'gone', provider: null, rules: [gone] },
    ],
    deny: [deny],
    allow: [allow],
  })
  const explain = (text: string) => {
    const { outcome, rule } = explainAuthorization(plan, makeRequest({ path: text }))
    return [outcome, rule?.name]
  }
  assert.deepEqual(explain('/a'), ['allowed', 'allow'])
  assert.deepEqual(explain('/deny'), ['denied', 'deny'])
  assert.deepEqual(explain('/both'), ['denied', 'deny'])
  assert.deepEqual(explain('/gone'), ['denied', 'gone'])
  assert.deepEqual(explain('/ask'), ['asked', 'ask'])
  assert.deepEqual(explain('/other'), ['denied', undefined])
  assert.deepEqual(explainAuthorization(makePlan(), makeRequest()).outcome, 'allowed')
})

test('an explanation says so where the request’s description is not enough', () => {
  const plan = makePlan({ deny: [makeRule('deny', { from: [{ source: { ipBlocks: ['10.0.0.0/8'] } }] })] })
  assert.equal(explainAuthorization(plan, makeRequest({ peer: '' })).outcome, 'unknown')
})
