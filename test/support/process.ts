/**
 * The real command as a process of its own, on a temporary folder and free ports of 127.0.0.1. What can be tested with
 * a data plane in the test's own process is tested with live.ts, which is faster.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ask } from './live.ts'

const COMMAND = join(import.meta.dirname, '..', '..', 'src', 'cli', 'sluice.js')
/** A machine with two cores that runs other tests besides needs a second for what takes a quarter of one alone. */
const READY_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 10_000

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The line that `run` prints once it serves. */
export interface ReadyLine {
  readonly listeners: readonly { readonly port: number; readonly address: string }[]
  readonly admin: string
  readonly status: string
  readonly workers: number
  readonly generation: number
}

export interface ToldProblem {
  readonly code: string
  readonly message: string
  readonly remedy?: string
  readonly origin: { readonly source?: string; readonly line?: number; readonly pointer?: string }
}

/** As much of `/status` as tests look at. */
export interface StatusBody {
  readonly policies: readonly { readonly name: string; readonly state: string; readonly because: string }[]
  readonly generation: number
  readonly configuration: string
  readonly inStep: boolean
  readonly sources: readonly { readonly name: string; readonly objects: number; readonly error: string | null }[]
  readonly workers: readonly {
    readonly id: number
    readonly pid: number | null
    readonly generation: number
    readonly restarts: number
  }[]
  readonly rejected: readonly {
    readonly kind: string
    readonly name: string
    readonly source: string | null
    readonly problems: readonly ToldProblem[]
  }[]
  readonly warnings: readonly ToldProblem[]
  readonly listenersDown: readonly { readonly port: number; readonly errors: readonly string[] }[]
}

/** A temporary folder with a configuration, and what was written into it. */
export interface Workspace {
  readonly root: string
  /** `--config`. */
  readonly config: string
  /** `--state`; made by the gateway. */
  readonly state: string
  /** Writes a file of the configuration as careful programs do: beside it first, then renamed. */
  write(name: string, text: string): void
  /** What runs on it. */
  readonly processes: Set<CommandProcess>
  /** Ends what runs on it, and removes it: a gateway that still ends would make its state folder anew. */
  remove(): Promise<void>
}

/** @param files Content by name, in the configuration's folder. */
export function createWorkspace(files: Readonly<Record<string, string>> = {}): Workspace {
  const root = mkdtempSync(join(tmpdir(), 'sluice-'))
  const config = join(root, 'config')
  mkdirSync(config)
  const write = (name: string, text: string): void => {
    const path = join(config, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(`${path}.tmp`, text)
    renameSync(`${path}.tmp`, path)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  const processes = new Set<CommandProcess>()
  return {
    root,
    config,
    state: join(root, 'state'),
    write,
    processes,
    async remove() {
      await Promise.all([...processes].map((process) => process.stop()))
      rmSync(root, { recursive: true, force: true })
    },
  }
}

export interface RunOptions {
  readonly workspace: Workspace
  readonly workers?: number
  /** Instead of the workspace's folder. */
  readonly config?: readonly string[]
  /** Instead of the workspace's. */
  readonly state?: string
  /** More of the command line, for example `--listen 81=127.0.0.1:0`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A command that was started, and everything that it printed. */
export class CommandProcess {
  readonly child: ChildProcess
  /** Once the process is gone and its streams are read. */
  readonly exited: Promise<Exit>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd: string = tmpdir()) {
    this.child = spawn(process.execPath, [COMMAND, ...args], {
      cwd,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const orphan = () => this.child.kill('SIGKILL')
    process.once('exit', orphan)
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        process.off('exit', orphan)
        resolve({ code, signal })
      })
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Lines of standard error that are JSON. */
  log(): Record<string, unknown>[] {
    return jsonLines(this.stderr)
  }

  /** @throws Where it still runs after `limitMs`; it is killed then. */
  async untilExit(limitMs = STOP_LIMIT_MS): Promise<Exit> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.child.kill('SIGKILL')
    }, limitMs)
    try {
      const exit = await this.exited
      if (late) throw new Error(`it still ran after ${limitMs} ms: ${this.stderr}`)
      return exit
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends it if it still runs: SIGTERM, and after ten seconds SIGKILL. */
  async stop(): Promise<Exit> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM')
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS)
    try {
      return await this.exited
    } finally {
      clearTimeout(timer)
    }
  }
}

