import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { findTests, nodeArguments, parseRunOptions } from '../../support/run.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')

test('without arguments every test file is run', () => {
  const files = findTests(ROOT, [])
  assert.ok(files.includes('test/unit/support/run.test.ts'))
  assert.ok(files.every((file) => file.startsWith('test/') && file.endsWith('.test.ts')))
  assert.deepEqual(files, [...files].sort())
})

test('a filter keeps the files whose path contains it, several keep those of any', () => {
  assert.deepEqual(findTests(ROOT, ['support/run.']), ['test/unit/support/run.test.ts'])
  const two = findTests(ROOT, ['support/run.', 'support/layout'])
  assert.deepEqual(two, ['test/unit/support/layout.test.ts', 'test/unit/support/run.test.ts'])
  assert.deepEqual(findTests(ROOT, ['no such file']), [])
})

test('as many test files at a time as there are cores, within a bound', () => {
  assert.equal(parseRunOptions([], 2).jobs, 2)
  assert.equal(parseRunOptions([], 64).jobs, 8)
  assert.equal(parseRunOptions([], 0).jobs, 1)
  assert.equal(parseRunOptions(['--jobs', '1'], 8).jobs, 1)
})

test('an unknown flag and a bad number of jobs are refused', () => {
  assert.throws(() => parseRunOptions(['--nmae', 'x'], 2), TypeError)
  for (const jobs of ['0', '-1', '1.5', 'two']) assert.throws(() => parseRunOptions([`--jobs=${jobs}`], 2), TypeError)
})

test('name and snapshots are handed on to node:test', () => {
  const options = parseRunOptions(['cors', '--name', 'pre.*flight', '--update'], 2)
  const args = nodeArguments(options, ['test/unit/a.test.ts'])
  assert.deepEqual(args.slice(0, 2), ['--test', '--test-concurrency=2'])
  assert.ok(args.includes('--test-name-pattern=pre.*flight'))
  assert.ok(args.includes('--test-update-snapshots'))
  assert.equal(args.at(-1), 'test/unit/a.test.ts')
})
