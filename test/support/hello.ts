/** ClientHellos made by hand, as no honest client would send them (RFC 8446 §4.1.2, RFC 6066 §3). */

const u8 = (value: number) => Buffer.from([value])
const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
const vector8 = (...parts: Buffer[]) => Buffer.concat([u8(Buffer.concat(parts).length), ...parts])
const vector16 = (...parts: Buffer[]) => Buffer.concat([u16(Buffer.concat(parts).length), ...parts])

export function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([u16(type), vector16(content)])
}

/** The extension server_name, with any number of names. */
export function serverNames(...names: string[]): Buffer {
  return extension(0, vector16(...names.flatMap((name) => [u8(0), vector16(Buffer.from(name, 'latin1'))])))
}

/** What an encrypted ClientHello looks like to whoever cannot read it. */
export const ENCRYPTED = extension(0xfe0d, Buffer.from([0, 1, 2, 3]))

/** A ClientHello in records of at most `size` bytes. */
export function clientHello(extensions: readonly Buffer[], size = 16_384): Buffer {
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    vector8(Buffer.alloc(32, 8)),
    vector16(u16(0x1301)),
    vector8(u8(0)),
    vector16(...extensions),
  ])
  const message = Buffer.concat([u8(1), u8(0), u16(body.length), body])
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    records.push(Buffer.from([22, 3, 1]), vector16(message.subarray(at, at + size)))
  }
  return Buffer.concat(records)
}
