/**
 * Names that stand for endpoints, resolved in the background: a request never waits for DNS except for the very first
 * answer. An answer is kept until there is a better one; a failure changes nothing but the time of the next try.
 *
 * Source: Envoy `strict_dns` and `logical_dns` clusters; Istio's `dnsRefreshRate` (60 s) applies where an answer has no
 * TTL and after a failure.
 */
import { lookup, Resolver } from 'node:dns/promises'

export interface Resolution {
  /** IP addresses, in the order of the answer. */
  readonly addresses: readonly string[]
  /** How long they hold, in ms; null: the answer did not say. */
  readonly ttlMs: number | null
}

export type Resolve = (hostname: string) => Promise<Resolution>

/** A record with a shorter life is asked for this often, as Envoy's `dns_min_refresh_rate`. */
const MIN_REFRESH_MS = 5000
/** Spreads the questions of many names and workers, as Envoy's `dns_jitter`. */
const JITTER_MS = 100
/** The first failures are tried again sooner than `dnsRefreshRate`: 1 s, 2 s, 4 s … up to it. */
const FIRST_RETRY_MS = 1000

/**
 * Asks the resolvers of the system for A and AAAA records with their TTL; a name that they do not know is looked up as
 * the system does it (hosts file, search domains), which knows no TTL.
 */
export function systemResolve(refreshMs: number): Resolve {
  const resolver = new Resolver({ timeout: 2000, tries: 2 })
  return async (hostname) => {
    if (hostname !== 'localhost' && hostname.includes('.')) {
      const answers = await Promise.allSettled([
        resolver.resolve4(hostname, { ttl: true }),
        resolver.resolve6(hostname, { ttl: true }),
      ])
      const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      if (records.length > 0) {
        return {
          addresses: records.map((record) => record.address),
          ttlMs: Math.min(...records.map((record) => record.ttl)) * 1000,
        }
      }
    }
    const found = await lookup(hostname, { all: true, order: 'ipv4first' })
    return { addresses: found.map((entry) => entry.address), ttlMs: refreshMs }
  }
}

export interface DnsWatcherOptions {
  readonly resolve: Resolve
  readonly refreshMs: number
  readonly random: () => number
  /** Called with every answer that differs from the one before. */
  readonly onChange: (addresses: readonly string[]) => void
  /** Called once per change from working to failing. */
  readonly onFailure: (error: Error) => void
}

/** Keeps one name resolved until it is closed. */
export class DnsWatcher {
  /** Settles after the first try, whatever came of it. */
  readonly ready: Promise<void>
  readonly #hostname: string
  readonly #options: DnsWatcherOptions
  #timer: NodeJS.Timeout | null = null
  #closed = false
  #failures = 0
  #addresses = ''

  constructor(hostname: string, options: DnsWatcherOptions) {
    this.#hostname = hostname
    this.#options = options
    this.ready = this.#refresh()
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  async #refresh(): Promise<void> {
    const { resolve, refreshMs, random, onChange, onFailure } = this.#options
    let nextMs: number
    try {
      const { addresses, ttlMs } = await resolve(this.#hostname)
      if (this.#closed) return
      this.#failures = 0
      nextMs = Math.max(ttlMs ?? refreshMs, MIN_REFRESH_MS)
      const text = [...addresses].sort().join()
      if (text !== this.#addresses) {
        this.#addresses = text
        onChange(addresses)
      }
    } catch (error) {
      if (this.#closed) return
      nextMs = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, refreshMs)
      if (this.#failures++ === 0) onFailure(error as Error)
    }
    this.#timer = setTimeout(() => void this.#refresh(), nextMs + random() * JITTER_MS)
    this.#timer.unref()
  }
}
