/**
 * Ends clients' TLS on connections that somebody else accepted: reads which server a client asks for, and lets that one
 * make the handshake.
 */
import type { Socket } from 'node:net'
import type { ChallengeTable } from '../certificates/acme/challenge-table.ts'
import { peekClientHello } from '../lib/peek-client-hello.ts'
import type { TlsServerPlan } from '../plan/listener.ts'
import { AcmeChallenges } from './acme-challenges.ts'
import type { HandshakeOptions, SecureConnection, TlsServer } from './tls-server.ts'
import { TlsServers } from './tls-servers.ts'

/** For a ClientHello, from the connection to its last byte (semantics §1.11). */
const CLIENT_HELLO_MS = 15_000
/** Time for a client to read why it is refused. */
const REFUSAL_MS = 1000

/** Fatal alerts (RFC 8446 §6.2) in a record of their own, in the clear. */
const UNRECOGNIZED_NAME = alert(112)
const INTERNAL_ERROR = alert(80)

export class TlsTerminator {
  readonly #servers: TlsServers
  readonly #challenges: AcmeChallenges | null

  /**
   * @param onSecure Called once for every connection whose handshake succeeded; the others are closed.
   * @param challenges Null: this gateway orders no certificates.
   */
  constructor(
    options: HandshakeOptions,
    onSecure: (connection: SecureConnection) => void,
    challenges: ChallengeTable | null,
  ) {
    this.#servers = new TlsServers(options, onSecure)
    this.#challenges = challenges === null ? null : new AcmeChallenges(challenges)
  }

  /** Handshakes from here on are made with these. */
  update(plans: readonly TlsServerPlan[]): void {
    this.#servers.update(plans)
  }

  /** @param socket Unread. */
  take(socket: Socket): void {
    // A client that breaks off is nobody's trouble; the TLS above it notices by itself.
    socket.on('error', () => {})
    peekClientHello(socket, CLIENT_HELLO_MS, (peeked) => {
      if (peeked.kind !== 'hello') {
        socket.destroy()
        return
      }
      const { serverName, ticketName } = peeked.hello
      if (this.#challenges?.take(socket, peeked.hello) === true) return
      const server = this.#servers.find(serverName)
      const end = server?.end(ticketName) ?? null
      if (end === null) refuse(socket, server === null ? UNRECOGNIZED_NAME : INTERNAL_ERROR)
      else end.emit('connection', socket)
    })
  }

  /** See {@link TlsServers.misdirects}. */
  misdirects(host: string, server: TlsServer): boolean {
    return this.#servers.misdirects(host, server)
  }

  close(): void {
    this.#servers.close()
  }
}

function refuse(socket: Socket, reason: Buffer): void {
  socket.end(reason)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS)
  timer.unref()
  socket.once('close', () => {
    clearTimeout(timer)
  })
}

function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description])
}
