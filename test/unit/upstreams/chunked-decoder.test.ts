import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkedDecoder } from '../../../src/upstreams/http1/chunked-decoder.ts'
import { MalformedResponse } from '../../../src/upstreams/http1/response-head.ts'

/** Decodes `text` cut at `cuts`; what is left behind the body comes back as `rest`. */
function decode(text: string, cuts: readonly number[] = []): { body: string; done: boolean; rest: string } {
  const decoder = new ChunkedDecoder()
  const bytes = Buffer.from(text, 'latin1')
  const bounds = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  let body = ''
  let rest = ''
  for (let i = 0; i + 1 < bounds.length; i++) {
    const piece = bytes.subarray(bounds[i], bounds[i + 1])
    const at = decoder.push(piece, 0, (chunk) => (body += chunk.toString('latin1')))
    rest += piece.toString('latin1', at)
  }
  return { body, done: decoder.done, rest }
}

const encode = (chunks: readonly string[], trailer = '') =>
  `${chunks.map((chunk) => `${Buffer.byteLength(chunk, 'latin1').toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n${trailer}\r\n`

test('ChunkedDecoder reads chunks, extensions and trailers, and stops behind the body', () => {
  assert.deepEqual(decode('5;name="v"\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\nHTTP/1.1'), {
    body: 'hello world',
    done: true,
    rest: 'HTTP/1.1',
  })
})

test('ChunkedDecoder gives the same body wherever the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' }), { maxLength: 6 }),
      fc.array(fc.nat(500), { maxLength: 12 }),
      fc.constantFrom('', 'x-a: b\r\n'),
      (chunks, cuts, trailer) => {
        assert.deepEqual(decode(encode(chunks, trailer), cuts), { body: chunks.join(''), done: true, rest: '' })
      },
    ),
    { numRuns: 300 },
  )
})

const refused: Record<string, string> = {
  'a size that is no number': 'g\r\nhello\r\n',
  'a negative size': '-1\r\n',
  'a size beyond all numbers': 'ffffffffffffffff\r\n',
  'an empty size': '\r\n',
  'a size line with a bare LF': '5\nhello\r\n',
  'a chunk longer than its size': '4\r\nhello\r\n',
  'a trailer line without a colon': '0\r\nnonsense\r\n\r\n',
  'a line without end': `5;${'x'.repeat(5000)}`,
  'trailers without end': `0\r\n${'x: y\r\n'.repeat(4000)}`,
}

for (const [name, text] of Object.entries(refused)) {
  test(`ChunkedDecoder refuses ${name}`, () => {
    assert.throws(() => decode(text), MalformedResponse)
  })
}
