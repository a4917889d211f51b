/**
 * What the gateway uses of a client's request and of the answer to it: Node's own objects for HTTP/1.1 have all of it,
 * and for HTTP/2 there are two small ones that have no more (src/listeners/http2/messages.ts).
 */
import type { Socket } from 'node:net'
import type { HeaderList } from './headers.ts'

export interface ClientRequest {
  method?: string | undefined
  url?: string | undefined
  /** `1.0`, `1.1` or `2.0`. */
  readonly httpVersion: string
  readonly httpVersionMajor: number
  /** `[name, value, …]` as they came, without pseudo-headers. */
  readonly rawHeaders: string[]
  /** The same of the trailers, once the body has ended. */
  readonly rawTrailers: string[]
  /** The request has arrived whole. */
  readonly complete: boolean
  readonly readableEnded: boolean
  /** Bytes of the body that have come and that nobody has read. */
  readonly readableLength: number
  /** The client's connection. */
  readonly socket: Socket
  on(event: string, listener: (chunk: Buffer) => void): unknown
  once(event: string, listener: () => void): unknown
  removeListener(event: string, listener: () => void): unknown
  read(): unknown
  unshift(chunk: Buffer): void
  pause(): unknown
  resume(): unknown
}

export interface ClientResponse {
  readonly headersSent: boolean
  /** Nothing can be sent any more. */
  readonly destroyed: boolean
  /** All of it was handed to the system. */
  readonly writableFinished: boolean
  /** HTTP/1.1: the connection may take another request. */
  shouldKeepAlive: boolean
  /** HTTP/2: what follows the body; to be set before its end. */
  trailers?: HeaderList | null
  on(event: string, listener: () => void): unknown
  once(event: string, listener: () => void): unknown
  removeListener(event: string, listener: () => void): unknown
  removeHeader(name: string): void
  writeHead(status: number, headers: string[]): unknown
  flushHeaders(): void
  /** @returns False: wait for `drain`. */
  write(chunk: Buffer): boolean
  end(chunk?: Buffer | string): unknown
  end(text: string, encoding: 'latin1'): unknown
  destroy(): unknown
  writeContinue(): void
  writeProcessing(): void
  writeEarlyHints(hints: Record<string, string>): void
}
