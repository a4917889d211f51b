/** What a store that several gateways share does for the limits. */
import type { LimitShape, Verdict } from './limiter.ts'

export interface LimitStore {
  /** False: it is not asked, and `whenStoreFails` decides. */
  isUp(): boolean
  /**
   * @param identity Of the rule, with all that makes its buckets its own: two gateways with the same one count
   * together.
   * @param mayGiveBack Hits may be given back, so an exhausted bucket must not be taken for exhausted until its end.
   */
  buckets(identity: string, shape: LimitShape, window: 'fixed' | 'sliding', mayGiveBack: boolean): StoreBuckets
}

/** The buckets of one rule. */
export interface StoreBuckets {
  /** The refusal of a bucket that is known to be exhausted; it is found without the store. */
  refusal(key: string, hits: number, now: number): Verdict | null
  /** Counts `hits` where all of them fit. Null: the store failed, or took too long. Never rejects. */
  take(key: string, hits: number): Promise<Verdict | null>
  /** Counts hits, or gives them back, whether they fit or not. Nobody waits for it. */
  adjust(key: string, delta: number): void
}
