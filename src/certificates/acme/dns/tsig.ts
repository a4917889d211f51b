/** Signs a DNS message with a shared key (TSIG, RFC 8945). No package on npm that is looked after does. */
import { createHmac } from 'node:crypto'
import type { TsigKey } from '../issuer.ts'

export interface Tsig {
  readonly name: string
  readonly algorithm: TsigKey['algorithm']
  readonly secret: Buffer
  /** Seconds since 1970. */
  readonly now: number
}

const TSIG_TYPE = 250
const CLASS_ANY = 255
/** Seconds that the clocks may differ (RFC 8945 section 10 recommends 300). */
const FUDGE = 300

/** Names of RFC 8945 section 6; only HMAC-MD5, which is none of them, has a longer one. */
const HASHES: Readonly<Record<TsigKey['algorithm'], string>> = {
  'hmac-sha1': 'sha1',
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
}

/** @param message Without a TSIG record. @returns The message with one as its last additional record. */
export function signMessage(message: Buffer, { name, algorithm, secret, now }: Tsig): Buffer {
  const keyName = wireName(name)
  const algorithmName = wireName(algorithm)
  const times = Buffer.alloc(8)
  times.writeUIntBE(now, 0, 6)
  times.writeUInt16BE(FUDGE, 6)
  const noErrorNoOther = Buffer.alloc(4)
  // RFC 8945 section 4.3.3: the variables of the record follow the message.
  const classAndTtl = Buffer.from([0, CLASS_ANY, 0, 0, 0, 0])
  const mac = createHmac(HASHES[algorithm], secret)
    .update(Buffer.concat([message, keyName, classAndTtl, algorithmName, times, noErrorNoOther]))
    .digest()
  const sizes = Buffer.alloc(2)
  sizes.writeUInt16BE(mac.length)
  const data = Buffer.concat([algorithmName, times, sizes, mac, message.subarray(0, 2), noErrorNoOther])
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(TSIG_TYPE, 0)
  fixed.writeUInt16BE(CLASS_ANY, 2)
  fixed.writeUInt16BE(data.length, 8)
  const signed = Buffer.concat([message, keyName, fixed, data])
  signed.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  return signed
}

/** A name as it travels, in lower case as it is signed (RFC 1035 section 3.1, RFC 8945 section 4.3.3). */
export function wireName(name: string): Buffer {
  const labels = name
    .toLowerCase()
    .split('.')
    .filter((label) => label !== '')
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')])),
    Buffer.of(0),
  ])
}
