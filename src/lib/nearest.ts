/** The known name that a mistyped one was probably meant to be. */
import { distance } from 'fastest-levenshtein'

/**
 * @param known Candidates; the first of several that are equally near wins.
 * @returns The nearest one, or undefined where none is near enough to be worth suggesting.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  let best: string | undefined
  // A third of the letters may differ, and two in a short name.
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const away = distance(lower, candidate.toLowerCase())
    if (away < bestDistance && away < candidate.length) {
      best = candidate
      bestDistance = away
    }
  }
  return best
}
