import type { ServerResponse } from 'node:http'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileFault, type StartTimer } from '../../../src/filters/fault.ts'
import { makeExchange } from '../routing/exchanges.ts'

/** Random numbers as given, then an error: a draw too many is a finding. */
function draws(...numbers: number[]): () => number {
  return () => {
    const number = numbers.shift()
    assert.ok(number !== undefined, 'drawn too often')
    return number
  }
}

/** Timers that fire when told. */
function manualTimers() {
  const running = new Map<number, { callback: () => void; delayMs: number }>()
  let id = 0
  const setTimeout: StartTimer = (callback, delayMs) => {
    const key = id++
    running.set(key, { callback, delayMs })
    return { close: () => running.delete(key) }
  }
  return { running, setTimeout, fire: () => [...running.values()].forEach(({ callback }) => callback()) }
}

const ABORTED = { body: 'fault filter abort', flag: 'FI', details: 'fault_filter_abort' }

test('compileFault: an abort answers with its status', () => {
  const filter = compileFault({ abort: { fraction: 0.5, httpStatus: 418 } }, { random: draws(0.49, 0.5), setTimeout })
  assert.deepEqual(filter(makeExchange()), { status: 418, ...ABORTED })
  assert.equal(filter(makeExchange()), undefined)
})

test('compileFault: an abort with a gRPC status is HTTP 200', () => {
  const filter = compileFault({ abort: { fraction: 1, grpcStatus: 14 } }, { random: draws(0.99), setTimeout })
  assert.deepEqual(filter(makeExchange()), { status: 200, ...ABORTED, grpcStatus: 14 })
})

test('compileFault: a share of nothing hits nobody', () => {
  const filter = compileFault(
    { delay: { fraction: 0, delayMs: 10 }, abort: { fraction: 0, httpStatus: 500 } },
    { random: draws(0, 0), setTimeout },
  )
  assert.equal(filter(makeExchange()), undefined)
})

test('compileFault: a delay waits, then lets the request go on', async () => {
  const timers = manualTimers()
  const filter = compileFault({ delay: { fraction: 0.5, delayMs: 5000 } }, { random: draws(0.4), ...timers })
  const exchange = makeExchange()
  const result = filter(exchange)
  assert.ok(result instanceof Promise)
  assert.equal(exchange.flags, 'DI')
  assert.deepEqual(
    [...timers.running.values()].map(({ delayMs }) => delayMs),
    [5000],
  )
  timers.fire()
  assert.equal(await result, undefined)
  assert.equal(timers.running.size, 0)
  assert.equal((exchange.res as ServerResponse).listenerCount('close'), 0)
})

test('compileFault: an abort is drawn after the delay, independently', async () => {
  const timers = manualTimers()
  const filter = compileFault(
    { delay: { fraction: 0.5, delayMs: 10 }, abort: { fraction: 0.5, httpStatus: 503 } },
    { random: draws(0.1, 0.9, 0.1, 0.1, 0.9, 0.1), ...timers },
  )
  const delayed = filter(makeExchange())
  timers.fire()
  assert.equal(await delayed, undefined)
  const both = filter(makeExchange())
  timers.fire()
  assert.deepEqual(await both, { status: 503, ...ABORTED })
  assert.deepEqual(filter(makeExchange()), { status: 503, ...ABORTED })
})

test('compileFault: a request that is not delayed does not wait', () => {
  const filter = compileFault({ delay: { fraction: 0.5, delayMs: 10 } }, { random: draws(0.5), setTimeout })
  const exchange = makeExchange()
  assert.equal(filter(exchange), undefined)
  assert.equal(exchange.flags, '')
})

test('compileFault: a delay of nothing is none', () => {
  const filter = compileFault({ delay: { fraction: 1, delayMs: 0 } }, { random: draws(), setTimeout })
  assert.equal(filter(makeExchange()), undefined)
})

test('compileFault: a delay that no timer can have is the longest, not none', () => {
  const timers = manualTimers()
  const filter = compileFault({ delay: { fraction: 1, delayMs: 1e12 } }, { random: draws(0), ...timers })
  void filter(makeExchange())
  assert.equal([...timers.running.values()][0]?.delayMs, 2 ** 31 - 1)
})

test('compileFault: a delay ends when the client leaves', async () => {
  const timers = manualTimers()
  const filter = compileFault({ delay: { fraction: 1, delayMs: 5000 } }, { random: draws(0), ...timers })
  const exchange = makeExchange()
  const result = filter(exchange)
  ;(exchange.res as ServerResponse).emit('close')
  assert.equal(await result, undefined)
  assert.equal(timers.running.size, 0)
})
