/**
 * Bounds what one HTTP/2 connection may make the gateway do besides answering requests. nghttp2 has bounds of its own
 * for what never gets here (CONTINUATION frames, frames that wait for a client that does not read).
 *
 * Source: envoy: source/common/http/http2/protocol_constraints.cc, conn_manager_impl.cc
 * (`maybeDrainDueToPrematureResets`); CVE-2023-44487, CVE-2019-9512, CVE-2019-9515, CVE-2025-8671.
 */

/** Why a connection was closed. As Envoy's statistics name it, where it has one. */
export type Http2Abuse =
  /** Streams that ended before they were answered, reset by either side (rapid reset, MadeYouReset). */
  | 'too_many_premature_resets'
  /** PING or SETTINGS frames, each of which asks for an answer. */
  | 'outbound_control_flood'
  /** A header block in too many frames (CVE-2024-27316). */
  | 'too_many_continuations'
  /** Frames that nghttp2 or Node found wrong, or too many of a kind. */
  | 'protocol_error'

export type Http2Counters = Record<Http2Abuse, number>

export function createHttp2Counters(): Http2Counters {
  return { too_many_premature_resets: 0, outbound_control_flood: 0, too_many_continuations: 0, protocol_error: 0 }
}

/** PING and SETTINGS frames a second, on average and at once; gRPC's keepalive sends one PING in ten seconds. */
const CONTROL_FRAMES_PER_SECOND = 50

export class FloodGuard {
  readonly #resets: Bucket
  readonly #control = new Bucket(CONTROL_FRAMES_PER_SECOND)
  readonly #onAbuse: (abuse: Http2Abuse) => void

  /**
   * @param resetsPerSecond Streams that may end unanswered, on average and ten times as many at once.
   * @param onAbuse A bound was passed; called again with every further frame.
   */
  constructor(resetsPerSecond: number, onAbuse: (abuse: Http2Abuse) => void) {
    this.#resets = new Bucket(resetsPerSecond)
    this.#onAbuse = onAbuse
  }

  onReset(): void {
    if (!this.#resets.take()) this.#onAbuse('too_many_premature_resets')
  }

  onControlFrame(): void {
    if (!this.#control.take()) this.#onAbuse('outbound_control_flood')
  }
}

/** Seconds of a rate that may come at once. */
const BURST_SECONDS = 10

class Bucket {
  readonly #perSecond: number
  #left: number
  #at = performance.now()

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#left = perSecond * BURST_SECONDS
  }

  take(): boolean {
    const now = performance.now()
    const most = this.#perSecond * BURST_SECONDS
    this.#left = Math.min(most, this.#left + ((now - this.#at) / 1000) * this.#perSecond) - 1
    this.#at = now
    return this.#left >= 0
  }
}
