/** The names of a cluster, each kept resolved while the plan has it. */
import { DnsWatcher, type Resolve } from './dns.ts'

export interface ResolvedNamesDeps {
  readonly resolve: Resolve
  readonly dnsRefreshMs: number
  readonly random: () => number
  readonly log: (level: 'warn' | 'info', message: string, facts: Record<string, unknown>) => void
}

interface WatchedName {
  readonly watcher: DnsWatcher
  addresses: readonly string[]
}

export class ResolvedNames {
  readonly #deps: ResolvedNamesDeps
  readonly #cluster: string
  readonly #onChange: () => void
  /** Bound: names of the plan. */
  readonly #names = new Map<string, WatchedName>()
  #warming: Promise<void> | null = null

  /** @param cluster For messages. */
  constructor(deps: ResolvedNamesDeps, cluster: string, onChange: () => void) {
    this.#deps = deps
    this.#cluster = cluster
    this.#onChange = onChange
  }

  /** A promise while a first answer is awaited, whatever comes of it, else null. */
  get warming(): Promise<void> | null {
    return this.#warming
  }

  /** The last good answer; empty before the first. */
  addressesOf(hostname: string): readonly string[] {
    return this.#names.get(hostname)?.addresses ?? []
  }

  /** Resolves exactly these names; those that were resolved before keep their answers. */
  watch(hostnames: readonly string[]): void {
    const wanted = new Set(hostnames)
    for (const [name, { watcher }] of this.#names) {
      if (wanted.has(name)) continue
      watcher.close()
      this.#names.delete(name)
    }
    const starting = [...wanted].filter((name) => !this.#names.has(name)).map((name) => this.#start(name))
    if (starting.length === 0) return
    const warming: Promise<void> = Promise.all([this.#warming, ...starting]).then(() => {
      if (this.#warming === warming) this.#warming = null
    })
    this.#warming = warming
  }

  close(): void {
    for (const { watcher } of this.#names.values()) watcher.close()
    this.#names.clear()
  }

  /** @returns Settles with the first answer or failure. */
  #start(hostname: string): Promise<void> {
    const { resolve, dnsRefreshMs, random, log } = this.#deps
    let addresses: readonly string[] = []
    const watcher = new DnsWatcher(hostname, {
      resolve,
      refreshMs: dnsRefreshMs,
      random,
      onChange: (found) => {
        addresses = found
        const name = this.#names.get(hostname)
        if (name === undefined) return
        name.addresses = found
        this.#onChange()
      },
      onFailure: (error) => {
        const facts = { cluster: this.#cluster, hostname, reason: error.message, keeping: addresses }
        log('warn', 'name of an upstream cannot be resolved', facts)
      },
    })
    this.#names.set(hostname, { watcher, addresses })
    return watcher.ready
  }
}
