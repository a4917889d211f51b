/** Asks another proxy for a tunnel, on a connection to it that stands (RFC 9110 §9.3.6). */
import type { Socket } from 'node:net'

/** A proxy that says more than this before the tunnel begins says nothing sensible. */
const MAX_HEAD_BYTES = 16 * 1024

/**
 * @param target `HOST:PORT`
 * @param done Called once: with null when the bytes on the socket are the tunnel's, paused; else with what went wrong.
 */
export function openThroughProxy(
  socket: Socket,
  target: string,
  authorization: string | null,
  done: (error: Error | null) => void,
): void {
  let received = Buffer.alloc(0)
  const finish = (error: Error | null, rest?: Buffer) => {
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.pause()
    // Only now: while somebody listens, what is put back is read again at once.
    if (rest !== undefined && rest.length > 0) socket.unshift(rest)
    done(error)
  }
  const onEnd = () => {
    finish(new Error('the other proxy closed the connection'))
  }
  const onData = (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
    const end = received.indexOf('\r\n\r\n')
    if (end === -1) {
      if (received.length > MAX_HEAD_BYTES) finish(new Error('the other proxy does not answer in HTTP'))
      return
    }
    const status = /^HTTP\/1\.[01] ([0-9]{3})(?: |\r)/.exec(received.toString('latin1', 0, end + 2))?.[1]
    if (status?.startsWith('2') !== true) {
      finish(new Error(`the other proxy answers ${status ?? 'no HTTP'}`))
      return
    }
    finish(null, received.subarray(end + 4))
  }
  socket.on('data', onData)
  socket.on('end', onEnd)
  const credentials = authorization === null ? '' : `proxy-authorization: ${authorization}\r\n`
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n${credentials}\r\n`)
}
