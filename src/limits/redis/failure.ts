/** Ways in which Redis fails a command, as the metrics name them. */

export const REASONS = [
  'timeout',
  'disconnected',
  'loading',
  'out_of_memory',
  'read_only',
  'not_allowed',
  'cluster',
  'other',
] as const

export type FailureReason = (typeof REASONS)[number]

/** The first word of an error that Redis answers with. */
const BY_WORD: Readonly<Record<string, FailureReason>> = {
  LOADING: 'loading',
  OOM: 'out_of_memory',
  READONLY: 'read_only',
  MISCONF: 'read_only',
  NOREPLICAS: 'read_only',
  MASTERDOWN: 'read_only',
  NOAUTH: 'not_allowed',
  WRONGPASS: 'not_allowed',
  NOPERM: 'not_allowed',
  MOVED: 'cluster',
  ASK: 'cluster',
  TRYAGAIN: 'cluster',
  CLUSTERDOWN: 'cluster',
  CROSSSLOT: 'cluster',
}

export function reasonOf(error: unknown): FailureReason {
  const message = error instanceof Error ? error.message : String(error)
  const known = /^-?([A-Z]+)\b/.exec(message)?.[1]
  if (known !== undefined && Object.hasOwn(BY_WORD, known)) return BY_WORD[known]!
  // An error within a script says so, and the reason after it.
  for (const [word, reason] of Object.entries(BY_WORD)) if (message.includes(`${word} `)) return reason
  if (/connection is closed|stream isn't writeable|ECONN|EPIPE|ended|retries|refresh slots/i.test(message)) {
    return 'disconnected'
  }
  return 'other'
}
