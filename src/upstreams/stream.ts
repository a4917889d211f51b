/**
 * One request's way to an endpoint and its answer's way back, whatever protocol carries them: an HTTP/1.1 connection
 * for as long as the request lasts, or one stream of an HTTP/2 connection.
 */
import type { Duplex } from 'node:stream'
import type { Spelling } from '../exchange/header-case.ts'
import type { HeaderList } from '../exchange/headers.ts'
import type { FailureReason } from './failure-reason.ts'

/** What is sent; an exchange is one. */
export interface UpstreamRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  /** Host, or `:authority`. */
  readonly authority: string
  readonly scheme: 'http' | 'https'
  /** Names in lower case, without Host and without what frames the body but `content-length`. */
  readonly headers: readonly string[]
  /** `none`: the request ends with its head. Otherwise write() and endRequest() follow. */
  readonly body: 'none' | 'length' | 'chunked'
  /** How HTTP/1.1 is to write the names; null: as they are. */
  readonly requestSpelling: Spelling | null
  /** What the connection is to be switched to once the answer is 101 (RFC 9110 §7.8); null: it stays as it is. */
  readonly upgrade: { readonly protocol: string } | null
}

export interface ResponseHead {
  readonly status: number
  readonly headers: HeaderList
  /** The answer ends with its head. */
  readonly empty: boolean
  /** The head as it came; absent where it was none of HTTP/1. */
  readonly text?: string
}

/** What becomes of a request. After `onEnd`, `onUpgrade`, `onFailure`, or a call of `abort()`, nothing more is called. */
export interface ResponseHandler {
  /** 100, 103 and other answers before the answer. */
  onInformational(status: number, headers: HeaderList): void
  /** @param more Whether body bytes follow in the same turn, so that head and body can leave together. */
  onHead(head: ResponseHead, more: boolean): void
  /**
   * @param last The body ends here; no `onEnd` follows.
   * @returns False to stop reading until {@link UpstreamStream.resume}.
   */
  onData(chunk: Buffer, last: boolean): boolean
  /** @param trailers Null: none, or the protocol's are not passed on. */
  onEnd(trailers: HeaderList | null): void
  /**
   * The answer is 101, to a request with an `upgrade`: the connection carries something else from here on. What came
   * behind the answer can be read from it, once it is resumed. Nothing more is called. Absent with whoever asks for no
   * upgrade.
   */
  onUpgrade?(head: ResponseHead, connection: Duplex): void
  /** @param detail Envoy's "transport failure reason", or empty. */
  onFailure(reason: FailureReason, detail: string): void
  /** What was written has left: the request's body may go on. */
  onDrain(): void
}

export interface UpstreamStream {
  /** As the access log writes it. */
  readonly protocol: 'HTTP/1.1' | 'HTTP/2'
  /** Whether the connection has ever been established, its peer verified: what fails before is a connection failure. */
  readonly connected: boolean
  /** The connection has carried requests before: its other side may have closed it just now. */
  readonly reused: boolean
  /** `ADDRESS:PORT` of this side, once connected. */
  readonly localAddress: string
  /** Once, before anything else. A connection that is not made yet keeps what it is given until it is. */
  send(request: UpstreamRequest, handler: ResponseHandler): void
  /** Sends body bytes; false: wait for `onDrain`. */
  write(chunk: Buffer): boolean
  /** @param trailers Null: none. HTTP/1.1 drops them, as Envoy's codec does by default. */
  endRequest(trailers: HeaderList | null): void
  /** Reads on after `onData` returned false. */
  resume(): void
  /** Gives up the request. */
  abort(): void
}
