/**
 * Durations as resources write them (`1h30m`, `1.5s`, `250ms`), read once into milliseconds so that nothing on the
 * request path parses text.
 *
 * Sources: protobuf's JSON form of `google.protobuf.Duration` (`1.5s`), and Go's `time.ParseDuration`, which Istio's
 * users write.
 */

const UNIT_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** One whole number and its unit, as nearly all durations are. */
const SIMPLE = /^([0-9]{1,15})(ms|s|m|h)$/
const WHOLE = /^-?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+)$/
const PART = /([0-9]*\.?[0-9]*)(ns|us|µs|ms|s|m|h)/g

/**
 * @param text For example `"2s"`. A bare number other than `0` is refused: its unit would be a guess.
 * @returns Milliseconds (a fraction where the text has one; negative where it starts with `-`), or undefined where the
 *   text is no duration.
 */
export function parseDuration(text: string): number | undefined {
  const simple = SIMPLE.exec(text)
  if (simple !== null) return Number(simple[1]) * UNIT_MS[simple[2] as 'ms' | 's' | 'm' | 'h']
  if (!WHOLE.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(PART)) total += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  // Thousandths of a microsecond are what the sum of fractions such as 0.1s + 0.2s can be wrong by.
  const rounded = Math.round(total * 1e6) / 1e6
  return text.startsWith('-') && rounded !== 0 ? -rounded : rounded
}

/**
 * The same for text that a schema has already checked.
 *
 * @throws RangeError where the text is no duration after all.
 */
export function durationMs(text: string): number {
  const parsed = parseDuration(text)
  if (parsed === undefined) throw new RangeError(`not a duration: ${text}`)
  return parsed
}
