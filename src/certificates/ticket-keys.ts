/**
 * Keys of session tickets (RFC 5077, RFC 8446 §4.6.1): what lets a client come back without a full handshake, at
 * whichever worker. The primary makes them and replaces them from time to time, so that one that leaks opens only what
 * was said in its time.
 */
import type { Timers } from '../lib/timers.ts'

/** 16 bytes of name, 16 of HMAC key, 16 of AES key: the form that Node takes. */
export const TICKET_KEY_BYTES = 48
/** The name stands at the beginning of every ticket. */
export const TICKET_NAME_BYTES = 16

export interface TicketKeys {
  /** New tickets are sealed with it. */
  readonly current: Uint8Array
  /** Tickets of the time before still open; null: there was none. */
  readonly previous: Uint8Array | null
}

export interface TicketKeyRingOptions {
  readonly timers: Timers
  /** How long a key seals new tickets, in ms. It opens them for as long again. */
  readonly lifeMs: number
  /** So many random bytes. */
  readonly random: (bytes: number) => Uint8Array
}

export class TicketKeyRing {
  readonly #options: TicketKeyRingOptions
  readonly #callbacks = new Set<(keys: TicketKeys) => void>()
  #keys: TicketKeys
  #cancel: () => void

  constructor(options: TicketKeyRingOptions) {
    this.#options = options
    this.#keys = { current: options.random(TICKET_KEY_BYTES), previous: null }
    this.#cancel = this.#later()
  }

  get keys(): TicketKeys {
    return this.#keys
  }

  onChange(callback: (keys: TicketKeys) => void): void {
    this.#callbacks.add(callback)
  }

  close(): void {
    this.#cancel()
    this.#callbacks.clear()
  }

  #later(): () => void {
    return this.#options.timers.after(this.#options.lifeMs, () => {
      this.#keys = { current: this.#options.random(TICKET_KEY_BYTES), previous: this.#keys.current }
      for (const callback of this.#callbacks) callback(this.#keys)
      this.#cancel = this.#later()
    })
  }
}

/** Which key a ticket was sealed with, as text. */
export function ticketName(keyOrTicket: Uint8Array): string {
  return Buffer.from(
    keyOrTicket.buffer,
    keyOrTicket.byteOffset,
    Math.min(TICKET_NAME_BYTES, keyOrTicket.length),
  ).toString('latin1')
}
