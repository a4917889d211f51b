import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBufferCollector } from '../../../src/workers/read-buffers.ts'

const MIB = 1024 * 1024

test('young garbage is collected after every 16 MiB of large pieces', () => {
  let collections = 0
  const passed = createBufferCollector(() => collections++)
  for (let bytes = 0; bytes < 64 * MIB; bytes += 64 * 1024) passed(64 * 1024)
  assert.equal(collections, 4)
})

test('small pieces, which leave little behind, cause no collection', () => {
  let collections = 0
  const passed = createBufferCollector(() => collections++)
  for (let i = 0; i < 100_000; i++) passed(1024)
  assert.equal(collections, 0)
})

test('V8’s collector is found, and frees buffers that nothing holds', () => {
  const passed = createBufferCollector()
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 1024; i++) passed(Buffer.allocUnsafeSlow(64 * 1024).length)
  const left = process.memoryUsage().arrayBuffers - before
  assert.ok(left < 40 * MIB, `${Math.round(left / MIB)} MiB of 64 are still there`)
})
