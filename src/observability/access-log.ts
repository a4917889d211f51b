/** The access log as MeshConfig asks for it: `accessLogFile`, `accessLogEncoding`, `accessLogFormat`. */
import type { Exchange } from '../exchange/exchange.ts'
import { compileFormat, compileJsonFormat, type Compiled, type FormatDependencies } from '../exchange/substitution.ts'
import type { AccessLogPlan } from '../plan/plan.ts'
import { createDefaultJsonLine, createDefaultTextLine, type LogLine } from './access-log-lines.ts'
import { createLineWriter, type LineWriterOptions } from './line-writer.ts'

export interface AccessLogDependencies extends FormatDependencies, Pick<LineWriterOptions, 'now' | 'delayMs'> {
  /** Told why the format was not used, and of errors of the file. */
  readonly onError: (error: Error) => void
}

export interface AccessLogger {
  /** Writes one line. `durationMs`: from the start of the request to the last byte out. Never throws. */
  log(exchange: Exchange, durationMs: number): void
  /** Lines lost to a full disk, a closed pipe or a reader that does not read: `sluice_access_log_dropped_total`. */
  dropped(): number
  /** After the file was rotated. */
  reopen(): void
  /** Writes what is waiting (at most half a second) and closes the file. */
  close(): Promise<void>
}

/**
 * Opens the access log. A format that does not compile is reported and Istio's default line used instead: its author
 * gets lines to look at, where no line at all would look like no requests.
 */
export function createAccessLogger(plan: AccessLogPlan, deps: AccessLogDependencies): AccessLogger {
  const compiled = compileLogLine(plan, deps)
  if (!compiled.ok) deps.onError(new Error(`accessLogFormat is not used: ${compiled.reason}`))
  const line = compiled.ok ? compiled.line : defaultLine(plan)
  const writer = createLineWriter({ ...deps, file: plan.file })
  return {
    log: (exchange, durationMs) => writer.write(line(exchange, durationMs)),
    dropped: () => writer.dropped(),
    reopen: () => writer.reopen(),
    close: () => writer.close(),
  }
}

/** The line that a plan asks for, or why its format is none. Also what checks an `accessLogFormat`. */
export function compileLogLine(
  plan: Pick<AccessLogPlan, 'encoding' | 'format'>,
  deps: FormatDependencies,
): { readonly ok: true; readonly line: LogLine } | { readonly ok: false; readonly reason: string } {
  if (plan.format === undefined || plan.format === '') return { ok: true, line: defaultLine(plan) }
  const compiled =
    plan.encoding === 'JSON' ? compileJsonText(plan.format, deps) : compileFormat(plan.format, 'log', deps)
  if (!compiled.ok) return compiled
  const { format } = compiled
  // Istio adds the newline where a format has none.
  if (plan.encoding === 'TEXT' && plan.format.endsWith('\n')) return { ok: true, line: format }
  return { ok: true, line: (exchange, durationMs) => `${format(exchange, durationMs)}\n` }
}

function defaultLine(plan: Pick<AccessLogPlan, 'encoding'>): LogLine {
  return plan.encoding === 'JSON' ? createDefaultJsonLine() : createDefaultTextLine()
}

function compileJsonText(text: string, deps: FormatDependencies): Compiled {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { ok: false, reason: `it is not JSON: ${(error as Error).message}` }
  }
  return compileJsonFormat(value, deps)
}
