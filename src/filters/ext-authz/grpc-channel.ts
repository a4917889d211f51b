/**
 * Unary gRPC calls to the endpoints of a cluster, on Node's HTTP/2 over connections that the cluster's own transport
 * makes: a DestinationRule's TLS, the mesh's mutual TLS and their rotation hold for them as for any other request.
 *
 * Source: gRPC over HTTP/2 (grpc/grpc doc/PROTOCOL-HTTP2.md).
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Endpoint } from '../../upstreams/endpoint.ts'
import type { Transport } from '../../upstreams/transport.ts'
import { MAX_ANSWER_BYTES } from './verdict.ts'

export interface UnaryCall {
  /** `/PACKAGE.SERVICE/METHOD` */
  readonly path: string
  readonly authority: string
  /** Name that the endpoint's certificate has to be for, where its cluster does not say. */
  readonly host: string
  readonly message: Buffer
  /** Told to the other side; whoever calls keeps the time. */
  readonly timeoutMs: number
}

export interface ChannelSettings {
  readonly connectTimeoutMs: number
  /** Null: a connection without a call is kept as long as any. */
  readonly idleTimeoutMs: number | null
}

export interface CallHandler {
  onMessage(message: Buffer): void
  /** @param unsent The other side has not seen the call: it may be made again. */
  onFailure(reason: string, unsent: boolean): void
}

/** A call that is being made. */
export interface PendingCall {
  /** @param connection Whether the connection is given up too, for it may be dead. */
  cancel(connection: boolean): void
}

interface Channel {
  readonly session: ClientHttp2Session
  /** What the connection was made with: another transport or other material wants another connection. */
  readonly transport: Transport
  readonly key: string
}

/** gRPC frames a message with a byte that says whether it is compressed and four of its length. */
const PREFIX_BYTES = 5
/** A connection that a change of policies or endpoints left behind must not stay for long. */
const MAX_IDLE_MS = 300_000
const MAX_GRPC_TIMEOUT_MS = 99_999_999

/** One connection for each endpoint. It goes when it is idle, or with the endpoint's last call after a change. */
export class GrpcChannels {
  readonly #channels = new WeakMap<Endpoint, Channel>()

  /** Nothing of `handler` is called in the same turn. */
  call(endpoint: Endpoint, settings: ChannelSettings, call: UnaryCall, handler: CallHandler): PendingCall {
    const channel = this.#open(endpoint, settings, call.host)
    if (channel === null) {
      queueMicrotask(() => {
        handler.onFailure('the certificate for its connection is missing', false)
      })
      return { cancel: () => {} }
    }
    const isFresh = channel.session.connecting
    const pending = new Call(channel.session, call, {
      onMessage: (message) => {
        handler.onMessage(message)
      },
      onFailure: (reason, unsent) => {
        handler.onFailure(reason, unsent && !isFresh)
      },
    })
    return {
      cancel: (connection) => {
        pending.cancel()
        if (connection) this.#drop(endpoint, channel)
      },
    }
  }

  /** @returns Null where a connection cannot even be tried: its certificate is missing. */
  #open(endpoint: Endpoint, settings: ChannelSettings, host: string): Channel | null {
    const { transport } = endpoint
    const key = transport.poolKey(endpoint.plan, host)
    const known = this.#channels.get(endpoint)
    if (known !== undefined && known.transport === transport && known.key === key && isUsable(known.session)) {
      return known
    }
    if (known !== undefined) this.#drop(endpoint, known)
    const socket = transport.dial(endpoint.plan, host, 'http2')
    socket.on('error', () => {})
    if (socket.destroyed) return null
    const session = openSession(socket, settings)
    const channel: Channel = { session, transport, key }
    const forget = (): void => {
      this.#drop(endpoint, channel)
    }
    session.once('goaway', forget)
    session.once('close', forget)
    this.#channels.set(endpoint, channel)
    return channel
  }

  /** No call begins on it any more; those that have begun end. */
  #drop(endpoint: Endpoint, channel: Channel): void {
    if (this.#channels.get(endpoint) === channel) this.#channels.delete(endpoint)
    if (!channel.session.closed) channel.session.close()
  }
}

