import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ApplyMessage, PartsMessage } from '../../../src/workers/messages.ts'
import { inPieces, Pieces } from '../../../src/workers/pieces.ts'

function message(set: ApplyMessage['update']['set'], remove: readonly string[] = []): ApplyMessage {
  return { type: 'apply', update: { set, remove }, generation: 3, generationText: '3-x', bindings: {} }
}

/** What a worker would apply. */
function join(pieces: Iterable<PartsMessage | ApplyMessage>): ApplyMessage[] {
  const joined = new Pieces()
  const whole: ApplyMessage[] = []
  for (const piece of pieces) {
    if (piece.type === 'parts') joined.add(piece)
    else whole.push(joined.join(piece))
  }
  return whole
}

test('a small update is one message, the same', () => {
  const small = message([['mesh', '{}']], ['cluster/a'])
  assert.deepEqual([...inPieces(small)], [small])
})

test('an update without parts is one message', () => {
  const empty = message([], ['cluster/a'])
  assert.deepEqual([...inPieces(empty)], [empty])
})

test('the pieces of an update join to the same update, in the same order, and only the last one applies it', () => {
  const part = fc.tuple(fc.string({ maxLength: 4 }), fc.string({ maxLength: 12 }))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), fc.integer({ min: 1, max: 40 }), (set, pieceLength) => {
      const whole = message(set, ['x'])
      const pieces = [...inPieces(whole, pieceLength)]
      assert.deepEqual(
        pieces.map(({ type }) => type),
        pieces.map((_, index) => (index === pieces.length - 1 ? 'apply' : 'parts')),
      )
      assert.deepEqual(join(pieces), [whole])
    }),
  )
})

test('no piece is much longer than it should be', () => {
  const set = Array.from({ length: 100 }, (_, index) => [`key-${index}`, 'x'.repeat(100)] as const)
  for (const piece of inPieces(message(set), 1000)) {
    const parts = piece.type === 'parts' ? piece.set : piece.update.set
    assert.ok(parts.length <= 10, `${parts.length} parts`)
  }
})
