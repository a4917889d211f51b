/** Starts Sluice on a folder of resources and tells when it serves, and what it says of its phases. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Started, start } from '../lib/started.ts'

export interface GatewayOptions {
  /** An empty folder of its own: its state and its log. */
  readonly dir: string
  readonly config: string
  readonly workers: number
  /** The root of this repository. */
  readonly root: string
}

export interface Gateway {
  readonly started: Started
  /** Local port of Gateway port 80. */
  readonly port: number
  /** From the start of the process to the ready line. */
  readonly readyMs: number
  /** What it logged, as far as it is JSON. */
  readonly log: () => readonly LogLine[]
}

export type LogLine = Readonly<Record<string, unknown>>

interface ReadyLine {
  readonly msg: string
  readonly listeners: readonly { readonly port: number; readonly address: string }[]
}

/** Longest wait for the ready line. */
const READY_MS = 120_000

/** @throws An Error with the end of its log when it ends or is not ready in {@link READY_MS}. */
export async function startGateway({ dir, config, workers, root }: GatewayOptions): Promise<Gateway> {
  mkdirSync(dir, { recursive: true })
  const ready = Promise.withResolvers<{ line: ReadyLine; at: number }>()
  const options = ['--config', config, '--state', join(dir, 'state'), '--workers', String(workers)]
  const ports = ['--listen', '80=127.0.0.1:0', '--admin', '127.0.0.1:0', '--status', '127.0.0.1:0']
  const began = performance.now()
  const started = start({
    command: [process.execPath, join(root, 'src', 'cli', 'sluice.js'), 'run', ...options, ...ports],
    cwd: dir,
    env: { NODE_ENV: 'production' },
    logFile: join(dir, 'gateway.log'),
    onLine: (line) => {
      const at = performance.now()
      const parsed = parseLine(line)
      if (parsed?.['msg'] === 'ready') ready.resolve({ line: parsed as unknown as ReadyLine, at })
    },
  })
  const log = (): LogLine[] =>
    readFileSync(started.logFile, 'utf8')
      .split('\n')
      .map(parseLine)
      .filter((line) => line !== undefined)
  const end = async (what: string): Promise<never> => {
    await started.stop()
    throw new Error(`${what}: ${readFileSync(started.logFile, 'utf8').slice(-600)}`)
  }
  const deadline = performance.now() + READY_MS
  const over = new AbortController()
  const neverReady = async (): Promise<undefined> => {
    while (started.isRunning() && performance.now() < deadline && !over.signal.aborted) await sleep(100)
    return undefined
  }
  const told = await Promise.race([ready.promise, neverReady()])
  over.abort()
  if (told === undefined) return end('the gateway is not ready')
  const { line, at } = told
  const address = line.listeners.find(({ port }) => port === 80)?.address
  if (address === undefined) return end('the gateway is ready without its listener')
  return { started, port: Number(/\d+$/.exec(address)?.[0]), readyMs: at - began, log }
}

function parseLine(line: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined
  } catch {
    return undefined
  }
}
