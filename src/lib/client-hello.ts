/**
 * What a TLS client says in the clear before anything is encrypted: the name it asks for (SNI) and the protocols it
 * offers (ALPN). Read without answering, so that the connection can be handed on as it is.
 *
 * The reader is strict where two readers could understand two things (a repeated extension, bytes behind a list, a
 * fragment without content): what decided here and what the server behind reads must be the same name.
 *
 * Source: RFC 8446 §4.1.2, §4.2, §5.1; RFC 6066 §3 (server_name); RFC 7301 §3.1 (ALPN); RFC 9849 (encrypted
 * ClientHello: the outer name is what is seen). Bounds as envoy `source/extensions/filters/listener/tls_inspector`.
 */

export interface ClientHello {
  /** Lower case; empty: the client named none. With an encrypted ClientHello it is the outer name. */
  readonly serverName: string
  /** In the client's order; empty: none offered. */
  readonly alpn: readonly string[]
  /**
   * The beginning of the session ticket that the client shows, at most 16 bytes as latin1: the name of the key that it
   * was sealed with (RFC 5077 §4). Empty: it shows none.
   */
  readonly ticketName: string
  /** The name above is a cover, and another one is encrypted (or the client only pretends so: GREASE). */
  readonly encryptedClientHello: boolean
}

export type ClientHelloState =
  /** Not all of it is there. */
  | { readonly kind: 'more' }
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  /** It is no TLS, or no valid ClientHello, or longer than {@link MAX_CLIENT_HELLO_BYTES}. */
  | { readonly kind: 'invalid'; readonly reason: string }

/** Records with their headers, as Envoy's inspector reads at most. Hellos with post-quantum key shares take 2 KiB. */
export const MAX_CLIENT_HELLO_BYTES = 16 * 1024

const RECORD_HEADER = 5
const MESSAGE_HEADER = 4
const HANDSHAKE = 22
const CLIENT_HELLO = 1
/** TLS 1.3's largest record; the older ones with their overhead do not carry a ClientHello. */
const MAX_RECORD = 16 * 1024

const SERVER_NAME = 0
const ALPN = 16
const SESSION_TICKET = 35
const PRE_SHARED_KEY = 41
const ENCRYPTED_CLIENT_HELLO = 0xfe0d

const TICKET_NAME_BYTES = 16

const MORE: ClientHelloState = { kind: 'more' }

/**
 * Puts a ClientHello together from segments, which may be cut anywhere, in records that may be cut anywhere too. Each
 * byte is looked at once, however it arrives.
 */
export class ClientHelloReader {
  #state: ClientHelloState = MORE
  /** Bytes that came, at most `MAX_CLIENT_HELLO_BYTES` before it is refused. */
  #received = 0
  /** Header of the record that has begun, as far as it is there. */
  readonly #header = Buffer.alloc(RECORD_HEADER)
  #headerLength = 0
  /** Bytes of the record that are still to come. */
  #recordLeft = 0
  /** The handshake message, as far as it is there. */
  readonly #message: Buffer[] = []
  #messageLength = 0
  /** With its header; 0: its header is not there. */
  #wanted = 0

  get state(): ClientHelloState {
    return this.#state
  }

  /** Takes the next segment. Once the state is not `more`, segments change nothing. */
  push(segment: Buffer): ClientHelloState {
    let at = 0
    while (at < segment.length && this.#state === MORE) at = this.#take(segment, at)
    this.#received += segment.length
    if (this.#state === MORE && this.#received >= MAX_CLIENT_HELLO_BYTES) {
      this.#refuse(`the ClientHello takes more than ${MAX_CLIENT_HELLO_BYTES} bytes`)
    }
    return this.#state
  }

  #refuse(reason: string): void {
    this.#message.length = 0
    this.#state = { kind: 'invalid', reason }
  }

