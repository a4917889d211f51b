/**
 * How single values of the settings are written: numbers, durations, addresses, port bindings, labels. A value comes
 * from YAML with its type, or from a flag or an environment variable as text.
 */
import { parseDuration } from '../lib/duration.ts'

/** What became of a value; a failure says what was expected. */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly expected: string }

/** @param written True when `value` comes as text (a flag, a variable) and a number or list has to be read from it. */
export type ReadValue<T> = (value: unknown, written: boolean) => Reading<T>

export function ok<T>(value: T): Reading<T> {
  return { ok: true, value }
}

export function fail<T>(expected: string): Reading<T> {
  return { ok: false, expected }
}

/** Where something listens. */
export interface HostPort {
  /** An IP address or a name, without brackets. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** `--listen PORT=[HOST:]PORT`. */
export interface ListenMapping {
  /** The Gateway server's port. */
  readonly port: number
  /** Null: what the server's `bind`, or else `address`, says. */
  readonly host: string | null
  readonly localPort: number
}

export function readWhole(least: number, most: number, expected: string): ReadValue<number> {
  return (value, written) => {
    const number = written && typeof value === 'string' && /^-?[0-9]+$/.test(value) ? Number(value) : value
    return Number.isInteger(number) && (number as number) >= least && (number as number) <= most
      ? ok(number as number)
      : fail(expected)
  }
}

/** @returns Whole milliseconds; a fraction is rounded up, so that a short wait never becomes none. */
export function readDuration(leastMs: number, mostMs: number, expected: string): ReadValue<number> {
  return (value) => {
    const ms = typeof value === 'string' ? parseDuration(value) : undefined
    return ms !== undefined && ms >= leastMs && ms <= mostMs ? ok(Math.ceil(ms)) : fail(expected)
  }
}

export function readList<T>(readItem: ReadValue<T>, expected: string): ReadValue<readonly T[]> {
  return (value, written) => {
    const items: readonly unknown[] | undefined =
      written && typeof value === 'string'
        ? value.split(',').filter((item) => item !== '')
        : Array.isArray(value)
          ? value
          : undefined
    if (items === undefined) return fail(expected)
    const read: T[] = []
    for (const item of items) {
      const reading = readItem(item, written)
      if (!reading.ok) return reading
      read.push(reading.value)
    }
    return ok(read)
  }
}

export function readMap(expected: string): ReadValue<Readonly<Record<string, string>>> {
  return (value, written) => {
    const entries =
      written && typeof value === 'string'
        ? value.split(',').map((pair) => splitOnce(pair, '='))
        : typeof value === 'object' && value !== null && !Array.isArray(value)
          ? Object.entries(value)
          : undefined
    if (entries === undefined) return fail(expected)
    if (!entries.every(([key, item]) => key !== '' && typeof item === 'string')) return fail(expected)
    return ok(Object.fromEntries(entries) as Readonly<Record<string, string>>)
  }
}

/**
 * Reads `[HOST:]PORT`; IPv6 addresses stand in brackets (`[::1]:8080`), as RFC 3986 section 3.2.2 writes them.
 *
 * @param fallbackHost The host of a bare port.
 */
export function parseHostPort(text: string, fallbackHost: string): HostPort | undefined {
  const match = /^(?:(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]\s/]+)):)?([0-9]{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) return undefined
  return { host: match[1] ?? match[2] ?? fallbackHost, port }
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Reads `PORT=[HOST:]PORT`. */
export function parseListen(text: string): ListenMapping | undefined {
  const [left, right] = splitOnce(text, '=')
  if (!/^[0-9]{1,5}$/.test(left) || right === undefined) return undefined
  const port = Number(left)
  const local = parseHostPort(right, '')
  if (port < 1 || port > 65_535 || local === undefined) return undefined
  return { port, host: local.host === '' ? null : local.host, localPort: local.port }
}

function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}
