/**
 * What all workers together met at their upstreams: limits that were reached, endpoints that were ejected. Totals of its
 * own, to which only what is new in a report is added, so that none goes backwards when a worker ends.
 */
import type { UpstreamSnapshot } from './metrics-snapshot.ts'

/** Clusters with a series of their own; the others are added up in one more, named `overflow`. */
const MAX_CLUSTERS = 100

export interface UpstreamTotals {
  /** By reason. */
  readonly ejections: Readonly<Record<string, number>>
  readonly ejectionsOverflow: Readonly<Record<string, number>>
  /** By kind of limit. */
  readonly overflow: Readonly<Record<string, number>>
  /** By cluster, as the worker with the most has it: workers judge for themselves, and mostly alike. */
  readonly ejected: ReadonlyMap<string, number>
}

export class UpstreamCounts {
  /** Bound: the names that workers report, which are fixed in their code. */
  readonly #ejections: Record<string, number> = {}
  readonly #ejectionsOverflow: Record<string, number> = {}
  readonly #overflow: Record<string, number> = {}

  /** @param before The same process' last report; undefined: this is its first. */
  add(now: UpstreamSnapshot, before: UpstreamSnapshot | undefined): void {
    addNews(this.#ejections, now.ejections, before?.ejections)
    addNews(this.#ejectionsOverflow, now.ejectionsOverflow, before?.ejectionsOverflow)
    addNews(this.#overflow, now.overflow, before?.overflow)
  }

  /** @param reports The last ones of the workers that live. */
  totals(reports: readonly UpstreamSnapshot[]): UpstreamTotals {
    return {
      ejections: { ...this.#ejections },
      ejectionsOverflow: { ...this.#ejectionsOverflow },
      overflow: { ...this.#overflow },
      ejected: bounded(mostEjected(reports)),
    }
  }
}

/** Adds to totals what a report has more than the one before it. */
export function addNews(
  totals: Record<string, number>,
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): void {
  for (const [name, count] of Object.entries(now)) totals[name] = (totals[name] ?? 0) + count - (before[name] ?? 0)
}

function mostEjected(reports: readonly UpstreamSnapshot[]): Map<string, number> {
  const most = new Map<string, number>()
  for (const [cluster, endpoints] of reports.flatMap(({ ejected }) => ejected)) {
    most.set(cluster, Math.max(most.get(cluster) ?? 0, endpoints))
  }
  return most
}

function bounded(all: Map<string, number>): Map<string, number> {
  if (all.size <= MAX_CLUSTERS) return all
  const sorted = [...all].sort(([a, ofA], [b, ofB]) => ofB - ofA || (a < b ? -1 : 1))
  const rest = sorted.slice(MAX_CLUSTERS).reduce((sum, [, endpoints]) => sum + endpoints, 0)
  return new Map(sorted.slice(0, MAX_CLUSTERS)).set('overflow', rest)
}
