/**
 * Writes DER (ITU-T X.690), as much of it as a certification request needs. It only writes: everything that comes from
 * outside is read by OpenSSL, through node:crypto.
 */

/** Tags of the universal class, constructed where they have to be. */
const TAG = { boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, null: 0x05, oid: 0x06 } as const
const SEQUENCE = 0x30
const SET = 0x31

/** Any element. @param tag One byte; tags above 30 are not written here. */
export function element(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(tag), length(content.length), content])
}

export function sequence(...contents: readonly Buffer[]): Buffer {
  return element(SEQUENCE, ...contents)
}

/** A SET of one element: the order of several would matter (X.690 section 11.6). */
export function setOf(content: Buffer): Buffer {
  return element(SET, content)
}

/** @param value 0 to 127. */
export function smallInteger(value: number): Buffer {
  return element(TAG.integer, Buffer.of(value))
}

export function booleanTrue(): Buffer {
  return element(TAG.boolean, Buffer.of(0xff))
}

export function nullValue(): Buffer {
  return element(TAG.null)
}

export function octetString(content: Buffer): Buffer {
  return element(TAG.octetString, content)
}

/** Whole bytes: no bits are left over. */
export function bitString(content: Buffer): Buffer {
  return element(TAG.bitString, Buffer.of(0), content)
}

/** @param dotted For example `2.5.29.17`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return element(TAG.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** Big endian, seven bits a byte, the top bit on all but the last (X.690 section 8.19.2). */
function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}

/** X.690 section 10.1: the short form below 128, else the fewest bytes that hold it. */
function length(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.of(bytes)
  const digits: number[] = []
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest & 0xff)
  return Buffer.from([0x80 | digits.length, ...digits])
}
