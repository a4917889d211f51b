/**
 * Istio's metrics of connections that are passed on as they are. Bytes of open connections are read when a snapshot is
 * taken; nothing is done for each piece that passes.
 *
 * Bound: `maxSeries` label sets; what would need one more is counted in the one named `overflow`.
 *
 * Source: semantics §6.1; istio: standard metrics (`istio_tcp_*`).
 */
import type { Exchange } from '../exchange/exchange.ts'
import { TCP_LABELS } from './metric-table.ts'
import type { TcpSeries } from './metrics-snapshot.ts'
import { destinationLabels } from './request-metrics.ts'

/** Bytes of an open connection so far. */
export interface TcpCounter {
  readonly bytesReceived: number
  readonly bytesSent: number
}

export interface TcpMetrics {
  /** A connection stands, from the client to an endpoint. */
  opened(exchange: Exchange, counter: TcpCounter): void
  /** It is over; one that never stood is counted as opened too. */
  closed(exchange: Exchange): void
  snapshot(): readonly TcpSeries[]
}

/** Where things are in a series' values. */
export const TCP_LAYOUT = { opened: 0, closed: 1, sent: 2, received: 3 } as const

interface Open {
  readonly counter: TcpCounter
  /** What was counted of it already. */
  received: number
  sent: number
}

export function createTcpMetrics(maxSeries: number): TcpMetrics {
  return new Table(maxSeries)
}

class Table implements TcpMetrics {
  readonly #maxSeries: number
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly values: number[] }>()
  readonly #open = new Map<Exchange, Open>()

  constructor(maxSeries: number) {
    this.#maxSeries = maxSeries
  }

  opened(exchange: Exchange, counter: TcpCounter): void {
    this.#open.set(exchange, { counter, received: 0, sent: 0 })
    this.#valuesOf(exchange)[TCP_LAYOUT.opened]! += 1
  }

  closed(exchange: Exchange): void {
    const open = this.#open.get(exchange)
    const values = this.#valuesOf(exchange)
    if (open === undefined) values[TCP_LAYOUT.opened]! += 1
    else this.#count(exchange, open)
    values[TCP_LAYOUT.closed]! += 1
    this.#open.delete(exchange)
  }

  snapshot(): readonly TcpSeries[] {
    for (const [exchange, open] of this.#open) this.#count(exchange, open)
    return [...this.#series.values()].map(({ labels, values }) => ({ labels, values: [...values] }))
  }

  #count(exchange: Exchange, open: Open): void {
    const { bytesReceived, bytesSent } = open.counter
    if (bytesReceived === open.received && bytesSent === open.sent) return
    const values = this.#valuesOf(exchange)
    values[TCP_LAYOUT.received]! += bytesReceived - open.received
    values[TCP_LAYOUT.sent]! += bytesSent - open.sent
    open.received = bytesReceived
    open.sent = bytesSent
  }

  #valuesOf(exchange: Exchange): number[] {
    const labels = [...destinationLabels(exchange), 'tcp', exchange.flags || '-', 'unknown']
    return (
      this.#find(labels) ??
      this.#find(
        TCP_LABELS.map(() => 'overflow'),
        true,
      )!
    ).values
  }

  #find(labels: readonly string[], always = false) {
    const key = labels.join('\0')
    let series = this.#series.get(key)
    if (series === undefined && (always || this.#series.size < this.#maxSeries)) {
      series = { labels, values: [0, 0, 0, 0] }
      this.#series.set(key, series)
    }
    return series
  }
}
