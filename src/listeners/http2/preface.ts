/** Looks whether a connection begins as HTTP/2 does with prior knowledge (RFC 9113 §3.4), and leaves all bytes there. */
import type { Socket } from 'node:net'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export type Spoken = 'http2' | 'other' | 'nothing'

/**
 * @param socket Unread; nobody else may read from it until `done` is called.
 * @param timeoutMs For the first bytes; 0: no limit. Past it, `nothing` was spoken.
 * @param done Called once; not at all where the client leaves before.
 */
export function detectHttp2(socket: Socket, timeoutMs: number, done: (spoken: Spoken) => void): void {
  let seen: Buffer | null = null
  const finish = (spoken: Spoken) => {
    if (timer !== null) clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
    socket.off('error', onGone)
    socket.pause()
    if (seen !== null) socket.unshift(seen)
    done(spoken)
    // Node's HTTP/2 reads what is there, its HTTP/1.1 waits for it.
    if (spoken !== 'http2') socket.resume()
  }
  const onData = (chunk: Buffer) => {
    seen = seen === null ? chunk : Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, PREFACE.length)
    if (seen.compare(PREFACE, 0, length, 0, length) !== 0) finish('other')
    else if (length === PREFACE.length) finish('http2')
  }
  const onGone = () => {
    if (timer !== null) clearTimeout(timer)
    socket.destroy()
  }
  const timer =
    timeoutMs === 0
      ? null
      : setTimeout(() => {
          finish(seen === null ? 'nothing' : 'other')
        }, timeoutMs)
  socket.on('data', onData)
  socket.on('end', onGone)
  socket.on('close', onGone)
  socket.on('error', onGone)
}
