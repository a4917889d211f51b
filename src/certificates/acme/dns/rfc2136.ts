/** Dynamic updates of a DNS zone (RFC 2136) over TCP, signed with TSIG where a key is given. */
import { randomInt } from 'node:crypto'
import { connect } from 'node:net'
import packet, { type Packet } from 'dns-packet'
import { secretText } from '../account.ts'
import type { DnsPublishing } from '../issuer.ts'
import { AcmeProblem } from '../problem.ts'
import { signMessage, wireName } from './tsig.ts'

type Rfc2136 = Extract<DnsPublishing, { readonly kind: 'rfc2136' }>

/** Seconds that resolvers keep the record. */
const TTL = 60
/** Opcode 5 of RFC 2136, at its place in the flags. */
const UPDATE = 5 << 11
const RESPONSE_CODES: Readonly<Record<number, string>> = {
  1: 'FORMERR: it does not understand the update',
  2: 'SERVFAIL: it could not write the zone',
  3: 'NXDOMAIN',
  4: 'NOTIMP: it takes no updates',
  5: 'REFUSED: the key may not update this name',
  9: 'NOTAUTH: it is not authoritative for the zone, or does not know the key',
  10: 'NOTZONE: the name is not in the zone',
}
const SOA = 6
const TXT = 16
/** Class of a record that is to be removed (RFC 2136 section 2.5.4). */
const CLASS_NONE = 254
const CLASS_IN = 1

/** @throws AcmeProblem with the server's answer, or why there is none. */
export async function updateTxt(
  settings: Rfc2136,
  action: 'present' | 'cleanup',
  name: string,
  value: string,
): Promise<void> {
  const zone = settings.zone?.replace(/\.$/, '') ?? (await findZone(settings, name))
  const plain = updateMessage(randomInt(65_536), zone, action, name, value)
  const { tsig } = settings
  const message =
    tsig === null
      ? plain
      : signMessage(plain, {
          name: tsig.name,
          algorithm: tsig.algorithm,
          secret: Buffer.from(await secretText(tsig.secret, 'dns.keyFile'), 'base64'),
          now: Math.floor(Date.now() / 1000),
        })
  const answer = await exchange(settings, message)
  const code = answer.readUInt16BE(2) & 0xf
  if (code !== 0) {
    const reason = RESPONSE_CODES[code] ?? `error ${code}`
    throw new AcmeProblem('dns', `${settings.host} refused to update ${name} in zone ${zone}: ${reason}`)
  }
}

/** Header, the zone, and one record to add or to remove (RFC 2136 section 2). */
export function updateMessage(
  id: number,
  zone: string,
  action: 'present' | 'cleanup',
  name: string,
  value: string,
): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(UPDATE, 2)
  header.writeUInt16BE(1, 4) // zones
  header.writeUInt16BE(1, 8) // updates
  const zoneTail = Buffer.from([0, SOA, 0, CLASS_IN])
  const text = Buffer.from(value, 'latin1')
  const data = Buffer.concat([Buffer.of(text.length), text])
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(TXT, 0)
  fixed.writeUInt16BE(action === 'present' ? CLASS_IN : CLASS_NONE, 2)
  fixed.writeUInt32BE(action === 'present' ? TTL : 0, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([header, wireName(zone), zoneTail, wireName(name), fixed, data])
}

/** The zone that the server has the name in: it names it in the SOA record of its answer. */
async function findZone(settings: Rfc2136, name: string): Promise<string> {
  const query: Packet = {
    type: 'query',
    id: randomInt(65_536),
    questions: [{ type: 'SOA', class: 'IN', name }],
  }
  const answer = packet.decode(await exchange(settings, Buffer.from(packet.encode(query))))
  const soa = [...(answer.answers ?? []), ...(answer.authorities ?? [])].find(({ type }) => type === 'SOA')
  if (soa !== undefined) return soa.name
  throw new AcmeProblem('dns', `${settings.host} has no zone for ${name}; set dns.zone if it hides it`)
}

/** One message and its answer over TCP (RFC 1035 section 4.2.2). */
async function exchange({ host, port, timeoutMs }: Rfc2136, message: Buffer): Promise<Buffer> {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  const socket = connect({ host, port })
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)))
  try {
    socket.write(Buffer.concat([length, message]))
    let received = Buffer.alloc(0)
    for await (const piece of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, piece])
      if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const answer = received.subarray(2, 2 + received.readUInt16BE(0))
        if (answer.length >= 12 && answer.readUInt16BE(0) === message.readUInt16BE(0)) return answer
        break
      }
    }
    throw new Error('it closed the connection without an answer')
  } catch (error) {
    throw new AcmeProblem('dns', `the DNS server ${host}:${port} cannot be used: ${(error as Error).message}`)
  } finally {
    socket.destroy()
  }
}
