/**
 * Joins two connections: what comes on one leaves on the other, as it is. Whoever reads slowly is waited for: at most
 * the streams' own high-water marks are kept of each direction.
 *
 * Source: envoy `source/common/tcp_proxy/tcp_proxy.cc` (half-close, idle timer, flush before close); for upgrades
 * `source/common/http/http1/codec_impl.cc`, which knows no half-close.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/** What ended it first. */
export type SpliceEnd = 'client' | 'upstream' | 'idle' | 'duration' | 'aborted'

export interface SpliceOptions {
  /** Without a byte in either direction it is closed after this long; null: never. */
  readonly idleTimeoutMs: number | null
  /** It is closed after this long in any case; null: never. */
  readonly maxDurationMs: number | null
  /**
   * True: a side that has sent its last byte goes on reading, and the other one is told of that end and no more (TCP).
   * False: the end of either side ends both (upgraded HTTP).
   */
  readonly halfClose: boolean
  /** Told of the length of every piece, in both directions. */
  readonly onPassed: (bytes: number) => void
  /** Once, when both are closed. */
  readonly onEnd: (splice: Splice) => void
}

/** Once both sides are to close and have taken what was sent to them, they have this long to end as well. */
const LINGER_MS = 1000
/** A side that is to close, and does not take what was sent to it, is cut after this long. */
const FLUSH_MS = 60_000
/** Node turns longer timers into ones of 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Two connections, from now until both are closed. It owns them: errors of either are its business. */
export class Splice {
  /** From the client, and to it. */
  bytesReceived = 0
  bytesSent = 0
  /** Null while both sides are whole. */
  endedBy: SpliceEnd | null = null
  /** The first that was told; null: none. */
  error: Error | null = null
  readonly #client: Duplex
  readonly #upstream: Duplex
  readonly #options: SpliceOptions
  readonly #idle: NodeJS.Timeout | null
  readonly #duration: NodeJS.Timeout | null
  #linger: NodeJS.Timeout | null = null
  #open = 2

  constructor(client: Duplex, upstream: Duplex, options: SpliceOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.#idle = this.#closeAfter(options.idleTimeoutMs, 'idle')
    this.#duration = this.#closeAfter(options.maxDurationMs, 'duration')
    if (options.halfClose) client.allowHalfOpen = upstream.allowHalfOpen = true
    client.on('data', (chunk: Buffer) => {
      this.bytesReceived += chunk.length
      this.#pass(chunk, client, upstream)
    })
    upstream.on('data', (chunk: Buffer) => {
      this.bytesSent += chunk.length
      this.#pass(chunk, upstream, client)
    })
    this.#watch('client', client, upstream)
    this.#watch('upstream', upstream, client)
    client.resume()
    upstream.resume()
  }

  /** Cuts both sides now; what is not delivered is lost. */
  abort(): void {
    this.endedBy ??= 'aborted'
    this.#client.destroy()
    this.#upstream.destroy()
  }

  #pass(chunk: Buffer, from: Duplex, to: Duplex): void {
    this.#idle?.refresh()
    this.#options.onPassed(chunk.length)
    // What comes behind the end of the other side has nowhere to go.
    if (to.writable && !to.write(chunk)) from.pause()
  }

  #watch(side: 'client' | 'upstream', from: Duplex, to: Duplex): void {
    const onEnd = () => {
      this.endedBy ??= side
      if (this.#options.halfClose && from.writable) to.end()
      else this.#close()
    }
    // A socket that is paused, with nothing to be read, tells its end all the same: it may be over before it is here.
    if (from.readableEnded) queueMicrotask(onEnd)
    else from.on('end', onEnd)
    to.on('drain', () => {
      this.#idle?.refresh()
      from.resume()
    })
    from.on('error', (error) => {
      this.error ??= error
    })
    from.on('close', () => {
      this.endedBy ??= side
      this.#open--
      if (this.#open === 0) this.#finish()
      else if (this.error === null) this.#closeSide(to)
      // What was cut off must not look whole on the other side.
      else cut(to)
    })
  }

  /** Both get what was sent to them, and are closed. */
  #close(): void {
    this.#closeSide(this.#client)
    this.#closeSide(this.#upstream)
  }

  #closeSide(side: Duplex): void {
    if (side.destroyed) return
    side.end()
    // Read on and dropped: unread bytes would make the kernel reset the connection under what was sent.
    side.resume()
    if (side.writableFinished) this.#startLinger()
    else {
      side.once('finish', () => {
        this.#startLinger()
      })
      this.#linger ??= this.#destroyAfter(FLUSH_MS)
    }
  }

  #startLinger(): void {
    if (!isFlushed(this.#client) || !isFlushed(this.#upstream)) return
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#linger = this.#destroyAfter(LINGER_MS)
  }

  #destroyAfter(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#client.destroy()
      this.#upstream.destroy()
    }, ms)
  }

  #closeAfter(ms: number | null, reason: 'idle' | 'duration'): NodeJS.Timeout | null {
    if (ms === null) return null
    return setTimeout(
      () => {
        this.endedBy ??= reason
        this.#close()
      },
      Math.min(ms, MAX_TIMER_MS),
    )
  }

  #finish(): void {
    for (const timer of [this.#idle, this.#duration, this.#linger]) if (timer !== null) clearTimeout(timer)
    this.#options.onEnd(this)
  }
}

/** Resets a TCP connection; whatever else it is ends without saying that it ends. */
function cut(side: Duplex): void {
  if (side instanceof Socket && !(side instanceof TLSSocket) && side.remoteFamily !== undefined) side.resetAndDestroy()
  else side.destroy()
}

function isFlushed(side: Duplex): boolean {
  return side.destroyed || side.writableFinished
}
