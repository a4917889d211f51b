/**
 * Closing a connection on a client that is still sending. Bytes that arrive at a closed socket make the kernel reset
 * the connection, and what the client had not read of the answer is gone with it: so the rest is read and dropped for
 * a while (RFC 9112 §9.6; Envoy's `delayed_close_timeout`).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** As Envoy's default. */
const LINGER_MS = 1000

/** For requests with a body. Node closes the connection by itself once the answer is out; this says how. */
export function lingerIfUnfinished(req: IncomingMessage, res: ServerResponse): void {
  res.once('prefinish', () => {
    const { socket } = req
    if (req.complete || socket.destroyed) return
    socket.destroySoon = () => {
      linger(socket)
    }
  })
}

function linger(socket: Socket): void {
  // The parser is one of these listeners: what still comes must not be taken for another request.
  socket.removeAllListeners('data')
  socket.on('data', () => {})
  socket.end()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
