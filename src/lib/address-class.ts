/**
 * Addresses that are not the open Internet: this machine, its network, the cloud's metadata service, and all that no
 * public host can have. An IPv4 address that is carried in an IPv6 one is judged as the IPv4 address that it leads to.
 *
 * Source: IANA's registries of special-purpose addresses (RFC 6890 and its updates), RFC 4291 §2.5.5 (mapped and
 * compatible), RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP).
 */
import { BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export type AddressClass =
  | 'loopback'
  | 'link-local'
  | 'private'
  /** Services that tell whoever asks about the machine, credentials included. */
  | 'metadata'
  /** `0.0.0.0` and `::`, which most systems take for themselves. */
  | 'unspecified'
  | 'multicast'
  /** No public host has it: documentation, benchmarks, future use. */
  | 'reserved'

/** The first class that has the address counts. */
const BLOCKS: readonly (readonly [AddressClass, readonly string[]])[] = [
  // AWS, GCP, Azure and most others; AWS over IPv6; Alibaba; Oracle; Azure's wire server.
  ['metadata', ['169.254.169.254/32', 'fd00:ec2::254/128', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32']],
  ['unspecified', ['0.0.0.0/8', '::/128']],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  // RFC 1918, RFC 6598 (carriers, and many a cluster's pods), RFC 4193, and the site-local block that it replaced.
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  [
    'reserved',
    [
      '192.0.0.0/24',
      '192.0.2.0/24',
      '192.88.99.0/24',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '240.0.0.0/4',
      // Discard, NAT64 of a site, the protocol assignments that are not global, documentation, segment routing.
      '100::/63',
      '64:ff9b:1::/48',
      '2001::/23',
      '2001:db8::/32',
      '3fff::/20',
      '5f00::/16',
    ],
  ],
]

const CLASSES: readonly (readonly [AddressClass, BlockList])[] = BLOCKS.map(([name, blocks]) => [
  name,
  addressBlocks(blocks),
])

/**
 * @param address An IP address, without zone and brackets.
 * @returns Null for an address of the open Internet; `reserved` for what is no address.
 */
export function classifyAddress(address: string): AddressClass | null {
  const family = isIP(address)
  if (family === 0 || address.includes('%')) return 'reserved'
  if (family === 4) return classOf(address, 'ipv4')
  const { parts } = ipaddr.IPv6.parse(address)
  for (const embedded of embeddedAddresses(parts)) {
    const found = classOf(embedded, 'ipv4')
    if (found !== null) return found
  }
  // A mapped address was judged above: as IPv6 it would only match what IPv4 has.
  return classOf(address, 'ipv6')
}

/** @param blocks Addresses, and blocks as `ADDRESS/BITS`. @throws Error for anything else. */
export function addressBlocks(blocks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const block of blocks) {
    const [address = '', bits] = block.split('/')
    const family = isIP(address)
    if (family === 0) throw new Error(`"${block}" is no block of addresses`)
    const type = family === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, type)
    else list.addSubnet(address, Number(bits), type)
  }
  return list
}

/** Whether the address, which is an IP address, is in one of the blocks. */
export function isInBlocks(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function classOf(address: string, family: 'ipv4' | 'ipv6'): AddressClass | null {
  for (const [name, list] of CLASSES) if (list.check(address, family)) return name
  return null
}

/** The IPv4 addresses that an IPv6 address leads to by what it is made of. */
function embeddedAddresses(parts: readonly number[]): string[] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = parts
  const last = dotted(g, h)
  const starts = (...prefix: readonly number[]) => prefix.every((part, index) => parts[index] === part)
  // `::` and `::1` are addresses of their own.
  if (starts(0, 0, 0, 0, 0, 0)) return g === 0 && h <= 1 ? [] : [last]
  if (starts(0, 0, 0, 0, 0, 0xffff) || starts(0, 0, 0, 0, 0xffff, 0)) return [last]
  if (starts(0x64, 0xff9b, 0, 0, 0, 0)) return [last]
  if (a === 0x2002) return [dotted(b, c)]
  // The server that Teredo goes through, and the client behind it, whose bits are turned over.
  if (starts(0x2001, 0)) return [dotted(c, d), dotted(g ^ 0xffff, h ^ 0xffff)]
  if ((e === 0 || e === 0x200) && f === 0x5efe) return [last]
  return []
}

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
}
