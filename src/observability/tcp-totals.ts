/** What all workers together passed on; only what is new in a report is added, so that no counter goes backwards. */
import type { TcpSeries } from './metrics-snapshot.ts'

export class TcpCounts {
  /** By labels. Bound: as many as the workers have had. */
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly values: number[] }>()

  /** @param before The same process' last report; undefined: this is its first. */
  add(now: readonly TcpSeries[], before: readonly TcpSeries[] | undefined): void {
    const known = new Map(before?.map(({ labels, values }) => [labels.join('\0'), values]))
    for (const { labels, values } of now) {
      const key = labels.join('\0')
      const total = this.#series.get(key) ?? { labels, values: values.map(() => 0) }
      this.#series.set(key, total)
      const last = known.get(key)
      for (const [index, value] of values.entries()) total.values[index]! += value - (last?.[index] ?? 0)
    }
  }

  /** The same objects from one scrape to the next, for what is cached by them. */
  totals(): readonly TcpSeries[] {
    return [...this.#series.values()]
  }
}
