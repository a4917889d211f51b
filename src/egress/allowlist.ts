/**
 * The hosts that may be reached, by name and by address. A look-up walks the name's labels once, however many hosts are
 * listed.
 */
import type { BlockList } from 'node:net'
import { addressBlocks, isInBlocks } from '../lib/address-class.ts'
import type { EgressHostPlan, EgressPortPlan } from '../plan/egress.ts'

export interface AllowedHost {
  readonly plan: EgressHostPlan
  readonly ports: ReadonlyMap<number, EgressPortPlan>
  /** Null: it lists none. */
  readonly addresses: BlockList | null
}

export interface AllowedPort {
  readonly host: AllowedHost
  readonly port: EgressPortPlan
}

/** Whether a host of the list is there for whoever asks. */
export type HostTest = (host: AllowedHost) => boolean

export class Allowlist {
  readonly #exact = new Map<string, AllowedHost>()
  /** By what follows the `*`. */
  readonly #wildcards = new Map<string, AllowedHost>()
  /** Hosts that list addresses. */
  readonly #addressed = new Map<string, AllowedHost>()
  /** No wildcard's suffix is longer: a client may send a name of thousands of dots. */
  #longestSuffix = 0

  get size(): number {
    return this.#exact.size + this.#wildcards.size
  }

  set(plan: EgressHostPlan): void {
    const addresses = plan.addresses.length === 0 ? null : addressBlocks(plan.addresses)
    const host: AllowedHost = { plan, ports: new Map(plan.ports.map((port) => [port.number, port])), addresses }
    if (plan.host.startsWith('*')) {
      this.#wildcards.set(plan.host.slice(1), host)
      this.#longestSuffix = Math.max(this.#longestSuffix, plan.host.length - 1)
    } else this.#exact.set(plan.host, host)
    if (addresses === null) this.#addressed.delete(plan.host)
    else this.#addressed.set(plan.host, host)
  }

  delete(host: string): void {
    if (host.startsWith('*')) this.#wildcards.delete(host.slice(1))
    else this.#exact.delete(host)
    this.#addressed.delete(host)
  }

  /** The list's own entry. @param host As it is listed, `*.suffix` included. */
  get(host: string): AllowedHost | undefined {
    return host.startsWith('*') ? this.#wildcards.get(host.slice(1)) : this.#exact.get(host)
  }

  /**
   * The entry that lists the name on this port: its own, else that of the longest `*.suffix` with at least one
   * character for the `*`. An entry that does not list the port leaves it to a broader one, as Istio's route tables,
   * which are made for each port, do.
   *
   * @param name Lower case, without a final dot.
   */
  find(name: string, port: number, isVisible: HostTest): AllowedPort | null {
    const exact = allowed(this.#exact.get(name), port, isVisible)
    if (exact !== null || this.#wildcards.size === 0) return exact
    let dot = name.indexOf('.', Math.max(1, name.length - this.#longestSuffix))
    while (dot !== -1) {
      const found = allowed(this.#wildcards.get(name.slice(dot)), port, isVisible)
      if (found !== null) return found
      dot = name.indexOf('.', dot + 1)
    }
    return null
  }

  /**
   * The entries that list an address on this port, in the order of the list.
   *
   * @param address An IP address.
   */
  findAddress(address: string, port: number, isVisible: HostTest): AllowedPort[] {
    const found: AllowedPort[] = []
    for (const host of this.#addressed.values()) {
      if (!isInBlocks(host.addresses!, address)) continue
      const entry = allowed(host, port, isVisible)
      if (entry !== null) found.push(entry)
    }
    return found
  }
}

function allowed(host: AllowedHost | undefined, number: number, isVisible: HostTest): AllowedPort | null {
  const port = host?.ports.get(number)
  return host === undefined || port === undefined || !isVisible(host) ? null : { host, port }
}
