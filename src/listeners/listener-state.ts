/** What all connections of one listener share, whatever is spoken on them. */
import type { ListenerFacts } from '../exchange/exchange.ts'

export class ListenerState {
  /** Turns true once, and is read with every answer. */
  draining = false
  /** Requests whose answers are not out. */
  active = 0
  /** The Gateway server's port. */
  readonly port: number

  constructor(port: number) {
    this.port = port
  }

  /**
   * The facts of connections whose requests are looked up in `routeTable`.
   *
   * @param misdirects See {@link ListenerFacts.misdirects}.
   */
  facts(tls: boolean, routeTable: string, misdirects?: (host: string) => boolean): ListenerFacts {
    return new Facts(this, tls, routeTable, misdirects)
  }
}

class Facts implements ListenerFacts {
  readonly port: number
  readonly tls: boolean
  readonly routeTable: string
  readonly misdirects?: (host: string) => boolean
  readonly #state: ListenerState

  constructor(state: ListenerState, tls: boolean, routeTable: string, misdirects?: (host: string) => boolean) {
    if (misdirects !== undefined) this.misdirects = misdirects
    this.#state = state
    this.port = state.port
    this.tls = tls
    this.routeTable = routeTable
  }

  get draining(): boolean {
    return this.#state.draining
  }
}
