/**
 * Takes the chunked transfer coding off a body (RFC 9112 §7.1), across any cut of the bytes. Chunk extensions are
 * dropped; so are trailers, as Envoy's HTTP/1.1 codec does by default.
 */
import { MalformedResponse } from './response-head.ts'

/** Longest line of a chunk size with its extensions, and longest trailer section. */
const MAX_LINE_BYTES = 4096
const MAX_TRAILER_BYTES = 16384

const SIZE_LINE = /^([0-9a-fA-F]{1,13})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?$/
const TRAILER_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*$/

const CR = 13
const LF = 10

type State = 'size' | 'data' | 'data-end' | 'trailer' | 'done'

export class ChunkedDecoder {
  #state: State = 'size'
  #remaining = 0
  /** The part of a line that an earlier buffer ended with. */
  #line = ''
  #trailerBytes = 0

  get done(): boolean {
    return this.#state === 'done'
  }

  /**
   * Decodes from `buffer` at `at`; `onData` gets slices of it.
   *
   * @returns Where decoding stopped: the end of the buffer, or what follows the body once it is {@link done}.
   * @throws MalformedResponse
   */
  push(buffer: Buffer, at: number, onData: (chunk: Buffer) => void): number {
    while (at < buffer.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const end = Math.min(buffer.length, at + this.#remaining)
        onData(at === 0 && end === buffer.length ? buffer : buffer.subarray(at, end))
        this.#remaining -= end - at
        at = end
        if (this.#remaining === 0) this.#state = 'data-end'
      } else {
        const feed = buffer.indexOf(LF, at)
        const end = feed === -1 ? buffer.length : feed + 1
        this.#line += buffer.toString('latin1', at, end)
        at = end
        if (this.#line.length > MAX_LINE_BYTES) throw new MalformedResponse('chunk line too long')
        if (feed !== -1) this.#endOfLine()
      }
    }
    return at
  }

  #endOfLine(): void {
    const raw = this.#line
    this.#line = ''
    if (raw.charCodeAt(raw.length - 2) !== CR) throw new MalformedResponse('chunk line without CRLF')
    const line = raw.slice(0, -2)
    if (this.#state === 'size') {
      const size = SIZE_LINE.exec(line)
      if (size === null) throw new MalformedResponse('bad chunk size')
      this.#remaining = Number.parseInt(size[1]!, 16)
      this.#state = this.#remaining === 0 ? 'trailer' : 'data'
    } else if (this.#state === 'data-end') {
      if (line !== '') throw new MalformedResponse('chunk longer than its size')
      this.#state = 'size'
    } else {
      this.#trailerBytes += raw.length
      if (line === '') this.#state = 'done'
      else if (this.#trailerBytes > MAX_TRAILER_BYTES || !TRAILER_LINE.test(line)) {
        throw new MalformedResponse('bad trailer')
      }
    }
  }
}
