/**
 * Names that stand for endpoints, resolved in the background: a request never waits for DNS except for the very first
 * answer. An answer is kept until there is a better one; a failure changes nothing but the time of the next try.
 *
 * Source: Envoy `strict_dns` and `logical_dns` clusters; Istio's `dnsRefreshRate` (60 s) applies where an answer has no
 * TTL and after a failure.
 */
import { lookup, Resolver } from 'node:dns/promises'
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'

export interface Resolution {
  /** IP addresses, in the order of the answer. */
  readonly addresses: readonly string[]
  /** How long they hold, in ms; null: the answer did not say. */
  readonly ttlMs: number | null
}

export type Resolve = (hostname: string) => Promise<Resolution>

/** A record with a shorter life is asked for this often, as Envoy's `dns_min_refresh_rate`. */
const MIN_REFRESH_MS = 5000
/** One with a longer life, this often: timers of Node end after 24 days, and then at once. */
const MAX_REFRESH_MS = 86_400_000
/** Spreads the questions of many names and workers, as Envoy's `dns_jitter`. */
const JITTER_MS = 100
/** The first failures are tried again sooner than `dnsRefreshRate`: 1 s, 2 s, 4 s … up to it. */
const FIRST_RETRY_MS = 1000

/** Kinds of addresses that connections can be made to. */
export interface AddressFamilies {
  readonly ipv4: boolean
  readonly ipv6: boolean
}

export interface ResolverOptions {
  /** `ADDRESS` or `ADDRESS:PORT`; default those of the system. */
  readonly servers?: readonly string[]
  /** Default those of this machine's own addresses, as Istio goes by the proxy's. Asked for each name each time. */
  readonly families?: () => AddressFamilies
}

/**
 * Asks the resolvers of the system for A and AAAA records with their TTL; a name that they do not know is looked up as
 * the system does it (hosts file, search domains), which knows no TTL.
 *
 * Source: istio pilot/pkg/networking/core/cluster_builder.go (`dnsLookupFamily`).
 */
export function systemResolve(refreshMs: number, { servers, families = ownFamilies }: ResolverOptions = {}): Resolve {
  const resolver = new Resolver({ timeout: 2000, tries: 2 })
  if (servers !== undefined) resolver.setServers(servers)
  return async (hostname) => {
    if (isIP(hostname) !== 0) return { addresses: [hostname], ttlMs: null }
    const { ipv4, ipv6 } = families()
    if (hostname !== 'localhost' && hostname.includes('.')) {
      const answers = await Promise.allSettled([
        ...(ipv4 ? [resolver.resolve4(hostname, { ttl: true })] : []),
        ...(ipv6 ? [resolver.resolve6(hostname, { ttl: true })] : []),
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
    const addresses = found.map((entry) => entry.address)
    const usable = addresses.filter((address) => (isIPv4(address) && ipv4) || (isIPv6(address) && ipv6))
    return { addresses: usable.length > 0 ? usable : addresses, ttlMs: refreshMs }
  }
}

/** Families of the addresses that reach beyond this machine; IPv4 where there is none. */
function ownFamilies(): AddressFamilies {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const outward = own.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  const ipv6 = outward.some(({ family }) => family === 'IPv6')
  return { ipv4: !ipv6 || outward.some(({ family }) => family === 'IPv4'), ipv6 }
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
      nextMs = Math.min(Math.max(ttlMs ?? refreshMs, MIN_REFRESH_MS), MAX_REFRESH_MS)
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
