/**
 * IP addresses against blocks: read once from the plan, compared as numbers.
 *
 * Source: envoy: source/common/network/cidr_range.cc. A block of one family has no address of the other; an IPv4 address
 * in IPv6's clothes (`::ffff:192.0.2.1`) is an IPv4 address.
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { withoutPort } from '../../exchange/connection.ts'

/** IPv4 as an unsigned number of 32 bits, IPv6 as eight numbers of 16 bits. */
type Address = number | readonly number[]

/** @param address `ADDRESS:PORT`, an IPv6 address in brackets. @throws Error for anything else. */
export type AddressTest = (address: string) => boolean

const MAPPED = [0, 0, 0, 0, 0, 0xffff]

/** @param blocks `ADDRESS/BITS`. @throws Error for what is no block. */
export function compileBlocks(blocks: readonly string[]): AddressTest {
  const tests = blocks.map(compileBlock)
  if (tests.length === 1) {
    const test = tests[0]!
    return (address) => test(readAddress(withoutPort(address)))
  }
  return (address) => {
    const read = readAddress(withoutPort(address))
    for (const test of tests) if (test(read)) return true
    return false
  }
}

function compileBlock(block: string): (address: Address) => boolean {
  const slash = block.indexOf('/')
  const text = block.slice(0, slash)
  const bits = Number(block.slice(slash + 1))
  const family = isIP(text)
  const isMapped = family === 6 && bits >= 96 && typeof readAddress(text) === 'number'
  if (family === 0 || !(bits >= 0 && bits <= (family === 4 ? 32 : 128))) {
    throw new Error(`"${block}" is no block of addresses`)
  }
  if (family === 4) return compileIPv4Block(readIPv4(text), bits)
  return isMapped
    ? compileIPv4Block(readAddress(text) as number, bits - 96)
    : compileIPv6Block(ipaddr.IPv6.parse(text).parts, bits)
}

function compileIPv4Block(base: number, bits: number): (address: Address) => boolean {
  // A shift by 32 is one by none.
  const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
  const net = (base & mask) >>> 0
  return (address) => typeof address === 'number' && (address & mask) >>> 0 === net
}

function compileIPv6Block(base: readonly number[], bits: number): (address: Address) => boolean {
  const masks = base.map((_, index) => {
    const own = Math.min(16, Math.max(0, bits - 16 * index))
    return (0xffff << (16 - own)) & 0xffff
  })
  const net = base.map((part, index) => part & masks[index]!)
  return (address) => {
    if (typeof address === 'number') return false
    for (let index = 0; index < 8; index++) if ((address[index]! & masks[index]!) !== net[index]) return false
    return true
  }
}

function readAddress(text: string): Address {
  // The interface that a link-local address is on is no part of it.
  const zone = text.indexOf('%')
  const plain = zone === -1 ? text : text.slice(0, zone)
  const family = isIP(plain)
  if (family === 4) return readIPv4(plain)
  if (family !== 6) throw new Error(`"${text}" is no IP address`)
  const { parts } = ipaddr.IPv6.parse(plain)
  return MAPPED.every((part, index) => parts[index] === part) ? ((parts[6]! << 16) | parts[7]!) >>> 0 : parts
}

function readIPv4(text: string): number {
  let address = 0
  let part = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 46) {
      address = (address << 8) | part
      part = 0
    } else part = part * 10 + code - 48
  }
  return ((address << 8) | part) >>> 0
}
