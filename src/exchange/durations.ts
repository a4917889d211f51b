/**
 * Envoy's duration operators: spans between moments of a request (`envoy: source/common/formatter/
 * stream_info_formatter.cc`, CommonDurationFormatter; `DurationFormatter` for the older ones).
 */
import type { Exchange } from './exchange.ts'
import type { Operator, OperatorMaker, Reader } from './operators.ts'

/** A moment on the monotonic clock, in ms; 0: it has not come. */
type Moment = Reader<number>

/** `DURATION` is known only when all is over; until then there is no end. */
const responseEnd: Moment = (exchange, durationMs) => (durationMs < 0 ? 0 : exchange.startedMono + durationMs)

const MOMENTS: Readonly<Record<string, Moment>> = {
  DS_RX_BEG: (exchange) => exchange.startedMono,
  DS_RX_END: (exchange) => exchange.requestEndMono,
  US_TX_BEG: (exchange) => exchange.upstreamStartMono,
  US_TX_END: sentUpstream,
  US_RX_BEG: (exchange) => exchange.upstreamHeadMono,
  // The answer streams: its last byte goes out when it comes.
  US_RX_END: (exchange, durationMs, response) =>
    exchange.upstreamHeadMono === 0 ? 0 : responseEnd(exchange, durationMs, response),
  DS_TX_BEG: (exchange) => exchange.responseStartMono,
  DS_TX_END: responseEnd,
}

/** Moments that Envoy knows and this gateway does not: spans from or to them are empty. */
const UNKNOWN_MOMENTS: readonly string[] = ['US_CX_BEG', 'US_CX_END', 'US_HS_END']

const UNITS_PER_MS: Readonly<Record<string, number>> = { ms: 1, us: 1e3, ns: 1e6 }

export const DURATION_OPERATORS: Readonly<Record<string, OperatorMaker>> = {
  REQUEST_DURATION: fixedSpan('DS_RX_BEG', 'DS_RX_END'),
  REQUEST_TX_DURATION: fixedSpan('DS_RX_BEG', 'US_TX_END'),
  RESPONSE_DURATION: fixedSpan('DS_RX_BEG', 'US_RX_BEG'),
  RESPONSE_TX_DURATION: fixedSpan('US_RX_BEG', 'DS_TX_END'),
  COMMON_DURATION: (argument) => {
    const [begin = '', end = '', unit = '', more] = (argument ?? '').split(':')
    const perMs = Object.hasOwn(UNITS_PER_MS, unit) ? UNITS_PER_MS[unit] : undefined
    if (!isMoment(begin) || !isMoment(end) || perMs === undefined || more !== undefined)
      return 'it takes two moments and a unit, as in (DS_RX_BEG:US_RX_BEG:ms)'
    return span(begin, end, perMs)
  },
}

function isMoment(name: string): boolean {
  return Object.hasOwn(MOMENTS, name) || UNKNOWN_MOMENTS.includes(name)
}

function fixedSpan(begin: string, end: string): OperatorMaker {
  return (argument) => (argument === undefined ? span(begin, end, 1) : `it takes no argument, but has "(${argument})"`)
}

function span(begin: string, end: string, perMs: number): Operator {
  const from = MOMENTS[begin]
  const to = MOMENTS[end]
  if (from === undefined || to === undefined) return { kind: 'number', read: () => -1 }
  return {
    kind: 'number',
    read: (...facts) => {
      const [start, stop] = [from(...facts), to(...facts)]
      return start === 0 || stop === 0 ? -1 : Math.max(0, Math.trunc((stop - start) * perMs))
    },
  }
}

/** A body is sent on as it comes, so the later of the two is when all of the request was out. */
function sentUpstream({ requestEndMono, upstreamStartMono }: Exchange): number {
  return requestEndMono === 0 || upstreamStartMono === 0 ? 0 : Math.max(requestEndMono, upstreamStartMono)
}
