/** Runs `wrk` and reads what it prints. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface Load {
  readonly requests: number
  readonly requestsPerSecond: number
  /** Latency that half of the requests stayed below, milliseconds. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Socket errors, time-outs, and answers other than 2xx and 3xx. */
  readonly errors: number
}

export interface LoadOptions {
  readonly url: string
  /** The Host header of every request; absent where a script writes it. */
  readonly host?: string
  readonly seconds: number
  readonly connections: number
  /** A Lua script that makes the requests, and its arguments. */
  readonly script?: { readonly file: string; readonly args: readonly string[] }
}

const UNIT_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 }

/** Reads `wrk --latency` output. @throws An Error with the output when it does not have what every run prints. */
export function parseWrk(output: string): Load {
  const field = (pattern: RegExp): string => {
    const found = pattern.exec(output)?.[1]
    if (found === undefined) throw new Error(`wrk printed no ${pattern.source}:\n${output}`)
    return found
  }
  const latency = (percentile: number): number => {
    const [, amount, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(field(new RegExp(`^ +${percentile}% +(\\S+)$`, 'm'))) ?? []
    return Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN)
  }
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? []
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? '0'
  return {
    requests: Number(field(/^ +(\d+) requests in /m)),
    requestsPerSecond: Number(field(/^Requests\/sec: +([\d.]+)$/m)),
    p50Ms: latency(50),
    p99Ms: latency(99),
    errors: [...sockets, refused].reduce((sum, count) => sum + Number(count), 0),
  }
}

/** Puts load on `url` for so many seconds, with one thread: it must leave the other cores to proxy and upstream. */
export async function runWrk(wrk: string, { url, host, seconds, connections, script }: LoadOptions): Promise<Load> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '10s']
  if (host !== undefined) args.push('-H', `Host: ${host}`)
  if (script !== undefined) args.push('-s', script.file)
  args.push(url, ...(script === undefined ? [] : ['--', ...script.args]))
  const running = promisify(execFile)(wrk, args, { timeout: (seconds + 30) * 1000, killSignal: 'SIGKILL' })
  const kill = (): void => void running.child.kill('SIGKILL')
  process.once('exit', kill)
  try {
    return parseWrk((await running).stdout)
  } finally {
    process.removeListener('exit', kill)
  }
}
