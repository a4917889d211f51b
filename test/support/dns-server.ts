/** A small DNS server on 127.0.0.1 over UDP (RFC 1035 §4): what it answers is changed while it runs. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'

export interface DnsRecord {
  /** IPv4 or IPv6. */
  readonly address: string
  /** Seconds. */
  readonly ttl: number
}

export interface DnsServer {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** By name. A name that is missing does not exist; `failing` is answered SERVFAIL. */
  readonly records: Map<string, readonly DnsRecord[] | 'failing'>
  /** Milliseconds that each answer is held back. */
  delayMs: number
  /** Questions so far, `NAME TYPE`. */
  readonly questions: string[]
  stop(): void
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 28: 'AAAA' }
const NO_SUCH_NAME = 3
const SERVER_FAILURE = 2

export async function startDnsServer(): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const server = {
    address: '',
    records: new Map<string, readonly DnsRecord[] | 'failing'>(),
    delayMs: 0,
    questions: [] as string[],
    stop: () => {
      socket.close()
    },
  }
  let open = true
  socket.once('close', () => (open = false))
  socket.on('message', (query, { port, address }) => {
    const answer = answerTo(query, server.records, server.questions)
    setTimeout(() => open && socket.send(answer, port, address), server.delayMs)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  server.address = `127.0.0.1:${socket.address().port}`
  return server
}

function answerTo(query: Buffer, records: DnsServer['records'], questions: string[]): Buffer {
  const labels: string[] = []
  let at = 12
  while (query[at] !== 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    at += query[at]! + 1
  }
  const name = labels.join('.').toLowerCase()
  const type = TYPES[query.readUInt16BE(at + 1)] ?? ''
  questions.push(`${name} ${type}`)
  const question = query.subarray(12, at + 5)
  const known = records.get(name)
  const code = known === undefined ? NO_SUCH_NAME : known === 'failing' ? SERVER_FAILURE : 0
  const chosen = Array.isArray(known) ? known.filter(({ address }) => isIPv6(address) === (type === 'AAAA')) : []
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  // An answer; recursion was wanted and is available.
  head.writeUInt16BE(0x8180 | code, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(chosen.length, 6)
  return Buffer.concat([head, question, ...chosen.map(recordBytes)])
}

function recordBytes({ address, ttl }: DnsRecord): Buffer {
  const data = isIPv6(address) ? ipv6Bytes(address) : Buffer.from(address.split('.').map(Number))
  const head = Buffer.alloc(12)
  // The name is that of the question.
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(isIPv6(address) ? 28 : 1, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(ttl, 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function ipv6Bytes(address: string): Buffer {
  const [left = [], right = []] = address.split('::').map((half) => half.split(':').filter((part) => part !== ''))
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
