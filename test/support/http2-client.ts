/** An HTTP/2 client with prior knowledge. */
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'

export interface Http2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly body: string
  /** Code of the reset that ended the stream; 0: it ended in good order. */
  readonly code: number
}

export interface Http2Ask {
  readonly path?: string
  readonly method?: string
  readonly host?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly trailers?: OutgoingHttpHeaders
}

export async function openHttp2(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  await once(session, 'connect')
  return session
}

/** Begins a request; its body, if any, is the caller's to write, and to break off: it has no end. */
export function begin(
  session: ClientHttp2Session,
  { path = '/', method = 'GET', host = 'app.test', headers = {} }: Http2Ask,
  endStream: boolean,
): ClientHttp2Stream {
  const head = { ':method': method, ':path': path, ':authority': host, ...headers }
  const stream = session.request(head, { endStream, waitForTrailers: !endStream })
  // Node ends the body of a stream that is reset, and sends that first; without trailers it does not.
  stream.on('wantTrailers', () => {})
  stream.on('error', () => {})
  return stream
}

export async function askHttp2(session: ClientHttp2Session, ask: Http2Ask = {}): Promise<Http2Answer> {
  const { body, trailers } = ask
  const head = {
    ':method': ask.method ?? 'GET',
    ':path': ask.path ?? '/',
    ':authority': ask.host ?? 'app.test',
    ...ask.headers,
  }
  const hasBody = body !== undefined || trailers !== undefined
  const stream = session.request(head, { endStream: !hasBody, waitForTrailers: trailers !== undefined })
  stream.on('error', () => {})
  if (trailers !== undefined) stream.once('wantTrailers', () => stream.sendTrailers(trailers))
  if (hasBody) stream.end(body ?? '')
  return answerOf(stream)
}

/** All of an answer, or as much as came before the stream was reset. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders = {}
  let text = ''
  stream.once('response', (got) => (headers = got))
  stream.once('trailers', (got) => (trailers = got))
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  await new Promise<void>((resolve) => stream.once('close', resolve))
  return { status: Number(headers[':status'] ?? 0), headers, trailers, body: text, code: stream.rstCode ?? 0 }
}
