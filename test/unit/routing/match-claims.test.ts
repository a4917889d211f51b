import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NamedMatch, StringMatch } from '../../../src/plan/route.ts'
import { compileConditions } from '../../../src/routing/match.ts'
import { makeExchange } from './exchanges.ts'

interface Case {
  readonly match: StringMatch
  readonly claim?: readonly string[]
  readonly takes: readonly unknown[]
  readonly refuses: readonly unknown[]
}

/** Values are those of the claim `c`. */
const cases: Record<string, Case> = {
  'text is compared as it is': {
    match: { kind: 'exact', value: 'gold' },
    takes: ['gold'],
    refuses: ['Gold', 'gold ', '', undefined],
  },
  'any text of a list will do': {
    match: { kind: 'exact', value: 'a' },
    takes: [['a'], ['b', 'a'], [1, 'a']],
    refuses: [[], ['b'], [['a']], 'b,a'],
  },
  'a prefix': { match: { kind: 'prefix', value: 'go' }, takes: ['gold', ['x', 'go']], refuses: ['ago', ['x']] },
  'a regex matches the whole text': {
    match: { kind: 'regex', value: 'a|b+' },
    takes: ['a', 'bb', ['c', 'b']],
    refuses: ['ab', ['ab']],
  },
  'numbers, truth and objects never match': {
    match: { kind: 'regex', value: '.*' },
    takes: [''],
    refuses: [1, true, null, {}, { a: 'b' }],
  },
  'presence asks for text': { match: { kind: 'present' }, takes: ['', ['']], refuses: [1, [], undefined] },
  'nested names': {
    match: { kind: 'exact', value: 'x' },
    claim: ['c', 'a.b', 'd'],
    takes: [{ 'a.b': { d: 'x' } }],
    refuses: [{ a: { b: { d: 'x' } } }, { 'a.b': 'x' }, 'x'],
  },
  'what every object has is no claim': {
    match: { kind: 'present' },
    claim: ['c', 'constructor', 'name'],
    takes: [],
    refuses: [{}, 'text', []],
  },
}

function exchangeWith(value: unknown) {
  const claims = value === undefined ? {} : { c: value }
  const token = { issuer: 'me', subject: 'you', audiences: [], presenter: '', claims }
  return Object.assign(makeExchange({ headers: ['@request.auth.claims.c', 'gold', 'c', 'gold'] }), { tokens: [token] })
}

for (const [name, { match, claim = ['c'], takes, refuses }] of Object.entries(cases)) {
  test(`a match on claims: ${name}`, () => {
    const condition = (invert: boolean): NamedMatch => ({ name: '@request.auth.claims.c', claim, match, invert })
    const matches = compileConditions({ path: { kind: 'any' }, headers: [condition(false)] })!
    const inverted = compileConditions({ path: { kind: 'any' }, headers: [condition(true)] })!
    for (const value of takes) assert.equal(matches(exchangeWith(value)), true, JSON.stringify(value))
    for (const value of refuses) assert.equal(matches(exchangeWith(value)), false, JSON.stringify(value))
    for (const value of [...takes, ...refuses]) {
      assert.equal(inverted(exchangeWith(value)), !matches(exchangeWith(value)), `inverted ${JSON.stringify(value)}`)
    }
  })
}

test('a match on claims: without a token none holds, and every inverted one does', () => {
  const condition = (invert: boolean): NamedMatch => ({ name: 'c', claim: ['c'], match: { kind: 'present' }, invert })
  const exchange = makeExchange({ headers: ['c', 'gold'] })
  assert.equal(compileConditions({ path: { kind: 'any' }, headers: [condition(false)] })!(exchange), false)
  assert.equal(compileConditions({ path: { kind: 'any' }, headers: [condition(true)] })!(exchange), true)
})

test('a match on claims: an expression that is not RE2 matches nothing, inverted or not', () => {
  for (const invert of [false, true]) {
    const headers = [{ name: 'c', claim: ['c'], match: { kind: 'regex', value: '(' } as const, invert }]
    assert.equal(compileConditions({ path: { kind: 'any' }, headers })!(exchangeWith('a')), false)
  }
})
