import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TicketKeys, ticketName, TicketKeyRing } from '../../../src/certificates/ticket-keys.ts'
import { manualTime } from './mesh/manual-time.ts'

test('keys are replaced when their time is over, and the one before is kept', () => {
  const time = manualTime()
  let made = 0
  const random = (bytes: number) => new Uint8Array(bytes).fill(++made)
  const ring = new TicketKeyRing({ timers: time.timers, lifeMs: 1000, random })
  const told: TicketKeys[] = []
  ring.onChange((keys) => told.push(keys))
  const first = ring.keys.current
  assert.equal(ring.keys.previous, null)
  time.pass(1000)
  const second = ring.keys
  assert.equal(second.previous, first)
  time.pass(1000)
  assert.equal(ring.keys.previous, second.current)
  assert.equal(told.length, 2)
  assert.equal(new Set([first, second.current, ring.keys.current].map(ticketName)).size, 3)
  ring.close()
  time.pass(5000)
  assert.equal(told.length, 2)
})
