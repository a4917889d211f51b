/**
 * What all workers together decided by rate limits. Totals of its own, to which only what is new in a report is added,
 * so that none goes backwards when a worker ends.
 */
import type { RateLimitSnapshot, RuleOutcomes, StoreSnapshot } from './metrics-snapshot.ts'

export interface RateLimitTotals {
  readonly rules: readonly RuleOutcomes[]
  /** Workers that have a store, and those of them that can use it. */
  readonly workersWithStore: number
  readonly workersWithStoreUp: number
  /** Seconds. */
  readonly storeSeconds: number
  /** Requests to the store by the bucket of their duration; as `STORE_BUCKETS` has it, and one more. */
  readonly storeDurations: readonly number[]
  /** By reason. */
  readonly storeErrors: Readonly<Record<string, number>>
}

export class RateLimitCounts {
  /** By policy and rule. Bound: those that were in force since the start. */
  readonly #rules = new Map<string, { policy: string; rule: string; outcomes: Record<string, number> }>()
  #storeSeconds = 0
  readonly #storeDurations: number[] = []
  readonly #storeErrors: Record<string, number> = {}

  /** @param before The same process' last report; undefined: this is its first. */
  add(now: RateLimitSnapshot, before: RateLimitSnapshot | undefined): void {
    const known = new Map(before?.rules.map((each) => [keyOf(each), each]))
    for (const each of now.rules) {
      const key = keyOf(each)
      const total = this.#rules.get(key) ?? { policy: each.policy, rule: each.rule, outcomes: {} }
      this.#rules.set(key, total)
      addNews(total.outcomes, each.outcomes, known.get(key)?.outcomes)
    }
    if (now.store !== null) this.#addStore(now.store, before?.store ?? null)
  }

  /** @param reports The last ones of the workers that live. */
  totals(reports: readonly RateLimitSnapshot[]): RateLimitTotals {
    const stores = reports.flatMap(({ store }) => store ?? [])
    return {
      rules: [...this.#rules.values()],
      workersWithStore: stores.length,
      workersWithStoreUp: stores.filter(({ up }) => up).length,
      storeSeconds: this.#storeSeconds,
      storeDurations: this.#storeDurations,
      storeErrors: this.#storeErrors,
    }
  }

  #addStore(now: StoreSnapshot, before: StoreSnapshot | null): void {
    this.#storeSeconds += now.seconds - (before?.seconds ?? 0)
    for (const [bucket, count] of now.durations.entries()) {
      this.#storeDurations[bucket] = (this.#storeDurations[bucket] ?? 0) + count - (before?.durations[bucket] ?? 0)
    }
    addNews(this.#storeErrors, now.errors, before?.errors)
  }
}

function keyOf({ policy, rule }: RuleOutcomes): string {
  return `${policy} ${rule}`
}

/** A rule that was taken away and came back counts from zero. */
function addNews(
  totals: Record<string, number>,
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): void {
  for (const [name, count] of Object.entries(now)) {
    const last = before[name] ?? 0
    totals[name] = (totals[name] ?? 0) + count - (count < last ? 0 : last)
  }
}
