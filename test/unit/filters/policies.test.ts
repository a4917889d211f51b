import assert from 'node:assert/strict'
import test from 'node:test'
import type { LocalReply } from '../../../src/exchange/local-reply.ts'
import type { Filter } from '../../../src/filters/filter.ts'
import { compilePolicies, type PoliciesDeps } from '../../../src/filters/policies.ts'
import type { AuthorizationPlan, CustomAuthorizationPlan } from '../../../src/plan/authorization.ts'
import type { ExtAuthzProviderPlan } from '../../../src/plan/ext-authz.ts'
import { makePlan, makeRequest, makeRule } from './authorization/make-rules.ts'

const provider = { name: 'authz' } as unknown as ExtAuthzProviderPlan
const custom = (...names: readonly string[]): CustomAuthorizationPlan[] =>
  names.map((name) => ({ name, provider: { ...provider, name }, rules: [makeRule(name)] }))
const DENIED: LocalReply = {
  status: 403,
  body: 'RBAC: access denied',
  details: 'rbac_access_denied_matched_policy[none]',
}

function compile(authorization: Partial<AuthorizationPlan>, ask: (name: string) => Filter = () => () => undefined) {
  const errors: unknown[] = []
  const deps: PoliciesDeps = {
    keys: { use: () => [] } as unknown as PoliciesDeps['keys'],
    onAuthorizationEvent: null,
    checkRateLimits: null,
    compileExtAuthz: ({ name }) => ask(name),
    onPolicyError: (error) => void errors.push(error),
  }
  const plan = { jwt: [], authorization: makePlan(authorization), authorizationPolicies: [] }
  return { ...compilePolicies(plan, deps), errors }
}

test('without policies there is nothing to pass', () => {
  assert.equal(compile({}).filter, null)
})

test('authorizers are asked in order, before DENY and ALLOW; the first refusal ends it', () => {
  const asked: string[] = []
  const { filter } = compile({ custom: custom('one', 'two'), allow: [] }, (name) => () => {
    asked.push(name)
    return undefined
  })
  assert.deepEqual(filter!(makeRequest()), DENIED)
  assert.deepEqual(asked, ['one', 'two'])
  const { filter: refusing } = compile({ custom: custom('one', 'two') }, (name) => () => ({
    status: 401,
    details: name,
  }))
  assert.deepEqual(refusing!(makeRequest()), { status: 401, details: 'one' })
})

test('only what has to wait waits, and what comes after it is not left out', async () => {
  const { filter } = compile(
    { custom: custom('slow', 'fast'), allow: [] },
    (name) => () => (name === 'slow' ? Promise.resolve(undefined) : undefined),
  )
  const result = filter!(makeRequest())
  assert.ok(result instanceof Promise)
  assert.deepEqual(await result, DENIED)
  const { filter: passing } = compile({ custom: custom('fast'), allow: [makeRule('all')] })
  assert.equal(passing!(makeRequest()), undefined)
})

test('a policy that fails refuses, at once or later', async () => {
  const later = compile({ custom: custom('one') }, () => () => Promise.reject(new Error('later')))
  assert.deepEqual(await later.filter!(makeRequest()), DENIED)
  const now = compile({ custom: custom('one') }, () => () => {
    throw new Error('now')
  })
  assert.deepEqual(now.filter!(makeRequest()), DENIED)
  const noAddress = compile({ deny: [makeRule('deny', { from: [{ source: { ipBlocks: ['10.0.0.0/8'] } }] })] })
  assert.deepEqual(noAddress.filter!(makeRequest({ peer: '' })), DENIED)
  assert.deepEqual(
    [...later.errors, ...now.errors, ...noAddress.errors].map((error) => (error as Error).message),
    ['later', 'now', '"" is no IP address'],
  )
})

test('policies that cannot be compiled refuse every request', () => {
  const { filter, errors } = compile({ custom: custom('one') }, () => {
    throw new Error('no such thing')
  })
  assert.deepEqual(filter!(makeRequest()), DENIED)
  assert.equal(errors.length, 1)
})
