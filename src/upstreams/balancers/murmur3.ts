/**
 * MurmurHash3_x86_32 of a text: where a request's key and an endpoint's points fall. Which hash does it is nobody's
 * contract (a key's endpoint differs between implementations anyway); it has to spread well and be quick on texts of
 * 10 to 100 characters, without bytes being copied anywhere first.
 *
 * Characters are bytes, as in header values. Of characters above U+00FF (the path of a Unix socket may have some) all
 * bits count too, but the result is then not what others compute of their UTF-8.
 *
 * Source: Austin Appleby, SMHasher, `MurmurHash3.cpp` (`MurmurHash3_x86_32`, `fmix32`).
 */

/** @returns An unsigned 32-bit number; two seeds give independent hashes of a text. */
export function murmur3(text: string, seed: number): number {
  const { length } = text
  const whole = length & ~3
  let hash = seed | 0
  let i = 0
  for (; i < whole; i += 4) {
    const block =
      text.charCodeAt(i) ^
      (text.charCodeAt(i + 1) << 8) ^
      (text.charCodeAt(i + 2) << 16) ^
      (text.charCodeAt(i + 3) << 24) ^
      (text.charCodeAt(i + 3) >>> 8)
    hash ^= scramble(block)
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  if (i < length) {
    let block = 0
    for (let shift = 0; i < length; i++, shift += 8) block ^= text.charCodeAt(i) << shift
    hash ^= scramble(block)
  }
  return mix32(hash ^ length)
}

/** Every bit of the input changes every bit of the (unsigned) output with a chance of about a half. */
export function mix32(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function scramble(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51)
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593)
}
