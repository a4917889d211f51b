import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LinkedQueue, type QueuePlace } from '../../../src/upstreams/linked-queue.ts'

test('what is removed from the front, the middle and the end is skipped, and the order of the rest stays', () => {
  const queue = new LinkedQueue<number>()
  const places = [0, 1, 2, 3, 4].map((value) => queue.push(value))
  for (const index of [0, 2, 4]) assert.equal(queue.remove(places[index]!), true)
  assert.equal(queue.first, 1)
  assert.equal(queue.size, 2)
  assert.deepEqual(queue.drain(), [1, 3])
  assert.equal(queue.size, 0)
})

test('a place is given up once, and never by another queue', () => {
  const queue = new LinkedQueue<string>()
  const place = queue.push('a')
  assert.equal(new LinkedQueue<string>().remove(place), false)
  assert.equal(queue.remove(place), true)
  assert.equal(queue.remove(place), false)
  const shifted = queue.push('b')
  assert.equal(queue.shift(), 'b')
  assert.equal(queue.remove(shifted), false)
  assert.equal(queue.shift(), undefined)
  assert.equal(queue.first, undefined)
})

test('it is a list from whose ends and middle is taken', () => {
  const step = fc.oneof(
    fc.constant({ kind: 'push' as const }),
    fc.constant({ kind: 'shift' as const }),
    fc.nat(20).map((index) => ({ kind: 'remove' as const, index })),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new LinkedQueue<number>()
      const model: number[] = []
      const places: QueuePlace<number>[] = []
      for (const each of steps) {
        if (each.kind === 'push') {
          model.push(places.length)
          places.push(queue.push(places.length))
        } else if (each.kind === 'shift') {
          assert.equal(queue.shift(), model.shift())
        } else if (each.index < places.length) {
          const at = model.indexOf(each.index)
          assert.equal(queue.remove(places[each.index]!), at !== -1)
          if (at !== -1) model.splice(at, 1)
        }
        assert.equal(queue.size, model.length)
        assert.equal(queue.first, model[0])
      }
      assert.deepEqual(queue.drain(), model)
    }),
  )
})
