import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { durationMs, parseDuration } from '../../../src/lib/duration.ts'

const cases: Record<string, number | undefined> = {
  '1s': 1000,
  '1.5s': 1500,
  '0.001s': 1,
  '250ms': 250,
  '1h30m': 5_400_000,
  '1h1m1s1ms': 3_661_001,
  '.5s': 500,
  '5.s': 5000,
  '1us': 0.001,
  '1µs': 0.001,
  '1ns': 0.000001,
  '0': 0,
  '0s': 0,
  '-0s': 0,
  '-1.5s': -1500,
  '0.1s0.2s': 300,
  '': undefined,
  '5': undefined,
  s: undefined,
  '.s': undefined,
  '1 s': undefined,
  '1d': undefined,
  '1s ': undefined,
  '+-1s': undefined,
  '1e3s': undefined,
}

for (const [text, ms] of Object.entries(cases)) {
  test(`parseDuration: "${text}" is ${ms === undefined ? 'no duration' : `${ms} ms`}`, () => {
    assert.equal(parseDuration(text), ms)
  })
}

test('parseDuration reads back what is written in whole milliseconds', () => {
  fc.assert(
    fc.property(fc.nat(1e9), (ms) => assert.equal(parseDuration(`${Math.floor(ms / 1000)}s${ms % 1000}ms`), ms)),
  )
})

test('parseDuration takes time in proportion to the text', () => {
  assert.equal(parseDuration(`${'9'.repeat(100_000)}x`), undefined)
  assert.equal(parseDuration(`${'1s'.repeat(100_000)}x`), undefined)
})

test('durationMs throws for what is no duration', () => {
  assert.throws(() => durationMs('soon'), RangeError)
})
