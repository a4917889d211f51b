import assert from 'node:assert/strict'
import { test } from 'node:test'
import { objectIdentifier, octetString, sequence, smallInteger } from '../../../../src/certificates/mesh/der.ts'

/** Lengths at which the form changes (X.690 section 8.1.3). */
const lengths: Record<number, string> = {
  0: '0400',
  127: '047f',
  128: '048180',
  255: '0481ff',
  256: '04820100',
  65_536: '0483010000',
}

for (const [bytes, head] of Object.entries(lengths)) {
  test(`${bytes} bytes have the head ${head}`, () => {
    const content = Buffer.alloc(Number(bytes), 7)
    assert.equal(octetString(content).toString('hex'), head + content.toString('hex'))
  })
}

/** From the standards that define them, and one whose arcs need two and more bytes. */
const identifiers: Record<string, string> = {
  '2.5.29.17': '0603551d11',
  '1.2.840.113549.1.9.14': '06092a864886f70d01090e',
  '1.2.840.10045.4.3.2': '06082a8648ce3d040302',
  '1.3.6.1.4.1.311.128': '06092b0601040182378100',
}

for (const [dotted, encoded] of Object.entries(identifiers)) {
  test(`${dotted} is written ${encoded}`, () => {
    assert.equal(objectIdentifier(dotted).toString('hex'), encoded)
  })
}

test('a sequence holds its elements one after the other', () => {
  assert.equal(sequence(smallInteger(0), sequence()).toString('hex'), '30050201003000')
})
