/**
 * Times of `%START_TIME%`: Envoy's default form, and its strftime forms (`envoy: source/common/common/utility.cc`,
 * DateFormatter), UTC as the rest of the log. The part down to the second is made once a second: it is the same for
 * thousands of requests.
 */

/** Text for a time in milliseconds since 1970. */
export type TimeFormat = (epochMs: number) => string

/** `2026-01-02T03:04:05.678Z` */
export function createDefaultTimeFormat(): TimeFormat {
  let second = -1
  let prefix = ''
  return (epochMs) => {
    const now = Math.floor(epochMs / 1000)
    if (now !== second) {
      second = now
      prefix = new Date(now * 1000).toISOString().slice(0, 20)
    }
    const ms = Math.floor(epochMs - now * 1000)
    return `${prefix}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`
  }
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

const DAY_MS = 86_400_000

/** strftime's conversions (C and POSIX locale), as far as they make sense for a time in UTC. */
const CONVERSIONS: Readonly<Record<string, (at: Date) => string>> = {
  '%': () => '%',
  Y: (at) => String(at.getUTCFullYear()),
  y: (at) => two(at.getUTCFullYear() % 100),
  m: (at) => two(at.getUTCMonth() + 1),
  d: (at) => two(at.getUTCDate()),
  e: (at) => String(at.getUTCDate()).padStart(2, ' '),
  H: (at) => two(at.getUTCHours()),
  I: (at) => two(at.getUTCHours() % 12 || 12),
  M: (at) => two(at.getUTCMinutes()),
  S: (at) => two(at.getUTCSeconds()),
  p: (at) => (at.getUTCHours() < 12 ? 'AM' : 'PM'),
  j: (at) => String(Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / DAY_MS) + 1).padStart(3, '0'),
  a: (at) => DAYS[at.getUTCDay()]!.slice(0, 3),
  A: (at) => DAYS[at.getUTCDay()]!,
  u: (at) => String(at.getUTCDay() || 7),
  w: (at) => String(at.getUTCDay()),
  b: (at) => MONTHS[at.getUTCMonth()]!.slice(0, 3),
  h: (at) => MONTHS[at.getUTCMonth()]!.slice(0, 3),
  B: (at) => MONTHS[at.getUTCMonth()]!,
  F: (at) => at.toISOString().slice(0, 10),
  T: (at) => at.toISOString().slice(11, 19),
  R: (at) => at.toISOString().slice(11, 16),
  D: (at) => `${two(at.getUTCMonth() + 1)}/${two(at.getUTCDate())}/${two(at.getUTCFullYear() % 100)}`,
  s: (at) => String(at.getTime() / 1000),
  z: () => '+0000',
  Z: () => 'UTC',
}

/**
 * A strftime pattern, with Envoy's `%s` (seconds since 1970), `%f` (nanoseconds) and `%1f` to `%9f` (digits of the
 * second's fraction) in it.
 */
export function compileTimeFormat(
  pattern: string,
): { readonly ok: true; readonly format: TimeFormat } | { readonly ok: false; readonly reason: string } {
  /** Texts, conversions, and numbers: how many digits of the fraction stand here. */
  const parts: (string | ((at: Date) => string) | number)[] = []
  for (let at = 0; at < pattern.length;) {
    if (pattern[at] !== '%') {
      const end = pattern.indexOf('%', at)
      const text = pattern.slice(at, end === -1 ? undefined : end)
      parts.push(text)
      at += text.length
      continue
    }
    const fraction = /^%([1-9]?)f/.exec(pattern.slice(at, at + 3))
    if (fraction !== null) {
      parts.push(fraction[1] === '' ? 9 : Number(fraction[1]))
      at += fraction[0].length
      continue
    }
    const letter = pattern[at + 1] ?? ''
    const conversion = Object.hasOwn(CONVERSIONS, letter) ? CONVERSIONS[letter] : undefined
    if (conversion === undefined) return { ok: false, reason: `START_TIME does not know the conversion "%${letter}"` }
    parts.push(conversion)
    at += 2
  }
  return { ok: true, format: cachedBySecond(parts) }
}

function cachedBySecond(parts: readonly (string | ((at: Date) => string) | number)[]): TimeFormat {
  let second = -1
  let made: (string | number)[] = []
  return (epochMs) => {
    const now = Math.floor(epochMs / 1000)
    if (now !== second) {
      second = now
      const date = new Date(now * 1000)
      made = parts.map((part) => (typeof part === 'function' ? part(date) : part))
    }
    let text = ''
    for (const part of made) text += typeof part === 'number' ? fractionDigits(epochMs - now * 1000, part) : part
    return text
  }
}

/** Milliseconds are all that is known of the fraction; the digits below are zero. */
function fractionDigits(ms: number, digits: number): string {
  return `${String(Math.floor(ms)).padStart(3, '0')}000000`.slice(0, digits)
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
