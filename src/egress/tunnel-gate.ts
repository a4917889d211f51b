/**
 * What a client says first in a tunnel, held back until it is known to be meant for the host that was asked for: the
 * server name of a TLS client has to be that host. Nothing is terminated, and nothing of what is refused gets through.
 *
 * What cannot be seen is what TLS encrypts: a `Host` inside that names another site of the same server (domain
 * fronting), and the inner name of an encrypted ClientHello, which is why that is refused.
 */
import { ClientHelloReader } from '../lib/client-hello.ts'

export interface GateRules {
  /** The port says that TLS is spoken on it: anything else is refused. */
  readonly tls: boolean
  /**
   * The ServiceEntry itself gives the addresses that are dialled. Then another protocol than TLS or HTTP may be spoken
   * on a port that says TLS: no name is left that a shared front could go by.
   */
  readonly pinned: boolean
  /** Whether a server name is one of the destination's; null: no list says what its names are. */
  readonly isOwnName: ((serverName: string) => boolean) | null
  readonly allowEncryptedClientHello: boolean
}

/** Why a tunnel is closed; the text is for the audit. */
export type GateRefusal = 'sni-mismatch' | 'sni-missing' | 'not-tls' | 'encrypted-client-hello' | 'bad-client-hello'

export type GateState =
  /** More bytes are needed. */
  { readonly kind: 'hold' } | { readonly kind: 'pass' } | { readonly kind: 'refuse'; readonly reason: GateRefusal }

const HOLD: GateState = { kind: 'hold' }
const PASS: GateState = { kind: 'pass' }

const NOTHING = Buffer.alloc(0)
/** By then it is known what is spoken, if it is not TLS. */
const LOOK_AT_BYTES = 16
const HANDSHAKE = 22
const TLS_MAJOR_VERSION = 3
/** Methods that servers know; `PRI` begins HTTP/2. */
const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'PRI',
  'PROPFIND',
  'MKCOL',
  'QUERY',
]
/** Blank lines that servers skip before a request (RFC 9112 §2.2). */
const BLANKS = /^[\r\n\t ]*/

export class TunnelGate {
  readonly #rules: GateRules
  readonly #reader = new ClientHelloReader()
  #start: Buffer = NOTHING
  #state: GateState = HOLD
  /** Server name that the client asked for, once it is known; empty: none. */
  serverName = ''

  constructor(rules: GateRules) {
    this.#rules = rules
  }

  /** Takes the next bytes of the client. Once the state is not `hold`, bytes change nothing. */
  push(bytes: Buffer): GateState {
    if (this.#state !== HOLD) return this.#state
    if (this.#start.length === 0) this.#start = bytes
    else if (this.#start.length < LOOK_AT_BYTES) this.#start = Buffer.concat([this.#start, bytes.subarray(0, 64)])
    this.#state = this.#looksLikeTls() ? this.#judgeHello(bytes) : this.#judgeOther()
    return this.#state
  }

  /** The client has said all that it will for now: `hold` at its end is a refusal where TLS is needed. */
  get held(): boolean {
    return this.#state === HOLD
  }

  #looksLikeTls(): boolean {
    const [type, version] = this.#start
    return type === HANDSHAKE && (version === undefined || version === TLS_MAJOR_VERSION)
  }

  #judgeHello(bytes: Buffer): GateState {
    const { tls, isOwnName, allowEncryptedClientHello } = this.#rules
    const read = this.#reader.push(bytes)
    if (read.kind === 'more') return HOLD
    if (read.kind === 'invalid') return refuse('bad-client-hello')
    const { serverName, encryptedClientHello } = read.hello
    this.serverName = serverName
    if (isOwnName === null) return PASS
    if (encryptedClientHello && !allowEncryptedClientHello) return refuse('encrypted-client-hello')
    if (serverName === '') return tls ? refuse('sni-missing') : PASS
    return isOwnName(serverName) ? PASS : refuse('sni-mismatch')
  }

  #judgeOther(): GateState {
    const { tls, pinned, isOwnName } = this.#rules
    if (!tls || isOwnName === null) return PASS
    if (!pinned) return refuse('not-tls')
    const start = this.#start
    // The ClientHello of SSL 2, which old servers took for TLS as well, and which has no server name.
    if ((start[0]! & 0x80) !== 0) return refuse('bad-client-hello')
    const text = start.toString('latin1', 0, 64).replace(BLANKS, '').toUpperCase()
    if (text === '' && start.length < LOOK_AT_BYTES) return HOLD
    for (const method of METHODS) {
      if (text.startsWith(`${method} `) || text.startsWith(`${method}\t`)) return refuse('not-tls')
      if (`${method} `.startsWith(text)) return HOLD
    }
    return text === '' ? refuse('not-tls') : PASS
  }
}

function refuse(reason: GateRefusal): GateState {
  return { kind: 'refuse', reason }
}
