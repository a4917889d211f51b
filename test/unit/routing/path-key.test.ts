import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathKey } from '../../../src/routing/path-key.ts'

const cases: Record<string, readonly [path: string, key: string][]> = {
  'a plain path is its own key': [['/api/v1/users_2.html-x', '/api/v1/users_2.html-x']],
  'percent sequences stay text': [
    ['/a%2Fb', '/a~252Fb'],
    ['/a%2fb', '/a~252fb'],
    ['/%', '/~25'],
  ],
  "the router's own syntax is none": [
    ['/:a/*;b', '/~3aa/~2a~3bb'],
    ['/a?b#c', '/a~3fb~23c'],
    ['/(a)', '/~28a~29'],
  ],
  'slashes are kept as they are': [['//a//', '//a//']],
  'the mark itself is marked': [['/~25', '/~7e25']],
  'text that is not ASCII has a key too': [
    ['/\u00e9', '/~e9'],
    ['/\u20ac', '/~u20ac'],
  ],
}

for (const [name, pairs] of Object.entries(cases)) {
  test(`pathKey: ${name}`, () => {
    for (const [path, key] of pairs) assert.equal(pathKey(path), key)
  })
}

test('pathKey: different paths have different keys', () => {
  const paths = ['/a%2Fb', '/a%2fb', '/a~252Fb', '/a/b', '/a//b', '/%25', '/~25', '/~', '/%', '/\u0125', '/~u0125']
  assert.equal(new Set(paths.map(pathKey)).size, paths.length)
})
