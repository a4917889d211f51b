import assert from 'node:assert/strict'
import test from 'node:test'
import { readPath } from '../../../../src/compile/security/values.ts'
import { compilePaths } from '../../../../src/filters/authorization/paths.ts'

const cases: readonly (readonly [path: string, matches: readonly string[], fails: readonly string[]])[] = [
  ['/a', ['/a'], ['/a/', '/A', '/', '/ab']],
  ['/a*', ['/a', '/a/b', '/ab'], ['/', '/b/a']],
  ['*/b', ['/b', '/a/b'], ['/b/', '/ab']],
  ['*', ['/', '/a'], ['']],
  ['/users/{*}', ['/users/7', '/users/a=b', '/users/%2F'], ['/users/', '/users', '/users/7/', '/users/7/8']],
  ['/users/{*}/orders', ['/users/7/orders'], ['/users//orders', '/users/7/8/orders', '/users/7/orders/', '/users/7']],
  ['/{*}/{*}/c', ['/a/b/c'], ['/a/c', '/a/b/b/c', '//b/c']],
  ['/{*}', ['/a'], ['/', '/a/b']],
  ['/files/{**}', ['/files/', '/files/a', '/files/a/b/', '/files//'], ['/files', '/file/a']],
  ['/{**}', ['/', '/a/b'], ['']],
  ['/v/{*}/x/{**}', ['/v/1/x/', '/v/1/x/a/b'], ['/v/1/x', '/v//x/a', '/v/1/2/x/a']],
  ['/a/{**}/end', ['/a/b/end', '/a/b/c/end', '/a//end'], ['/a/end', '/a/b/end/', '/a/b/ends']],
  ['/a/{*}/a/{**}/a', ['/a/b/a/c/a', '/a/a/a/a/a'], ['/a/b/a/a', '/a/b/a']],
]

test('a path is compared whole, with its prefix, its suffix or its segments', () => {
  for (const [path, matches, fails] of cases) {
    const isMatch = compilePaths([readPath(path)])
    for (const candidate of matches) assert.equal(isMatch(candidate), true, `${path} matches ${candidate}`)
    for (const candidate of fails) assert.equal(isMatch(candidate), false, `${path} does not match ${candidate}`)
  }
})

test('one of several paths is enough, templates among them', () => {
  const isMatch = compilePaths(['/a', '/b*', '/c/{*}', '/d/{**}'].map(readPath))
  for (const path of ['/a', '/bb', '/c/x', '/d/x/y']) assert.equal(isMatch(path), true, path)
  for (const path of ['/aa', '/c', '/c/x/y', '/d']) assert.equal(isMatch(path), false, path)
})

test('a long path of slashes is matched in a time that grows with its length', () => {
  const isMatch = compilePaths([readPath('/{*}/{*}/{*}/{*}/{*}/{**}/x')])
  const began = performance.now()
  assert.equal(isMatch(`${'/a'.repeat(30_000)}/y`), false)
  assert.ok(performance.now() - began < 100)
})
