/** Answers to bytes that Node's parser refuses: nothing that follows on such a connection can be trusted. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

/** Time for the client to read the answer before the connection is cut, as Envoy's `delayed_close_timeout`. */
const DELAYED_CLOSE_MS = 1000

export function answerUnparsable(error: Error, socket: Socket): void {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNRESET' || code === 'EPIPE' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, body } = answerTo(code, (error as { rawPacket?: Buffer }).rawPacket)
  const type = body === '' ? '' : 'content-type: text/plain\r\n'
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${type}content-length: ${body.length}\r\n` +
      `date: ${new Date().toUTCString()}\r\nserver: istio-envoy\r\nconnection: close\r\n\r\n${body}`,
    'latin1',
  )
  // Reading on keeps the kernel from resetting the connection under the answer.
  socket.resume()
  setTimeout(() => socket.destroy(), DELAYED_CLOSE_MS).unref()
}

function answerTo(code: string | undefined, packet: Buffer | undefined): { status: number; body: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      // The request line has not ended where the limit was reached: the target itself is too long.
      return packet !== undefined && !packet.includes('\n')
        ? { status: 414, body: 'URI Too Long' }
        : { status: 431, body: 'Request Header Fields Too Large' }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, body: 'request header timeout' }
    default:
      return { status: 400, body: 'Bad Request' }
  }
}
