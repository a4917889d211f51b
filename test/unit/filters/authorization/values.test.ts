import assert from 'node:assert/strict'
import test from 'node:test'
import { readValue } from '../../../../src/compile/security/values.ts'
import { compileValues } from '../../../../src/filters/authorization/values.ts'

const cases: readonly (readonly [values: readonly string[], matches: readonly string[], fails: readonly string[]])[] = [
  [['a'], ['a'], ['A', 'aa', '']],
  [['a*'], ['a', 'ab'], ['ba', 'A', '']],
  [['*a'], ['a', 'ba'], ['ab', '']],
  [['*'], ['a', '*'], ['']],
  [['*a*'], ['a*', 'ba*'], ['a', 'aa']],
  [['a*b'], ['a*b'], ['aab', 'ab']],
  [['**'], ['*', 'a*'], ['a']],
  [
    ['a', 'b', 'c*', '*d'],
    ['a', 'b', 'cx', 'xd'],
    ['ax', 'x', ''],
  ],
  [['a', '*'], ['a', 'b'], ['']],
  [[], [], ['', 'a']],
]

test('values are texts, prefixes, suffixes, or * for anything but nothing', () => {
  for (const [values, matches, fails] of cases) {
    const test = compileValues(values.map(readValue))
    for (const text of matches) assert.equal(test(text), true, `${values.join()} matches "${text}"`)
    for (const text of fails) assert.equal(test(text), false, `${values.join()} does not match "${text}"`)
  }
})
