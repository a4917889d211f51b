import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenCache } from '../../../src/tokens/token-cache.ts'
import { parsed, unsigned } from './make-token.ts'

const token = (sub: string) => parsed(unsigned({ alg: 'ES256' }, { sub }))

test('TokenCache: knows a token by its text, for the rule that found it good', () => {
  const cache = new TokenCache<string>(10)
  const alice = token('alice')
  assert.equal(cache.find(alice.text), undefined)
  cache.add(alice, 1, 'good')
  const known = cache.find(alice.text)
  assert.equal(known?.token.subject, 'alice')
  assert.equal(known.verified.get(1), 'good')
  assert.equal(known.verified.get(0), undefined)
  assert.equal(cache.find(`${alice.text}A`), undefined)
})

test('TokenCache: keeps no text of a token', () => {
  const cache = new TokenCache<string>(10)
  const alice = token('alice')
  cache.add(alice, 1, 'good')
  assert.equal(cache.find(alice.text)?.token.text, '')
})

test('TokenCache: at its limit the one that was not seen for longest goes', () => {
  const cache = new TokenCache<string>(2)
  const [a, b, c] = [token('a'), token('b'), token('c')]
  cache.add(a, 0, '')
  cache.add(b, 0, '')
  cache.find(a.text)
  cache.add(c, 0, '')
  assert.equal(cache.size, 2)
  assert.deepEqual(
    [a, b, c].map(({ text }) => cache.find(text) !== undefined),
    [true, false, true],
  )
})

test('TokenCache: long tokens are not kept, deleted ones are gone', () => {
  const cache = new TokenCache<string>(2)
  const [long, short] = [token('x'.repeat(10_000)), token('x')]
  cache.add(long, 0, '')
  cache.add(short, 0, '')
  cache.delete(short.text)
  assert.equal(cache.size, 0)
})
