import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mix32, murmur3 } from '../../../../src/upstreams/balancers/murmur3.ts'

// Published vectors of MurmurHash3_x86_32.
const vectors: readonly [text: string, seed: number, hash: number][] = [
  ['', 0, 0],
  ['', 1, 0x514e28b7],
  ['', 0xffffffff, 0x81f16f39],
  ['\0\0\0\0', 0, 0x2362f9de],
  ['aaaa', 0x9747b28c, 0x5a97808a],
  ['aaa', 0x9747b28c, 0x283e0130],
  ['aa', 0x9747b28c, 0x5d211726],
  ['a', 0x9747b28c, 0x7fa09ea6],
  ['Hello, world!', 0x9747b28c, 0x24884cba],
  ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ['\xff\xff\xff\xff', 0, 0x76293b50],
]

test('murmur3 gives the published hashes', () => {
  for (const [text, seed, hash] of vectors) assert.equal(murmur3(text, seed), hash, JSON.stringify(text))
})

const families: Record<string, (i: number) => string> = {
  'numbered users': (i) => `user-${i}`,
  'addresses of a network': (i) => `10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`,
  'addresses with a port': (i) => `10.0.${i >>> 8}.${i & 255}:8080`,
  'one letter more each time': (i) => 'a'.repeat(i % 300) + String(Math.floor(i / 300)),
}

/** Chi-squared of 255 degrees of freedom: its mean is 255, its standard deviation 22.6. */
function chiSquared(hashes: readonly number[], bucketOf: (hash: number) => number): number {
  const buckets = new Float64Array(256)
  for (const hash of hashes) buckets[bucketOf(hash)]! += 1
  const expected = hashes.length / 256
  return buckets.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

for (const [name, text] of Object.entries(families)) {
  test(`murmur3 spreads ${name} evenly, in its high and low bits`, () => {
    const hashes = Array.from({ length: 20_000 }, (_, i) => murmur3(text(i), 0))
    for (const bucketOf of [(hash: number) => hash >>> 24, (hash: number) => hash & 255]) {
      const found = chiSquared(hashes, bucketOf)
      assert.ok(found > 255 - 6 * 22.6 && found < 255 + 6 * 22.6, `${found}`)
    }
  })
}

test('murmur3 of one text spreads evenly over its seeds: the points of an endpoint on a ring', () => {
  const hashes = Array.from({ length: 20_000 }, (_, seed) => murmur3('10.0.0.1:8080', seed))
  assert.equal(new Set(hashes).size, hashes.length)
  assert.ok(chiSquared(hashes, (hash) => hash >>> 24) < 255 + 6 * 22.6)
})

test('murmur3 takes all bits of characters that are no bytes', () => {
  assert.notEqual(murmur3('unix:///run/\u0141.sock', 0), murmur3('unix:///run/\u0241.sock', 0))
  assert.notEqual(murmur3('\u0141', 0), murmur3('\u0241', 0))
})

test('mix32 changes about half of the output bits with each input bit', () => {
  for (let bit = 0; bit < 32; bit++) {
    let changed = 0
    for (let i = 0; i < 500; i++) {
      const value = Math.imul(i, 0x9e3779b9)
      let different = mix32(value) ^ mix32(value ^ (1 << bit))
      for (; different !== 0; different &= different - 1) changed++
    }
    assert.ok(Math.abs(changed / 500 - 16) < 1, `bit ${bit}: ${changed / 500}`)
  }
})
