/**
 * TLS-ALPN-01 (RFC 8737): a client that offers `acme-tls/1` is an authority that looks whether a name is served here,
 * and gets the challenge's certificate in the place of the server's, whatever that server asks of its clients.
 */
import type { Socket } from 'node:net'
import { createServer, type Server } from 'node:tls'
import { ACME_TLS_PROTOCOL, type ChallengeTable } from '../certificates/acme/challenge-table.ts'
import type { ClientHello } from '../lib/client-hello.ts'

const HANDSHAKE_MS = 15_000

export class AcmeChallenges {
  readonly #table: ChallengeTable
  readonly #server: Server

  constructor(table: ChallengeTable) {
    this.#table = table
    // It listens nowhere: connections are put in.
    this.#server = createServer(
      {
        ALPNProtocols: [ACME_TLS_PROTOCOL],
        handshakeTimeout: HANDSHAKE_MS,
        SNICallback: (name, callback) => {
          const context = table.tls(name)
          // It was there a moment ago.
          if (context === null) callback(new Error('the challenge is over'))
          else callback(null, context)
        },
      },
      (socket) => {
        // Section 3: the handshake was all of it.
        socket.end()
      },
    )
    this.#server.on('tlsClientError', (_, socket) => {
      socket.destroy()
    })
  }

  /** @param socket With its hello unread. @returns False: there is no challenge in it. */
  take(socket: Socket, { serverName, alpn }: ClientHello): boolean {
    if (!alpn.includes(ACME_TLS_PROTOCOL) || this.#table.tls(serverName) === null) return false
    this.#server.emit('connection', socket)
    return true
  }
}
