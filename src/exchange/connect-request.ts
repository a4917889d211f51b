/** A CONNECT request, and what can become of it. */
import type { Socket } from 'node:net'
import type { Exchange, ListenerFacts } from './exchange.ts'
import type { LocalReply } from './local-reply.ts'

export interface ConnectRequest {
  /** Its authority is the request's target. It ends, and is logged and counted, when the client's socket closes. */
  readonly exchange: Exchange
  /** The client's side, paused. What came behind the request is in front of what it reads. */
  readonly socket: Socket
  /** Answers with something else than a tunnel, and closes the connection. */
  refuse(reply: LocalReply): void
  /** Answers 200. From here on the bytes are the caller's. */
  accept(): void
  /** Answers 200, and serves what comes as HTTP/1.1 requests of a listener with these facts. */
  serveHttp(listener: ListenerFacts): void
}
