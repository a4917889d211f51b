import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { editQuery } from '../../../../src/filters/ext-authz/query.ts'

const cases: Record<string, { query: string; set?: [string, string][]; remove?: string[]; becomes: string }> = {
  'a parameter that is set takes the place of the first of its name': {
    query: '?a=1&b=2&a=3',
    set: [['a', '9']],
    becomes: '?a=9&b=2',
  },
  'a new parameter comes last': { query: '?a=1', set: [['b', '2']], becomes: '?a=1&b=2' },
  'a request without a query gets one': { query: '', set: [['b', '2']], becomes: '?b=2' },
  'an empty query is none': { query: '?', set: [['b', '2']], becomes: '?b=2' },
  'what is removed goes in whichever way it was written': {
    query: '?user=1&us%65r=2&u=3&user&x+y=4',
    remove: ['user', 'x y'],
    becomes: '?u=3',
  },
  'the last parameter takes its question mark along': { query: '?a=1', remove: ['a'], becomes: '' },
  'what is set and removed is gone': { query: '?a=1&b=2', set: [['a', '3']], remove: ['a'], becomes: '?b=2' },
  'other parameters stay as they were written': {
    query: '?x=%2F&%zz=1&y&=&&z=a=b',
    set: [['n', '1']],
    becomes: '?x=%2F&%zz=1&y&=&&z=a=b&n=1',
  },
  'text that would end a parameter, the query or the request line is encoded': {
    query: '',
    set: [
      ['a=b&c', 'd&e=f'],
      ['g', ' #\r\nö%20'],
    ],
    becomes: '?a%3Db%26c=d%26e=f&g=%20%23%0D%0A%C3%B6%20',
  },
}

for (const [name, { query, set = [], remove = [], becomes }] of Object.entries(cases)) {
  test(`editQuery: ${name}`, () => {
    assert.equal(editQuery(query, { set, remove }), becomes)
  })
}

test('editQuery: whatever an authorizer sets, the query has no character that could not stand in it', () => {
  const anyText = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText, anyText), { maxLength: 3 }), (set) => {
      assert.match(editQuery('?a=1', { set, remove: [] }), /^\?[\x21\x22\x24-\x7e]*$/)
    }),
  )
})
