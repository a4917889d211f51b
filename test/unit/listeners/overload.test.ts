import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Overload, OVERLOADED, type OverloadSettings } from '../../../src/listeners/overload.ts'
import type { Timers } from '../../../src/lib/timers.ts'
import { makeExchange } from '../routing/exchanges.ts'

/** A clock whose timers come as late as a test says. */
function clock() {
  let now = 0
  let due: { at: number; call: () => void } | null = null
  const timers: Timers = {
    now: () => now,
    after: (ms, call) => {
      due = { at: now + ms, call }
      return () => {
        due = null
      }
    },
  }
  return {
    timers,
    isWaiting: () => due !== null,
    /** Lets the next timer come so much too late. */
    lag: (ms: number) => {
      const { at, call } = due!
      now = at + ms
      call()
    },
  }
}

function overload(settings: Partial<OverloadSettings>, time = clock(), random = () => 0.5) {
  const made = Overload.create(
    { maxActiveRequests: 0, maxEventLoopDelayMs: 0, ...settings },
    { timers: time.timers, random },
  )
  assert.ok(made !== null)
  return made
}

test('without a limit there is nothing to protect, and nothing is measured', () => {
  const time = clock()
  assert.equal(
    Overload.create({ maxActiveRequests: 0, maxEventLoopDelayMs: 0 }, { timers: time.timers, random: () => 0 }),
    null,
  )
  assert.equal(time.isWaiting(), false)
})

test('requests beyond the limit are refused until others are over', () => {
  const guard = overload({ maxActiveRequests: 2 })
  const [one, two] = [makeExchange(), makeExchange()]
  assert.equal(guard.enter(one), null)
  assert.equal(guard.enter(two), null)
  const refused = makeExchange()
  assert.equal(guard.enter(refused), OVERLOADED)
  // A refused request is over as well, and was never counted.
  guard.leave(refused)
  assert.equal(guard.enter(makeExchange()), OVERLOADED)
  guard.leave(one)
  guard.leave(one)
  assert.equal(guard.enter(makeExchange()), null)
  assert.equal(guard.enter(makeExchange()), OVERLOADED)
  assert.equal(guard.shed.active_requests, 3)
})

test('a late event loop sheds more and more, never all, and nothing once it is in time again', () => {
  const time = clock()
  const guard = overload({ maxEventLoopDelayMs: 100 }, time, () => 0.9)
  time.lag(50)
  assert.equal(guard.enter(makeExchange()), null)
  time.lag(150)
  assert.equal(guard.enter(makeExchange()), null)
  for (let i = 0; i < 20; i++) time.lag(2000)
  assert.equal(guard.enter(makeExchange()), OVERLOADED)
  const lucky = overload({ maxEventLoopDelayMs: 100 }, time, () => 0.96)
  for (let i = 0; i < 20; i++) time.lag(2000)
  assert.equal(lucky.enter(makeExchange()), null)
  const again = overload({ maxEventLoopDelayMs: 100 }, time, () => 0)
  time.lag(2000)
  assert.equal(again.enter(makeExchange()), OVERLOADED)
  for (let i = 0; i < 20; i++) time.lag(0)
  assert.equal(again.enter(makeExchange()), null)
  assert.equal(again.shed.event_loop_delay, 1)
})

test('nothing is measured after its end', () => {
  const time = clock()
  const guard = overload({ maxEventLoopDelayMs: 100 }, time)
  assert.equal(time.isWaiting(), true)
  guard.close()
  assert.equal(time.isWaiting(), false)
})
