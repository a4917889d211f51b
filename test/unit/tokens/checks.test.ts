import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkIssuer, checkTime, compileAudiences } from '../../../src/tokens/checks.ts'

const NOW_S = 1_000_000

const times: Record<string, { notBefore?: number; expires?: number; failure: string | undefined }> = {
  'without times is good for ever': { failure: undefined },
  'is good until a minute after its expiry': { expires: NOW_S - 60, failure: undefined },
  'is not good after that': { expires: NOW_S - 61, failure: 'expired' },
  'that expires at 0 has expired': { expires: 0, failure: 'expired' },
  'is good from a minute before its start': { notBefore: NOW_S + 60, failure: undefined },
  'is not good before that': { notBefore: NOW_S + 61, failure: 'not-yet-valid' },
  'that is neither yet nor any more good is not yet good': {
    notBefore: NOW_S + 100,
    expires: NOW_S - 100,
    failure: 'not-yet-valid',
  },
}

for (const [name, { notBefore, expires, failure }] of Object.entries(times)) {
  test(`checkTime: a token ${name}`, () => assert.equal(checkTime({ notBefore, expires }, NOW_S * 1000 + 999), failure))
}

test('checkIssuer: compares the whole text; a rule without an issuer takes any', () => {
  assert.equal(checkIssuer({ issuer: 'a' }, 'a'), undefined)
  assert.equal(checkIssuer({ issuer: 'a/' }, 'a'), 'unknown-issuer')
  assert.equal(checkIssuer({ issuer: 'A' }, 'a'), 'unknown-issuer')
  assert.equal(checkIssuer({ issuer: '' }, 'a'), 'unknown-issuer')
  assert.equal(checkIssuer({ issuer: 'b' }, ''), undefined)
})

const audiences: Record<string, { wanted: string[]; has: string[]; passes: boolean }> = {
  'any of them suffices': { wanted: ['a', 'b'], has: ['x', 'b'], passes: true },
  'none of them does not': { wanted: ['a', 'b'], has: ['x'], passes: false },
  'a token without audiences lacks them': { wanted: ['a'], has: [], passes: false },
  'a rule without audiences takes every token': { wanted: [], has: [], passes: true },
  'scheme and slash at the end do not matter': { wanted: ['https://a.test/'], has: ['a.test'], passes: true },
  'a path does': { wanted: ['https://a.test/x'], has: ['https://a.test'], passes: false },
}

for (const [name, { wanted, has, passes }] of Object.entries(audiences)) {
  test(`compileAudiences: ${name}`, () => assert.equal(compileAudiences(wanted)({ audiences: has }), passes))
}