export class GatewayProcess extends CommandProcess {
  #ready: ReadyLine | null = null

  get ready(): ReadyLine {
    if (this.#ready === null) throw new Error('the gateway is not ready')
    return this.#ready
  }

  /** @throws What it said instead, where it ended or took too long. */
  async untilReady(): Promise<this> {
    const end = performance.now() + READY_LIMIT_MS
    while (this.#ready === null) {
      this.#ready = (jsonLines(this.stdout).find(({ msg }) => msg === 'ready') as ReadyLine | undefined) ?? null
      if (this.#ready !== null) break
      const ended = this.child.exitCode !== null || this.child.signalCode !== null
      if (ended || performance.now() > end) {
        await this.stop()
        throw new Error(`the gateway ${ended ? 'ended' : 'was not ready in time'}: ${this.stderr}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return this
  }

  /** The local port of a Gateway server's port, as the ready line said. */
  port(serverPort = 80): number {
    const listener = this.ready.listeners.find(({ port }) => port === serverPort)
    if (listener === undefined) throw new Error(`port ${serverPort} is not served`)
    return portOf(listener.address)
  }

  get adminPort(): number {
    return portOf(this.ready.admin)
  }

  get statusPort(): number {
    return portOf(this.ready.status)
  }

  /** JSON of the admin API. */
  async admin<T = Record<string, unknown>>(path: string): Promise<T> {
    const { status, body } = await ask({ port: this.adminPort, host: `127.0.0.1:${this.adminPort}`, path })
    if (status !== 200) throw new Error(`${path} answered ${status}: ${body}`)
    return JSON.parse(body) as T
  }

  status(): Promise<StatusBody> {
    return this.admin<StatusBody>('/status')
  }

  /** All lines of `/stats/prometheus` that are samples, by name and labels as written. */
  async metrics(): Promise<Map<string, number>> {
    const { body } = await ask({ port: this.statusPort, path: '/stats/prometheus' })
    const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      samples.map((line) => {
        const blank = line.lastIndexOf(' ')
        return [line.slice(0, blank), Number(line.slice(blank + 1))]
      }),
    )
  }
}

/** Starts `sluice run`, without waiting for it. */
export function spawnGateway(options: RunOptions): GatewayProcess {
  const { workspace, workers = 1, config = [workspace.config], state = workspace.state, args = [], env = {} } = options
  const gateway = new GatewayProcess(
    ['run', ...config.flatMap((path) => ['--config', path]), '--workers', String(workers), ...ownPorts(state), ...args],
    env,
    workspace.root,
  )
  workspace.processes.add(gateway)
  return gateway
}

/** Flags of `run` and `demo` with which a gateway disturbs no other one. */
export function ownPorts(state: string): string[] {
  const loopback = ['--admin', '127.0.0.1:0', '--status', '127.0.0.1:0', '--listen', '80=127.0.0.1:0']
  return ['--state', state, ...loopback]
}

/** Starts `sluice run` and waits until it serves. */
export function startGatewayProcess(options: RunOptions): Promise<GatewayProcess> {
  return spawnGateway(options).untilReady()
}

/** Runs a command to its end. */
export async function runCommand(
  args: readonly string[],
  cwd: string = tmpdir(),
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const command = new CommandProcess(args, {}, cwd)
  const { code } = await command.untilExit(READY_LIMIT_MS)
  return { code, stdout: command.stdout, stderr: command.stderr }
}

/** A VirtualService of one host that answers by itself. */
export function answering(host: string, body: string, name: string = host.replaceAll('.', '-')): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: ['${host}']
  gateways: [istio-system/gw]
  http:
  - directResponse: { status: 200, body: { string: '${body}' } }
---
`
}

/** The local port in `HOST:PORT`. */
export function portOf(address: string): number {
  return Number(/\d+$/.exec(address)![0])
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return []
    try {
      return [JSON.parse(line) as Record<string, unknown>]
    } catch {
      return []
    }
  })
}
