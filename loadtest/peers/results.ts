/** From measurements of single rounds to medians and ratios. */
import { median } from '../lib/statistics.ts'
import type { Load } from '../lib/wrk.ts'

export interface Measurement extends Load {
  /** User and system time of all processes of the peer, microseconds for each request. */
  readonly cpuMicrosPerRequest: number
  readonly rssBytes: number
  readonly pssBytes: number
}

/** The measurements of one peer, one a round, in order. */
export interface PeerRounds {
  readonly peer: string
  readonly rounds: readonly Measurement[]
}

/** One of ours beside one of theirs: ours divided by theirs, round by round, then the median. */
export interface Ratio {
  readonly subject: string
  readonly peer: string
  /** Below 1: we need less CPU for a request. */
  readonly cpu: number
  /** Above 1: we serve more. Where cores are short this says less than `cpu`. */
  readonly requestsPerSecond: number
  /** Below 1: we need less memory (PSS). */
  readonly memory: number
}

/** Median of each quantity by itself; errors are summed. */
export function summarise(rounds: readonly Measurement[]): Measurement {
  const of = (key: keyof Measurement): number => median(rounds.map((round) => round[key]))
  return {
    requests: of('requests'),
    requestsPerSecond: of('requestsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
    cpuMicrosPerRequest: of('cpuMicrosPerRequest'),
    rssBytes: of('rssBytes'),
    pssBytes: of('pssBytes'),
  }
}

/**
 * Peers that may be reported: those without a single error. An error is often cheaper than an answer, so a peer that
 * fails would look fast.
 */
export function splitByErrors(all: readonly PeerRounds[]): {
  sound: readonly PeerRounds[]
  faulty: readonly PeerRounds[]
} {
  const isFaulty = ({ rounds }: PeerRounds): boolean =>
    rounds.some(({ errors, requests }) => errors > 0 || requests === 0)
  return { sound: all.filter((peer) => !isFaulty(peer)), faulty: all.filter(isFaulty) }
}

/**
 * Each subject against each other peer. Dividing within a round cancels what changes from round to round: clock
 * frequency, neighbours on the machine, the kernel.
 */
export function ratios(all: readonly PeerRounds[], isSubject: (peer: string) => boolean): readonly Ratio[] {
  const subjects = all.filter(({ peer }) => isSubject(peer))
  const others = all.filter(({ peer }) => !isSubject(peer))
  return subjects.flatMap((subject) =>
    others.map((other) => {
      const of = (key: keyof Measurement): number =>
        median(subject.rounds.map((round, index) => round[key] / (other.rounds[index]?.[key] ?? Number.NaN)))
      return {
        subject: subject.peer,
        peer: other.peer,
        cpu: of('cpuMicrosPerRequest'),
        requestsPerSecond: of('requestsPerSecond'),
        memory: of('pssBytes'),
      }
    }),
  )
}
