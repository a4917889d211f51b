import assert from 'node:assert/strict'
import { test } from 'node:test'
import { releaseMemory } from '../../../src/workers/release-memory.ts'

test('memory that nobody needs any more goes back to the system, and the collector stays hidden', () => {
  const size = (): number => process.memoryUsage().heapTotal
  let garbage: unknown[] = Array.from({ length: 500_000 }, (_, index) => ({ index, text: `text ${index}` }))
  const before = size()
  assert.equal(garbage.length, 500_000)
  garbage = []
  releaseMemory()
  assert.ok(before - size() > 16 * 1024 * 1024, `${before} bytes before, ${size()} after`)
  assert.equal('gc' in globalThis, false)
})
