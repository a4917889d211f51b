/**
 * Ends clients' TLS on connections that somebody else accepted: reads which server a client asks for, and lets that one
 * make the handshake. What is to go on as it came goes on.
 */
import type { Socket } from 'node:net'
import type { ChallengeTable } from '../certificates/acme/challenge-table.ts'
import { peekClientHello } from '../lib/peek-client-hello.ts'
import type { TlsListenerPlan } from '../plan/listener.ts'
import type { PassthroughPlan } from '../plan/tcp.ts'
import { AcmeChallenges } from './acme-challenges.ts'
import { type HandshakeOptions, type SecureConnection, TlsServer } from './tls-server.ts'
import { TlsServers } from './tls-servers.ts'

/** For a ClientHello, from the connection to its last byte (semantics §1.11). */
const CLIENT_HELLO_MS = 15_000
/** Time for a client to read why it is refused. */
const REFUSAL_MS = 1000

/** Fatal alerts (RFC 8446 §6.2) in a record of their own, in the clear. */
const UNRECOGNIZED_NAME = alert(112)
const INTERNAL_ERROR = alert(80)

/** What becomes of connections. One whose handshake fails is closed, and nobody is told. */
export interface TlsHandlers {
  readonly onSecure: (connection: SecureConnection) => void
  /** TLS that does not end here. The socket is paused, with nothing of it read. */
  readonly onPassed: (socket: Socket, passthrough: PassthroughPlan, serverName: string) => void
  /** No server is for what the client asked for; it was told so. */
  readonly onUnknown: (socket: Socket, serverName: string) => void
}

export class TlsTerminator {
  readonly #servers: TlsServers
  readonly #handlers: TlsHandlers
  readonly #challenges: AcmeChallenges | null

  /** @param challenges Null: this gateway orders no certificates. */
  constructor(options: HandshakeOptions, handlers: TlsHandlers, challenges: ChallengeTable | null) {
    this.#servers = new TlsServers(options, handlers.onSecure)
    this.#handlers = handlers
    this.#challenges = challenges === null ? null : new AcmeChallenges(challenges)
  }

  /** Connections from here on are taken by these terms. */
  update(plan: TlsListenerPlan): void {
    this.#servers.update(plan.servers, plan.passthrough ?? [])
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
      const target = this.#servers.find(peeked.hello, socket.localAddress ?? '')
      if (target === null) {
        refuse(socket, UNRECOGNIZED_NAME)
        this.#handlers.onUnknown(socket, serverName)
      } else if (target instanceof TlsServer) {
        const end = target.end(ticketName)
        if (end === null) refuse(socket, INTERNAL_ERROR)
        else end.emit('connection', socket)
      } else this.#handlers.onPassed(socket, target, serverName)
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
