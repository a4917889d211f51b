/** Looks at the ClientHello on a socket, and leaves everything there for whoever takes the connection over. */
import type { Socket } from 'node:net'
import { type ClientHello, ClientHelloReader } from './client-hello.ts'

export type PeekedHello =
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  | { readonly kind: 'invalid'; readonly reason: string }
  /** The client took its time. */
  | { readonly kind: 'timeout' }
  /** The client left before its hello was whole. */
  | { readonly kind: 'closed' }

/**
 * Reads until the hello is whole, its bounds are reached, or the time is up; then puts back what was read and pauses
 * the socket: whoever takes it over resumes it (a TLSSocket around it does so by itself).
 *
 * @param socket Nobody else may read from it until `done` is called. It needs an error listener of its owner.
 * @param timeoutMs From now to the last byte of the hello.
 * @param done Called once, never before this returns.
 */
export function peekClientHello(socket: Socket, timeoutMs: number, done: (peeked: PeekedHello) => void): void {
  const reader = new ClientHelloReader()
  const segments: Buffer[] = []
  const finish = (peeked: PeekedHello) => {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onClosed)
    socket.off('close', onClosed)
    socket.pause()
    if (segments.length > 0 && !socket.destroyed) {
      socket.unshift(segments.length === 1 ? segments[0]! : Buffer.concat(segments))
    }
    done(peeked)
  }
  const onData = (segment: Buffer) => {
    segments.push(segment)
    const state = reader.push(segment)
    if (state.kind !== 'more') finish(state)
  }
  // After an end nothing can be put back, and nobody will want it: half a hello is of no use.
  const onClosed = () => {
    segments.length = 0
    finish({ kind: 'closed' })
  }
  const timer = setTimeout(() => {
    finish({ kind: 'timeout' })
  }, timeoutMs)
  socket.on('data', onData)
  socket.on('end', onClosed)
  socket.on('close', onClosed)
}
