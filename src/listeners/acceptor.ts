/**
 * A bound address: accepts connections, counts them and bounds their number. What is spoken on them is the business
 * of whoever takes them.
 */
import { createServer, type Server, type Socket } from 'node:net'

export interface AcceptorOptions {
  /** Connections at a time; more are closed at once. 0: no limit. */
  readonly maxConnections: number
  /** A client that has sent its last byte may still read: plain HTTP and TCP want that, TLS ends both ways itself. */
  readonly allowHalfOpen: boolean
}

/** Bytes that are read ahead of whoever reads a socket. */
const READ_AHEAD_BYTES = 64 * 1024
/** Connections that the kernel completes before they are accepted. */
const BACKLOG = 4096

export class Acceptor {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  /** @param take Called once for every connection, with the bytes unread. */
  constructor(options: AcceptorOptions, take: (socket: Socket) => void) {
    this.#server = createServer(
      { allowHalfOpen: options.allowHalfOpen, noDelay: true, highWaterMark: READ_AHEAD_BYTES },
      (socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
        take(socket)
      },
    )
    if (options.maxConnections > 0) this.#server.maxConnections = options.maxConnections
  }

  /** Connections that stand, those in the middle of a handshake too. */
  get connections(): number {
    return this.#sockets.size
  }

  /**
   * @param address Where to bind; several processes may bind the same address.
   * @throws The system's error where that is not possible.
   */
  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: address.host, port: address.port, reusePort: true, backlog: BACKLOG }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        resolve()
      })
    })
  }

  /** Accepts nothing more; connections that stand go on. */
  close(): void {
    this.#server.close()
  }

  /** Cuts the connections that are left. */
  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}
