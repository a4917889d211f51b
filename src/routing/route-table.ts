/**
 * The virtual hosts of one listener, by host. One is made when it is first asked for, so that ten thousand hosts of
 * which a few are used cost a few.
 *
 * Source: semantics §1.9; envoy: source/common/router/config_impl.cc (`RouteMatcher::findVirtualHost`).
 */
import type { VirtualHostPlan } from '../plan/route.ts'
import type { RoutingDeps } from './compiled-route.ts'
import { VirtualHost } from './virtual-host.ts'

/** The plan, or what gives it: reading it may be put off until somebody asks for the host. */
export type VirtualHostSource = VirtualHostPlan | (() => VirtualHostPlan)

interface Slot {
  readonly source: VirtualHostSource
  virtualHost: VirtualHost | null
}

export class RouteTable {
  readonly #deps: RoutingDeps
  readonly #exact = new Map<string, Slot>()
  /** By what follows the `*`; the empty suffix is the host `*`. */
  readonly #wildcards = new Map<string, Slot>()
  /**
   * No wildcard's suffix is longer. A client may send a host of 60 KB and thirty thousand dots, and each suffix that
   * is looked up is read through; so only suffixes are that a wildcard could have.
   */
  #longestSuffix = 0

  constructor(deps: RoutingDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#exact.size + this.#wildcards.size
  }

  /**
   * The exact name's virtual host, or that of the longest `*.suffix` with at least one character for the `*`, or that
   * of `*`. Only one is ever asked: if none of its routes matches, a broader one is not tried.
   *
   * @param host In lower case, without its port.
   */
  lookup(host: string): VirtualHost | null {
    const slot = this.#exact.get(host) ?? this.#longestWildcard(host)
    if (slot === undefined) return null
    return (slot.virtualHost ??= this.#create(slot.source))
  }

  /**
   * @param host Lower-case name, `*.suffix` or `*`. What was there is replaced; its requests in flight finish in it.
   */
  set(host: string, source: VirtualHostSource): void {
    const slot: Slot = { source, virtualHost: null }
    if (!host.startsWith('*')) {
      this.#exact.set(host, slot)
      return
    }
    this.#wildcards.set(host.slice(1), slot)
    this.#longestSuffix = Math.max(this.#longestSuffix, host.length - 1)
  }

  delete(host: string): boolean {
    return host.startsWith('*') ? this.#wildcards.delete(host.slice(1)) : this.#exact.delete(host)
  }

  close(): void {
    this.#exact.clear()
    this.#wildcards.clear()
    this.#longestSuffix = 0
  }

  #longestWildcard(host: string): Slot | undefined {
    if (this.#wildcards.size === 0) return undefined
    let dot = host.indexOf('.', Math.max(1, host.length - this.#longestSuffix))
    while (dot !== -1) {
      const slot = this.#wildcards.get(host.slice(dot))
      if (slot !== undefined) return slot
      dot = host.indexOf('.', dot + 1)
    }
    return host === '' ? undefined : this.#wildcards.get('')
  }

  #create(source: VirtualHostSource): VirtualHost {
    return new VirtualHost(typeof source === 'function' ? source() : source, this.#deps)
  }
}
