/**
 * A request's body on its way upstream. It streams, with back-pressure; what has passed is kept up to a bound, so that
 * the request can be sent again or mirrored. Past the bound nothing is kept and there is no second try.
 */
import type { ClientRequest } from '../exchange/client-message.ts'
import type { HeaderList } from '../exchange/headers.ts'

/** Where the body goes: the connection of the current try. */
export interface BodySink {
  /** False: wait for {@link RequestBody.onDrain}. */
  write(chunk: Buffer): boolean
  endRequest(trailers: HeaderList | null): void
}

export class RequestBody {
  readonly #req: ClientRequest
  /** Bytes that may be kept; beyond it `#kept` is given up. */
  readonly #limit: number
  readonly #onPassed: (bytes: number) => void
  readonly #onEnd: () => void
  #sink: BodySink | null = null
  /** What has passed so far; null: more than the limit, or no longer wanted. */
  #kept: Buffer[] | null = []
  #keptBytes = 0
  #started = false
  ended = false
  /** All bytes that were read so far. */
  bytes = 0

  /**
   * @param onPassed Told of the length of every piece.
   * @param onEnd The request is complete; called once.
   */
  constructor(req: ClientRequest, limit: number, onPassed: (bytes: number) => void, onEnd: () => void) {
    this.#req = req
    this.#limit = limit
    this.#onPassed = onPassed
    this.#onEnd = onEnd
  }

  /** All bytes that have come, those that nobody has read too. */
  get received(): number {
    return this.bytes + this.#req.readableLength
  }

  /** Whether the whole body so far can be sent again. */
  get replayable(): boolean {
    return this.#kept !== null
  }

  /** The complete body, or null where it was too long to keep. Only after the end. */
  get whole(): Buffer | null {
    return this.#kept === null ? null : Buffer.concat(this.#kept)
  }

  /** Sends what has passed so far to `sink`, and then all that follows. */
  attach(sink: BodySink): void {
    this.#sink = sink
    let more = true
    for (const chunk of this.#kept ?? []) more = sink.write(chunk)
    if (this.ended) sink.endRequest(this.#trailers)
    else if (!this.#started) this.#start()
    else if (more) this.#req.resume()
  }

  /** The try is over. Reading stops until the next one, so that waiting does not fill memory. */
  detach(): void {
    this.#sink = null
    if (this.#started && !this.ended) this.#req.pause()
  }

  /** There will be no other try: what was kept is let go. */
  forget(): void {
    this.#kept = null
  }

  /** The request is answered: what still comes is read and dropped, or the connection's next request would wait. */
  discard(): void {
    this.#sink = null
    this.#kept = null
    if (this.#started && !this.ended) this.#req.resume()
  }

  onDrain(): void {
    if (!this.ended && this.#sink !== null) this.#req.resume()
  }

  /** Those of HTTP/1.1 are dropped, as Envoy's codec does by default. */
  get #trailers(): HeaderList | null {
    const { httpVersionMajor, rawTrailers } = this.#req
    return httpVersionMajor === 2 && rawTrailers.length > 0 ? rawTrailers : null
  }

  #start(): void {
    this.#started = true
    this.#req.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      this.#onPassed(chunk.length)
      this.#keep(chunk)
      if (this.#sink?.write(chunk) === false) this.#req.pause()
    })
    this.#req.on('end', () => {
      this.ended = true
      this.#sink?.endRequest(this.#trailers)
      this.#onEnd()
    })
  }

  #keep(chunk: Buffer): void {
    if (this.#kept === null) return
    this.#keptBytes += chunk.length
    if (this.#keptBytes > this.#limit) this.#kept = null
    else this.#kept.push(chunk)
  }
}
