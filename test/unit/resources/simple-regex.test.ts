import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileLinearRegex } from '../../../src/lib/linear-regex.ts'
import { groupsOfSimpleRegex } from '../../../src/resources/simple-regex.ts'

const cases: Record<string, number | undefined> = {
  '/items/[0-9]+/reviews': 0,
  '^/api/v[12]/.*$': 0,
  '/v(1|2)/(.*)': 2,
  '(?:a|b)+?/x': 0,
  '\\(a\\)|(b)': 1,
  '(\\.?)': 1,
  '[a-zA-Z0-9_-]*': 0,
  '': undefined,
  '*': undefined,
  'a**': undefined,
  '[z-a]': undefined,
  '((a))': undefined,
  '(a': undefined,
  'a{1001}': undefined,
  '(?=a)': undefined,
}

for (const [pattern, groups] of Object.entries(cases)) {
  const what = groups === undefined ? 'is left to the engine' : `is well-formed, with ${groups} groups`
  test(`"${pattern}" ${what}`, () => assert.equal(groupsOfSimpleRegex(pattern), groups))
}

test('what is taken without the engine, the engine takes too, with the same groups', () => {
  const pieces = [
    'a',
    'z',
    'A',
    '0',
    '9',
    '-',
    '/',
    '.',
    '_',
    ' ',
    '\\',
    '\\d',
    '\\.',
    '\\(',
    '[',
    ']',
    '[^',
    '[a-z]',
    '[0-9',
  ]
  const more = ['(', '(?:', ')', '|', '*', '+', '?', '*?', '^', '$', '{', '}', '{2}', 'é']
  const piece = fc.constantFrom(...pieces, ...more)
  let taken = 0
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const pattern = pieces.join('')
      const groups = groupsOfSimpleRegex(pattern)
      if (groups === undefined) return
      taken++
      const compiled = compileLinearRegex(pattern)
      assert.ok(compiled.ok, `${pattern}: ${compiled.ok ? '' : compiled.reason}`)
      assert.equal(compiled.groups, groups)
    }),
    { numRuns: 20_000 },
  )
  assert.ok(taken > 500, `only ${taken} patterns were taken`)
})

test('a long pattern that is refused at its end is refused at once', () => {
  const began = performance.now()
  for (const part of ['a', 'a?', '[a-z]+', '(a|b)', 'a-', '.*']) {
    assert.equal(groupsOfSimpleRegex(`${part.repeat(Math.floor(1000 / part.length))}{`), undefined)
  }
  assert.ok(performance.now() - began < 200)
})
