import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FixedWindow } from '../../../src/limits/fixed-window.ts'
import type { LimitShape, MemoryLimiter } from '../../../src/limits/limiter.ts'
import { SlidingWindow } from '../../../src/limits/sliding-window.ts'

type Make = (shape: LimitShape, maxBuckets?: number) => MemoryLimiter

const KINDS: Record<string, Make> = {
  'fixed window': (shape, maxBuckets = 1000) => new FixedWindow(shape, maxBuckets),
  'sliding window': (shape, maxBuckets = 1000) => new SlidingWindow(shape, maxBuckets),
}

for (const [name, make] of Object.entries(KINDS)) {
  test(`${name}: admits its capacity, then refuses until the period is over`, () => {
    const limiter = make({ capacity: 3, perMs: 1000 })
    const admitted = [0, 10, 20, 30, 999].map((now) => limiter.take('a', 1, now).admitted)
    assert.deepEqual(admitted, [true, true, true, false, false])
    assert.equal(limiter.take('a', 1, 1000).admitted, true)
  })

  test(`${name}: tells what is left, and when more is`, () => {
    const limiter = make({ capacity: 2, perMs: 1000 })
    assert.deepEqual(limiter.take('a', 1, 0), { admitted: true, remaining: 1, resetMs: 1000 })
    assert.deepEqual(limiter.take('a', 1, 400), { admitted: true, remaining: 0, resetMs: 600 })
    assert.deepEqual(limiter.take('a', 1, 700), { admitted: false, remaining: 0, resetMs: 300 })
  })

  test(`${name}: a bucket of its own for each key`, () => {
    const limiter = make({ capacity: 1, perMs: 1000 })
    assert.equal(limiter.take('a', 1, 0).admitted, true)
    assert.equal(limiter.take('b', 1, 0).admitted, true)
    assert.equal(limiter.take('a', 1, 0).admitted, false)
  })

  test(`${name}: a request that does not fit takes nothing, so a cheaper one still does`, () => {
    const limiter = make({ capacity: 5, perMs: 1000 })
    limiter.take('a', 3, 0)
    assert.deepEqual(limiter.take('a', 3, 1), { admitted: false, remaining: 2, resetMs: 999 })
    assert.equal(limiter.take('a', 2, 2).admitted, true)
  })

  test(`${name}: asking for the refusal counts nothing`, () => {
    const limiter = make({ capacity: 1, perMs: 1000 })
    for (let i = 0; i < 3; i++) assert.equal(limiter.refusal('a', 1, 0), null)
    assert.equal(limiter.refusal('a', 2, 0)?.admitted, false)
    limiter.take('a', 1, 0)
    assert.deepEqual(limiter.refusal('a', 1, 400), { admitted: false, remaining: 0, resetMs: 600 })
    assert.equal(limiter.refusal('a', 1, 1000), null)
  })

  test(`${name}: hits can be given back, and charged afterwards beyond the capacity`, () => {
    const limiter = make({ capacity: 2, perMs: 1000 })
    limiter.take('a', 2, 0)
    limiter.adjust('a', -1, 1)
    assert.equal(limiter.take('a', 1, 2).admitted, true)
    limiter.adjust('a', 10, 3)
    assert.deepEqual(limiter.take('a', 1, 4).remaining, 0)
    limiter.adjust('a', -100, 5)
    assert.equal(limiter.take('a', 2, 6).admitted, true)
  })

  test(`${name}: periods below a second end`, () => {
    const limiter = make({ capacity: 1, perMs: 50 })
    assert.deepEqual(
      [0, 49, 50, 99, 100].map((now) => limiter.take('a', 1, now).admitted),
      [true, false, true, false, true],
    )
  })

  test(`${name}: a million keys do not grow it without end`, () => {
    const limiter = make({ capacity: 1, perMs: 1_000_000 }, 5000)
    for (let i = 0; i < 1_000_000; i++) limiter.take(String(i), 1, i / 1000)
    assert.ok(limiter.size <= 5000, `${limiter.size} buckets`)
    assert.equal(limiter.take('999999', 1, 1000).admitted, false)
  })

  test(`${name}: buckets that are over go as others come`, () => {
    const limiter = make({ capacity: 1, perMs: 100 }, 1_000_000)
    for (let i = 0; i < 10_000; i++) limiter.take(`old ${i}`, 1, 0)
    for (let i = 0; i < 10_000; i++) limiter.take(`new ${i}`, 1, 200)
    assert.ok(limiter.size <= 10_001, `${limiter.size} buckets`)
  })
}

test('a fixed window admits twice its capacity around its end; a sliding one admits it once in any interval', () => {
  const around = (make: Make) => {
    const limiter = make({ capacity: 10, perMs: 1000 })
    limiter.take('a', 1, 0)
    const times = Array.from({ length: 40 }, (_, i) => 900 + i * 5)
    return times.filter((now) => limiter.take('a', 1, now).admitted).length
  }
  assert.equal(around(KINDS['fixed window']!), 19)
  assert.equal(around(KINDS['sliding window']!), 10)
})

for (const capacity of [1, 7, 100, 101, 1000]) {
  test(`sliding window: no interval admits more than ${capacity}, and little is lost`, () => {
    const limiter = new SlidingWindow({ capacity, perMs: 1000 }, 10)
    const admitted: number[] = []
    let seed = capacity
    for (let now = 0; now < 5000; now += 1000 / capacity / 10) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      const at = now + (seed % 7) / 100
      if (limiter.take('a', 1, at).admitted) admitted.push(at)
    }
    for (const [index, from] of admitted.entries()) {
      const next = admitted[index + capacity]
      assert.ok(next === undefined || next - from >= 1000, `${capacity + 1} within ${(next ?? 0) - from} ms`)
    }
    assert.ok(admitted.length >= capacity * 5 * 0.97, `${admitted.length} of ${capacity * 5}`)
  })
}
