import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EarliestDeadlineFirst } from '../../../../src/upstreams/balancers/earliest-deadline.ts'

/** The same by a plain search. */
function earliest(deadlines: readonly number[]): number {
  return deadlines.indexOf(Math.min(...deadlines))
}

test('the heap and a plain search agree on whose turn it is, stretches included', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('postpone' as const), by: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('stretch' as const), by: fc.constantFrom(0.5, 1, 2) }),
  )
  const starts = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(starts, fc.array(step, { maxLength: 100 }), (first, steps) => {
      const schedule = new EarliestDeadlineFirst(Float64Array.from(first))
      let plain = [...first]
      let now = 0
      for (const { kind, by } of steps) {
        const next = earliest(plain)
        assert.equal(schedule.next, next)
        if (kind === 'postpone') {
          now = plain[next]!
          plain[next]! += by
          schedule.postpone(by)
        } else {
          const factor = (member: number) => (member % 2 === 0 ? by : 1)
          plain = plain.map((deadline, member) => now + (deadline - now) * factor(member))
          schedule.stretch(factor)
        }
      }
      assert.equal(schedule.next, earliest(plain))
    }),
  )
})

test('members with equal deadlines have their turns by number', () => {
  const schedule = new EarliestDeadlineFirst(new Float64Array(3))
  const turns = Array.from({ length: 6 }, () => {
    const { next } = schedule
    schedule.postpone(1)
    return next
  })
  assert.deepEqual(turns, [0, 1, 2, 0, 1, 2])
})
