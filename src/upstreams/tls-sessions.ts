/**
 * TLS sessions to resume, so that another connection to the same peer costs no certificates. A resumed session skips
 * the check of the peer's name, so a key must hold everything that the check depends on.
 *
 * A session is offered as often as connections are made. RFC 8446 §C.4 advises against that for the sake of clients
 * that do not want to be recognised, which a gateway is by its address anyway; a peer that takes a session only once
 * answers with a full handshake.
 */

/** Peers (times names) whose latest session is kept; past it the one that was used longest ago goes. */
const MAX_SESSIONS = 128

export interface KeptSession {
  readonly session: Buffer
  /** When the peer's certificate does, ms since the epoch: nobody would notice in a resumption. */
  readonly expiresAt: number
}

export class TlsSessions {
  /** In order of use. */
  readonly #kept = new Map<string, KeptSession>()

  /** @param now ms since the epoch. */
  find(key: string, now: number): KeptSession | null {
    const kept = this.#kept.get(key)
    if (kept === undefined) return null
    this.#kept.delete(key)
    if (kept.expiresAt <= now) return null
    this.#kept.set(key, kept)
    return kept
  }

  keep(key: string, session: KeptSession): void {
    this.#kept.delete(key)
    this.#kept.set(key, session)
    if (this.#kept.size > MAX_SESSIONS) this.#kept.delete(this.#kept.keys().next().value!)
  }

  clear(): void {
    this.#kept.clear()
  }
}
