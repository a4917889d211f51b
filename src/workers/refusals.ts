/** TLS handshakes that cannot be made, in the log: clients decide how often that happens, so not each is told. */
import type { Logger } from '../observability/logger.ts'

/** One line a server in so many ms. */
const INTERVAL_MS = 10_000

export class Refusals {
  readonly #log: Logger
  /** When it was told last, by server. Bound: the TLS servers that the plans of this process have had. */
  readonly #told = new Map<string, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  tell(server: string, reason: string): void {
    const now = performance.now()
    if (now - (this.#told.get(server) ?? -INTERVAL_MS) < INTERVAL_MS) return
    this.#told.set(server, now)
    this.#log.error({ server, reason }, 'TLS handshakes with this server are refused')
  }
}
