/** Processes that the benchmark starts, and ends again whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Started {
  readonly pid: number
  readonly logFile: string
  /** Whether it still runs; a program that could not be started does not. */
  isRunning(): boolean
  /** Forgets what it has logged so far: a file that every request adds to would otherwise grow with the rounds. */
  truncateLog(): void
  /** SIGTERM, and SIGKILL to its whole group after {@link STOP_MS}. */
  stop(): Promise<void>
}

export interface Start {
  readonly command: readonly [string, ...string[]]
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Where its outputs go. A file, so that nobody has to read a pipe while it is measured. */
  readonly logFile: string
  /** Gets each line of its standard output, which then does not go to the file: for programs that write little. */
  readonly onLine?: (line: string) => void
}

/** How long a process has to become ready, and to end after SIGTERM. */
const READY_MS = 20_000
const STOP_MS = 5_000

/** Starts a process as the leader of a group of its own, so that all it starts can be ended with it. */
export function start({ command: [program, ...args], cwd, env = {}, logFile, onLine }: Start): Started {
  const log = openSync(logFile, 'a')
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: cwd, ...env },
    detached: true,
    stdio: ['ignore', onLine === undefined ? log : 'pipe', log],
  })
  closeSync(log)
  if (onLine !== undefined && child.stdout !== null) createInterface(child.stdout).on('line', onLine)
  child.once('error', () => undefined) // a program that cannot be started has no pid, see isRunning
  const isRunning = (): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null
  const killGroup = (): void => signalGroup(child, 'SIGKILL')
  process.once('exit', killGroup)
  return {
    pid: child.pid ?? -1,
    logFile,
    isRunning,
    truncateLog: () => truncateSync(logFile, 0),
    stop: async () => {
      if (isRunning()) {
        const ended = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })])
      }
      killGroup()
      process.removeListener('exit', killGroup)
    },
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // the whole group has ended
  }
}

/** A port on 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** How much of the beginning and of the end of a log an error shows, characters. */
const LOG_EXCERPT = 300

/**
 * Waits until a process gives the answer that the upstream gives: 200 and a body of so many bytes.
 *
 * @throws An Error with parts of its log when it does not within {@link READY_MS}, or has ended.
 */
export async function untilServing(started: Started, port: number, host: string, bodyBytes: number): Promise<void> {
  const expected = `200 with ${bodyBytes} bytes`
  const deadline = performance.now() + READY_MS
  let last = 'nothing'
  while (performance.now() < deadline && started.isRunning()) {
    last = await get(port, host).catch((error: unknown) => String(error))
    if (last === expected) return
    await sleep(100)
  }
  const log = readFileSync(started.logFile, 'utf8').replaceAll(/\s+/g, ' ')
  const excerpt = log.length <= 2 * LOG_EXCERPT ? log : `${log.slice(0, LOG_EXCERPT)} … ${log.slice(-LOG_EXCERPT)}`
  throw new Error(`${started.isRunning() ? `expected ${expected}, got ${last}` : 'it ended'}; log: ${excerpt}`)
}

/** One GET. node:http and not fetch, which does not send a Host header of one's own. */
function get(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, headers: { host }, timeout: 2000, agent: false }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.once('error', reject)
      response.once('end', () => resolve(`${response.statusCode} with ${bytes} bytes`))
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer within 2 s')))
    asked.once('error', reject)
    asked.end()
  })
}
