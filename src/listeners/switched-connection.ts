/**
 * A client's connection that Node no longer serves requests of: its parser is gone, and what comes is kept until it is
 * known whether the connection is switched to another protocol.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Bytes that a client may send ahead of the answer to its upgrade; then it is not read for a while. */
const MAX_EARLY_BYTES = 64 * 1024

export class SwitchedConnection {
  readonly #socket: Socket
  readonly #early: Buffer[] = []
  #earlyBytes = 0
  readonly #onData: (chunk: Buffer) => void
  readonly #onEnd: () => void

  /**
   * @param head What Node has read behind the request.
   * @param onGone The client has left, or sent its last byte, before it was answered.
   */
  constructor(socket: Socket, head: Buffer, onGone: () => void) {
    this.#socket = socket
    this.#onData = (chunk) => {
      this.#early.push(chunk)
      this.#earlyBytes += chunk.length
      if (this.#earlyBytes > MAX_EARLY_BYTES) socket.pause()
    }
    this.#onEnd = onGone
    // Node takes its own listeners away before it hands the socket over.
    socket.on('error', () => {})
    if (head.length > 0) this.#onData(head)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
  }

  /** The connection as it is once the head of the answer has been written to it by `res`. */
  release(res: ServerResponse): Socket {
    const socket = this.#socket
    res.detachSocket(socket)
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.pause()
    if (this.#early.length > 0 && !socket.destroyed) socket.unshift(Buffer.concat(this.#early))
    return socket
  }
}
