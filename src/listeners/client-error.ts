/**
 * Bytes that Node's parser refuses, as the local replies that Envoy's HTTP/1.1 codec gives to them. Nothing that
 * follows on such a connection can be trusted.
 */
import type { LocalReply } from '../exchange/local-reply.ts'

const MALFORMED: LocalReply = {
  status: 400,
  body: 'Bad Request',
  flag: 'DPE',
  details: 'http1.codec_error',
  close: true,
}
const HEAD_TOO_LARGE: LocalReply = {
  status: 431,
  body: 'Request Header Fields Too Large',
  flag: 'DPE',
  details: 'http1.headers_too_large',
  close: true,
}
/** The request line has not ended where the limit was reached: the target itself is too long. */
const TARGET_TOO_LONG: LocalReply = { ...HEAD_TOO_LARGE, status: 414, body: 'URI Too Long' }
const HEAD_TOO_SLOW: LocalReply = {
  status: 408,
  body: 'request header timeout',
  details: 'request_header_timeout',
  close: true,
}
const REQUEST_TOO_SLOW: LocalReply = {
  status: 408,
  body: 'request timeout',
  details: 'request_overall_timeout',
  close: true,
}

/**
 * @param inBody The head of the request had arrived.
 * @returns Null where nobody is left to answer.
 */
export function replyToClientError(error: Error, inBody: boolean): LocalReply | null {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ECONNRESET':
    case 'EPIPE':
    // The client closed its side in the middle of a request.
    case 'HPE_INVALID_EOF_STATE':
      return null
    case 'HPE_HEADER_OVERFLOW': {
      const packet = (error as { rawPacket?: Buffer }).rawPacket
      return packet !== undefined && !packet.includes('\n') ? TARGET_TOO_LONG : HEAD_TOO_LARGE
    }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return inBody ? REQUEST_TOO_SLOW : HEAD_TOO_SLOW
    default:
      return MALFORMED
  }
}
