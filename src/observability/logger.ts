/**
 * The program's own log: JSON lines on standard error with `level` (text), `time` (ISO 8601, UTC) and `msg`, and
 * whatever else a message tells. What must never be in it (keys, tokens, URLs with passwords) is wrapped in
 * `Redacted` by whoever holds it.
 */
import { pino, destination as openDestination, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type { Logger } from 'pino'

export interface LoggerOptions {
  /** Default `info`. Changed at run time by setting `logger.level`. Others than LOG_LEVELS throw. */
  readonly level?: string
  /** Fields of every line, for example `{ worker: 1 }`. */
  readonly fields?: Readonly<Record<string, unknown>>
  /** Default: standard error, written at once, so that the last line before a crash is not lost. */
  readonly destination?: DestinationStream
}

export function createLogger(options: LoggerOptions = {}): Logger {
  return pino(
    {
      level: options.level ?? 'info',
      base: { ...options.fields },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? openDestination({ fd: 2, sync: true }),
  )
}

/** The level of that name, also by the names that Envoy uses (`warning`, `critical`, `off`); null: there is none. */
export function parseLogLevel(text: string): LogLevel | null {
  const name = text.toLowerCase()
  const alias: Readonly<Record<string, LogLevel>> = { warning: 'warn', critical: 'fatal', off: 'silent' }
  return LOG_LEVELS.find((level) => level === name) ?? (Object.hasOwn(alias, name) ? alias[name]! : null)
}