  /** @returns Where the next step begins. */
  #take(segment: Buffer, at: number): number {
    if (this.#recordLeft > 0) return this.#takeContent(segment, at)
    const end = Math.min(segment.length, at + RECORD_HEADER - this.#headerLength)
    this.#headerLength += segment.copy(this.#header, this.#headerLength, at, end)
    // Refused with the first byte that cannot be TLS: who speaks something else may wait for an answer.
    if (this.#header[0] !== HANDSHAKE) this.#refuse('the first bytes are no TLS handshake')
    else if (this.#headerLength > 1 && this.#header[1] !== 3) this.#refuse('the record is of no known TLS version')
    else if (this.#headerLength === RECORD_HEADER) {
      this.#headerLength = 0
      this.#recordLeft = this.#header.readUInt16BE(3)
      if (this.#recordLeft === 0 || this.#recordLeft > MAX_RECORD) this.#refuse('a record has no valid length')
    }
    return end
  }

  #takeContent(segment: Buffer, at: number): number {
    const end = Math.min(segment.length, at + this.#recordLeft)
    this.#recordLeft -= end - at
    this.#message.push(segment.subarray(at, end))
    this.#messageLength += end - at
    if (this.#wanted === 0 && this.#messageLength >= MESSAGE_HEADER) this.#readMessageHeader()
    if (this.#state === MORE && this.#wanted > 0 && this.#messageLength >= this.#wanted) this.#finish()
    return end
  }

  #readMessageHeader(): void {
    const start = this.#joined()
    if (start[0] !== CLIENT_HELLO) {
      this.#refuse('the first handshake message is no ClientHello')
      return
    }
    this.#wanted = MESSAGE_HEADER + start.readUIntBE(1, 3)
    if (this.#wanted > MAX_CLIENT_HELLO_BYTES) {
      this.#refuse(`the ClientHello takes more than ${MAX_CLIENT_HELLO_BYTES} bytes`)
    }
  }

  #finish(): void {
    const message = this.#joined().subarray(MESSAGE_HEADER, this.#wanted)
    this.#message.length = 0
    try {
      this.#state = { kind: 'hello', hello: parse(new Cursor(message)) }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.#refuse(error.message)
    }
  }

  #joined(): Buffer {
    return this.#message.length === 1 ? this.#message[0]! : Buffer.concat(this.#message)
  }
}

/** Reads a ClientHello that is whole in `bytes`. What follows it is not looked at. */
export function readClientHello(bytes: Buffer): ClientHelloState {
  return new ClientHelloReader().push(bytes)
}

class Malformed extends Error {}

/** A position in a structure of TLS; whatever reads past its end is {@link Malformed}. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  number(size: 1 | 2): number {
    return this.bytes(size).readUIntBE(0, size)
  }

  bytes(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Malformed('the ClientHello ends too early')
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }

  /** A vector: its length in `size` bytes, then its content. */
  vector(size: 1 | 2): Cursor {
    return new Cursor(this.bytes(this.number(size)))
  }

  /** The rest, as latin1 text. */
  text(): string {
    const text = this.#bytes.toString('latin1', this.#at)
    this.#at = this.#bytes.length
    return text
  }

  /** As much of the rest as there is, `most` bytes at most, as latin1 text. */
  beginning(most: number): string {
    return this.#bytes.toString('latin1', this.#at, Math.min(this.#bytes.length, this.#at + most))
  }

  end(what: string): void {
    if (!this.done) throw new Malformed(`there are bytes behind ${what}`)
  }
}

function parse(message: Cursor): ClientHello {
  message.bytes(2 + 32) // legacy_version, random
  message.vector(1) // legacy_session_id
  message.vector(2) // cipher_suites
  message.vector(1) // legacy_compression_methods
  let serverName = ''
  let alpn: readonly string[] = []
  let ticketName = ''
  let encryptedClientHello = false
  // TLS 1.2 and older: there may be none at all.
  if (message.done) return { serverName, alpn, ticketName, encryptedClientHello }
  const extensions = message.vector(2)
  message.end('the extensions')
  const seen = new Set<number>()
  while (!extensions.done) {
    const type = extensions.number(2)
    const content = extensions.vector(2)
    // RFC 8446 §4.2: one of a kind. Whoever took the other one would see another name.
    if (seen.has(type)) throw new Malformed(`extension ${type} is there twice`)
    seen.add(type)
    if (type === SERVER_NAME) serverName = readServerName(content)
    else if (type === ALPN) alpn = readAlpn(content)
    else if (type === SESSION_TICKET) ticketName ||= content.beginning(TICKET_NAME_BYTES)
    else if (type === PRE_SHARED_KEY) ticketName = readFirstIdentity(content)
    else if (type === ENCRYPTED_CLIENT_HELLO) encryptedClientHello = true
  }
  return { serverName, alpn, ticketName, encryptedClientHello }
}

/** Only host names are defined, and only one of a kind may be there. */
function readServerName(content: Cursor): string {
  const list = content.vector(2)
  content.end('the server name list')
  if (list.number(1) !== 0) throw new Malformed('the server name is of no known kind')
  const name = list.vector(2).text().toLowerCase()
  list.end('the server name')
  // It is compared, logged and looked up: no blanks, controls, or bytes beyond ASCII, which no host name has.
  if (!/^[!-~]{1,255}$/.test(name)) throw new Malformed('the server name is no host name')
  return name
}

/** Of the tickets that TLS 1.3 calls identities; what binds them to the hello is not looked at. */
function readFirstIdentity(content: Cursor): string {
  return content.vector(2).vector(2).beginning(TICKET_NAME_BYTES)
}

function readAlpn(content: Cursor): readonly string[] {
  const list = content.vector(2)
  content.end('the ALPN list')
  const protocols: string[] = []
  while (!list.done) {
    const protocol = list.vector(1).text()
    if (protocol === '') throw new Malformed('an ALPN protocol has no name')
    protocols.push(protocol)
  }
  return protocols
}
