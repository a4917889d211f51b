/**
 * The PROXY protocol: what a load balancer says of its client's connection, in front of everything else on it. Version 1
 * is a line of text, version 2 is binary.
 *
 * The reader takes the header whole or not at all: what is nearly one is refused, since what follows would be taken for
 * the client's.
 *
 * Source: HAProxy, The PROXY protocol, 2020/03/05, §2.1 (version 1), §2.2 (version 2).
 */
import { isIP, type Socket } from 'node:net'

export interface AddressAndPort {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string
  readonly port: number
}

/** Both ends of the connection that the sender of the header has accepted. */
export interface ProxiedAddresses {
  readonly source: AddressAndPort
  readonly destination: AddressAndPort
}

export type ProxyHeaderState =
  /** Not all of it is there. */
  | { readonly kind: 'more' }
  /** `addresses` null: the sender speaks for nobody (a health check of its own), or of what is neither IPv4 nor IPv6. */
  | { readonly kind: 'header'; readonly addresses: ProxiedAddresses | null; readonly length: number }
  | { readonly kind: 'invalid'; readonly reason: string }

/** With its line end (§2.1). */
const MAX_V1_BYTES = 107
/** Addresses take 36 bytes; the rest are what senders add (TLS facts, ids). The protocol would allow 65,551. */
export const MAX_V2_BYTES = 16 * 1024

const V1 = Buffer.from('PROXY ')
const V2 = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
const V2_FIXED = 16
const STREAM_OVER_IPV4 = 0x11
const STREAM_OVER_IPV6 = 0x21

const MORE: ProxyHeaderState = { kind: 'more' }

/** @param bytes All that has come on the connection, from its first byte on. */
export function readProxyHeader(bytes: Buffer): ProxyHeaderState {
  if (isPrefix(bytes, V1)) return readV1(bytes)
  if (isPrefix(bytes, V2)) return readV2(bytes)
  return { kind: 'invalid', reason: 'the connection begins with no PROXY header' }
}

/** @param version 1 or 2. */
export function writeProxyHeader(addresses: ProxiedAddresses | null, version: 1 | 2): Buffer {
  return version === 1 ? writeV1(addresses) : writeV2(addresses)
}

/**
 * Reads the header off a socket; what came behind it stays there.
 *
 * @param socket Nobody else may read from it until `done` is called, and it is paused then. It needs an error listener.
 * @param timeoutMs From now to the last byte of the header.
 * @param done Called once, never before this returns, with the addresses; or why there are none to be had.
 */
export function takeProxyHeader(
  socket: Socket,
  timeoutMs: number,
  done: (result: { readonly addresses: ProxiedAddresses | null } | { readonly reason: string }) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0)
  const finish = (result: Parameters<typeof done>[0], rest: Buffer | null = null) => {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onClosed)
    socket.off('close', onClosed)
    socket.pause()
    // Only now: while somebody listens, what is put back comes at once.
    if (rest !== null) socket.unshift(rest)
    done(result)
  }
  const onData = (segment: Buffer) => {
    bytes = bytes.length === 0 ? segment : Buffer.concat([bytes, segment])
    const state = readProxyHeader(bytes)
    if (state.kind === 'more') return
    if (state.kind === 'invalid') return finish({ reason: state.reason })
    finish({ addresses: state.addresses }, bytes.length > state.length ? bytes.subarray(state.length) : null)
  }
  const onClosed = () => finish({ reason: 'the connection ended in its PROXY header' })
  const timer = setTimeout(() => {
    finish({ reason: 'no PROXY header came in time' })
  }, timeoutMs)
  socket.on('data', onData)
  socket.on('end', onClosed)
  socket.on('close', onClosed)
}

/** Whether what is there may become, or is, the beginning `whole`. */
function isPrefix(bytes: Buffer, whole: Buffer): boolean {
  const length = Math.min(bytes.length, whole.length)
  return bytes.compare(whole, 0, length, 0, length) === 0
}