function isUsable(session: ClientHttp2Session): boolean {
  return !session.closed && !session.destroyed
}

function openSession(socket: Socket, settings: ChannelSettings): ClientHttp2Session {
  const session = connect('http://authorizer', {
    createConnection: () => socket,
    settings: { enablePush: false },
  })
  const timer = setTimeout(() => {
    session.destroy(new Error('connection timeout'))
  }, settings.connectTimeoutMs)
  session.once('connect', () => {
    clearTimeout(timer)
  })
  session.once('close', () => {
    clearTimeout(timer)
  })
  // Each call is told by its own stream.
  session.on('error', () => {})
  session.setTimeout(Math.min(settings.idleTimeoutMs ?? MAX_IDLE_MS, MAX_IDLE_MS), () => {
    session.close()
  })
  // What keeps the process running is its listeners.
  session.unref()
  return session
}

class Call {
  readonly #stream: ClientHttp2Stream
  readonly #handler: CallHandler
  readonly #chunks: Buffer[] = []
  #length = 0
  #answered = false
  #status: string | undefined
  #message = ''
  #reason = ''
  #done = false

  constructor(session: ClientHttp2Session, { path, authority, message, timeoutMs }: UnaryCall, handler: CallHandler) {
    this.#handler = handler
    this.#stream = session.request({
      ':method': 'POST',
      ':scheme': 'http',
      ':authority': authority,
      ':path': path,
      te: 'trailers',
      'content-type': 'application/grpc',
      'grpc-timeout': `${Math.min(MAX_GRPC_TIMEOUT_MS, Math.ceil(timeoutMs))}m`,
    })
    const stream = this.#stream
    stream.on('response', (headers) => {
      this.#onHead(headers)
    })
    stream.on('trailers', (headers) => {
      this.#readStatus(headers)
    })
    stream.on('data', (chunk: Buffer) => {
      this.#length += chunk.length
      if (this.#length > MAX_ANSWER_BYTES) this.#refuse(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`)
      else this.#chunks.push(chunk)
    })
    stream.on('error', (error: Error) => {
      this.#reason ||= error.message
    })
    stream.on('close', () => {
      this.#onClose()
    })
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([prefix, message]))
  }

  cancel(): void {
    this.#done = true
    this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  #onHead(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    this.#answered = true
    const { ':status': status, 'content-type': type = '' } = headers
    if (status !== 200) this.#refuse(`it answered with HTTP status ${status}`)
    else if (!/^application\/grpc(?:[+;]|$)/.test(type)) this.#refuse('its answer is not gRPC')
    else this.#readStatus(headers)
  }

  #readStatus({ 'grpc-status': status, 'grpc-message': message }: IncomingHttpHeaders): void {
    if (typeof status !== 'string') return
    this.#status = status
    this.#message = typeof message === 'string' ? message : ''
  }

  #refuse(reason: string): void {
    this.#reason ||= reason
    this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  #onClose(): void {
    if (this.#done) return
    this.#done = true
    const { rstCode } = this.#stream
    if (this.#reason !== '' || this.#status === undefined) {
      const unsent = !this.#answered && (rstCode === constants.NGHTTP2_REFUSED_STREAM || this.#stream.id === undefined)
      this.#handler.onFailure(this.#reason || `its stream ended without a status (code ${rstCode})`, unsent)
      return
    }
    const message = this.#status === '0' ? unframe(Buffer.concat(this.#chunks)) : null
    if (message !== null) this.#handler.onMessage(message)
    else if (this.#status === '0') this.#handler.onFailure('its answer is not one message', false)
    else this.#handler.onFailure(`it failed with gRPC status ${this.#status} ${this.#message}`.trimEnd(), false)
  }
}

/** @returns The only message of an answer; null: there is none, there are several, or it is compressed. */
function unframe(bytes: Buffer): Buffer | null {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return null
  return bytes.readUInt32BE(1) === bytes.length - PREFIX_BYTES ? bytes.subarray(PREFIX_BYTES) : null
}
