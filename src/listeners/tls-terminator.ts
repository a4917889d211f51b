/** Ends clients' TLS on connections that somebody else accepted. */
import type { Socket } from 'node:net'
import { createServer, type SecureContextOptions, type Server, type TlsOptions, type TLSSocket } from 'node:tls'

/** How the handshakes are made; see tls-contexts.ts. */
export interface TerminationOptions {
  readonly server: TlsOptions
  /** Which route table a connection belongs to, by the server that its SNI chose. */
  readonly routeTableOf: (socket: TLSSocket) => string
}

export class TlsTerminator {
  readonly #server: Server

  /** @param onSecure Called once for every connection whose handshake succeeded; the others are closed. */
  constructor(options: TlsOptions, onSecure: (socket: TLSSocket) => void) {
    // It listens nowhere: connections are put in.
    this.#server = createServer({ ...options, highWaterMark: 64 * 1024 }, onSecure)
    this.#server.on('tlsClientError', (_, socket) => {
      socket.destroy()
    })
  }

  take(socket: Socket): void {
    this.#server.emit('connection', socket)
  }

  /** What clients without SNI are shown; null: their handshakes fail. */
  setDefaultCertificate(options: SecureContextOptions | null): void {
    this.#server.setSecureContext(options ?? {})
  }
}