function readV1(bytes: Buffer): ProxyHeaderState {
  const end = bytes.subarray(0, MAX_V1_BYTES).indexOf('\r\n')
  if (end === -1) {
    return bytes.length < MAX_V1_BYTES ? MORE : { kind: 'invalid', reason: 'the PROXY line is too long' }
  }
  const length = end + 2
  const line = bytes.toString('latin1', 0, end)
  // Whatever stands behind UNKNOWN is not looked at (§2.1).
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { kind: 'header', addresses: null, length }
  const [, family, from = '', to = '', fromPort = '', toPort = '', more] = line.split(' ')
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0
  const isValid =
    version !== 0 &&
    more === undefined &&
    isIP(from) === version &&
    isIP(to) === version &&
    !line.includes('%') &&
    isPort(fromPort) &&
    isPort(toPort)
  if (!isValid) return { kind: 'invalid', reason: 'the PROXY line is not of the form of version 1' }
  const addresses = {
    source: { address: from, port: Number(fromPort) },
    destination: { address: to, port: Number(toPort) },
  }
  return { kind: 'header', addresses, length }
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function readV2(bytes: Buffer): ProxyHeaderState {
  if (bytes.length < V2_FIXED) return MORE
  const [versionAndCommand, familyAndProtocol] = [bytes[12]!, bytes[13]!]
  const [version, command] = [versionAndCommand >> 4, versionAndCommand & 15]
  if (version !== 2 || command > 1)
    return { kind: 'invalid', reason: 'the PROXY header is of no known version or command' }
  const length = V2_FIXED + bytes.readUInt16BE(14)
  if (length > MAX_V2_BYTES)
    return { kind: 'invalid', reason: `the PROXY header takes more than ${MAX_V2_BYTES} bytes` }
  if (bytes.length < length) return MORE
  // LOCAL: the sender's own connection (§2.2).
  if (command === 0) return { kind: 'header', addresses: null, length }
  const size = familyAndProtocol === STREAM_OVER_IPV4 ? 4 : familyAndProtocol === STREAM_OVER_IPV6 ? 16 : 0
  // Unix sockets and datagrams: accepted, and nothing that could be used (§2.2).
  if (size === 0) return { kind: 'header', addresses: null, length }
  const ports = V2_FIXED + 2 * size
  if (length < ports + 4) return { kind: 'invalid', reason: 'the PROXY header has no room for its addresses' }
  const at = (offset: number) => addressText(bytes.subarray(offset, offset + size))
  const addresses = {
    source: { address: at(V2_FIXED), port: bytes.readUInt16BE(ports) },
    destination: { address: at(V2_FIXED + size), port: bytes.readUInt16BE(ports + 2) },
  }
  return { kind: 'header', addresses, length }
}

function writeV1(addresses: ProxiedAddresses | null): Buffer {
  const family = familyOf(addresses)
  if (addresses === null || family === 0) return Buffer.from('PROXY UNKNOWN\r\n')
  const { source, destination } = addresses
  const line = `PROXY TCP${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`
  return Buffer.from(line, 'latin1')
}

function writeV2(addresses: ProxiedAddresses | null): Buffer {
  const family = familyOf(addresses)
  // LOCAL, of no family.
  if (addresses === null || family === 0) return Buffer.concat([V2, Buffer.from([0x20, 0, 0, 0])])
  const ends = [addressBytes(addresses.source.address), addressBytes(addresses.destination.address)]
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(addresses.source.port, 0)
  ports.writeUInt16BE(addresses.destination.port, 2)
  const body = Buffer.concat([...ends, ports])
  const fixed = Buffer.from([0x21, family === 4 ? STREAM_OVER_IPV4 : STREAM_OVER_IPV6, 0, body.length])
  return Buffer.concat([V2, fixed, body])
}

/** 4 or 6; 0 where the two ends are not of one family. */
function familyOf(addresses: ProxiedAddresses | null): 0 | 4 | 6 {
  if (addresses === null) return 0
  const family = isIP(addresses.source.address)
  return family === isIP(addresses.destination.address) ? (family as 0 | 4 | 6) : 0
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups: string[] = []
  for (let i = 0; i < 16; i += 2) groups.push(bytes.readUInt16BE(i).toString(16))
  return shorten(groups)
}

/** The longest run of zeros, of two groups at least, is left out (RFC 5952 §4.2). */
function shorten(groups: readonly string[]): string {
  let [best, bestLength, start] = [-1, 1, -1]
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === '0') {
      if (start === -1) start = i
    } else if (start !== -1) {
      if (i - start > bestLength) [best, bestLength] = [start, i - start]
      start = -1
    }
  }
  if (best === -1) return groups.join(':')
  return `${groups.slice(0, best).join(':')}::${groups.slice(best + bestLength).join(':')}`
}

/** @param text A valid address. */
function addressBytes(text: string): Buffer {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number))
  // `::ffff:192.0.2.1` and the like end in an IPv4 address; a zone is no part of it.
  const [plain = ''] = text.split('%')
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain)
  const hex = dotted === null ? plain : `${dotted[1]}${pair(dotted[2]!, dotted[3]!)}:${pair(dotted[4]!, dotted[5]!)}`
  const [head = '', tail] = hex.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...before, ...zeros, ...after].entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2)
  return bytes
}

function pair(high: string, low: string): string {
  return ((Number(high) << 8) | Number(low)).toString(16)
}
