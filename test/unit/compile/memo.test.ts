import assert from 'node:assert/strict'
import test from 'node:test'
import { keepRecord, lastOf, Memo } from '../../../src/compile/memo.ts'

function run(
  memo: Memo<object>,
  ask: Record<string, readonly unknown[]>,
): { values: Record<string, object>; changed: boolean } {
  memo.begin()
  const values = Object.fromEntries(
    Object.entries(ask).map(([key, inputs]) => [key, memo.get(key, inputs, () => ({ inputs }))]),
  )
  return { values, changed: memo.end() }
}

test('a memo gives the same object while its inputs are the same', () => {
  const memo = new Memo<object>()
  const input = {}
  const first = run(memo, { a: [input, 1] })
  const second = run(memo, { a: [input, 1] })
  const third = run(memo, { a: [{}, 1] })
  assert.equal(second.values['a'], first.values['a'])
  assert.notEqual(third.values['a'], first.values['a'])
  assert.deepEqual([first.changed, second.changed, third.changed], [true, false, true])
})

test('a memo forgets what a run did not ask for, and says that something is gone', () => {
  const memo = new Memo<object>()
  const first = run(memo, { a: [1], b: [1] })
  assert.equal(run(memo, { a: [1] }).changed, true)
  assert.equal(run(memo, { a: [1] }).changed, false)
  const again = run(memo, { a: [1], b: [1] })
  assert.equal(again.values['a'], first.values['a'])
  assert.notEqual(again.values['b'], first.values['b'])
})

test('a memo that makes the value that it had before has not changed', () => {
  const memo = new Memo<string>()
  memo.begin()
  memo.get('a', [1], () => 'same')
  memo.end()
  memo.begin()
  assert.equal(memo.isUsed('a'), false)
  assert.equal(
    memo.get('a', [2], (last) => last ?? 'other'),
    'same',
  )
  assert.equal(memo.isUsed('a'), true)
  assert.equal(memo.end(), false)
})

test('lastOf calls again only for other inputs', () => {
  let calls = 0
  const count = lastOf((input: object) => ({ input, calls: ++calls }))
  const input = {}
  assert.equal(count(input), count(input))
  assert.notEqual(count(input), count({}))
})

test('keepRecord keeps the old record where both hold the same objects', () => {
  const value = {}
  const last = { a: value }
  assert.equal(keepRecord(last, { a: value }), last)
  for (const next of [{ a: {} }, { a: value, b: value }, { b: value }, {}])
    assert.equal(keepRecord<object>(last, next), next)
})
