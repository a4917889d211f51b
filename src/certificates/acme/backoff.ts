/** How long to leave an authority alone after a failure. */
import type { AcmeFailure, AcmeProblem } from './problem.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** The first wait after a failure of each kind, doubled with each more, and the longest one; in ms. */
const WAITS: Readonly<Record<AcmeFailure, { readonly first: number; readonly longest: number }>> = {
  unreachable: { first: 10 * SECOND_MS, longest: HOUR_MS },
  'rate-limited': { first: HOUR_MS, longest: DAY_MS },
  // It says itself when there is room again.
  budget: { first: MINUTE_MS, longest: MINUTE_MS },
  account: { first: MINUTE_MS, longest: DAY_MS },
  // What an authority looks at costs it something: Let's Encrypt asks for waits of up to a day.
  validation: { first: MINUTE_MS, longest: DAY_MS },
  refused: { first: MINUTE_MS, longest: DAY_MS },
  certificate: { first: HOUR_MS, longest: DAY_MS },
  dns: { first: 30 * SECOND_MS, longest: HOUR_MS },
  storage: { first: 2 * SECOND_MS, longest: MINUTE_MS },
  settings: { first: MINUTE_MS, longest: HOUR_MS },
  interrupted: { first: SECOND_MS, longest: SECOND_MS },
}

const JITTER = 0.2

/**
 * @param failures Those before this one.
 * @param random 0 to 1, 1 excluded.
 * @returns Milliseconds. Never less than the authority asked for.
 */
export function backoff({ kind, retryAfterMs }: AcmeProblem, failures: number, random: number): number {
  const { first, longest } = WAITS[kind]
  const wait = Math.min(longest, first * 2 ** Math.min(failures, 30)) * (1 + JITTER * (2 * random - 1))
  return Math.max(Math.min(retryAfterMs ?? 0, 7 * DAY_MS), wait)
}
