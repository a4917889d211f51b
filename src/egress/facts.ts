/** Facts of the forward proxy's listener, as requests to one target see them. */
import type { ListenerFacts } from '../exchange/exchange.ts'
import type { Goal } from './decision.ts'

/** Where requests inside a tunnel go, and who opened it. */
export interface TunnelFacts {
  readonly goal: Goal
  /** Value of `proxy-authorization` of the CONNECT; null: none. */
  readonly credentials: string | null
}

/**
 * `port` is the target's: it is what policies mean by a request's port, and all requests of a forward proxy come in on
 * the same one.
 */
export class TargetFacts implements ListenerFacts {
  readonly port: number
  readonly tls = false
  readonly routeTable = ''
  /** Null: the requests are the proxy's own. */
  readonly tunnel: TunnelFacts | null
  readonly #base: ListenerFacts

  constructor(base: ListenerFacts, port: number, tunnel: TunnelFacts | null) {
    this.#base = base
    this.port = port
    this.tunnel = tunnel
  }

  get draining(): boolean {
    return this.#base.draining
  }
}

export function tunnelOf(facts: ListenerFacts): TunnelFacts | null {
  return facts instanceof TargetFacts ? facts.tunnel : null
}
