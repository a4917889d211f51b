/** Redis servers of a test's own: on loopback, in a folder of their own, keeping nothing. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { RedisSettings } from '../../src/limits/redis/settings.ts'
import { eventually } from './live.ts'

const START_LIMIT_MS = 15_000

export class RedisServer {
  readonly port: number
  readonly #args: readonly string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-'))
  /** A file of settings, in the place of arguments; null: none. */
  #file: string | null = null
  #process: ChildProcess | null = null
  #client: Redis | null = null

  private constructor(port: number, args: readonly string[]) {
    this.port = port
    this.#args = args
  }

  /** @param args Further arguments of `redis-server`, for example `['--maxmemory', '1mb']`. */
  static async start(args: readonly string[] = []): Promise<RedisServer> {
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(await freePort(), args)
      try {
        return await server.run()
      } catch (error) {
        // Somebody else may have taken the port meanwhile.
        await server.stop()
        if (attempt === 3) throw error
      }
    }
  }

  /** A sentinel that watches the primary on `port` as `mymaster`, and needs nobody else to decide. */
  static async startSentinel(port: number): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), ['--sentinel'])
    const lines = [
      `port ${server.port}`,
      'bind 127.0.0.1',
      `dir ${server.#folder}`,
      `sentinel monitor mymaster 127.0.0.1 ${port} 1`,
      'sentinel down-after-milliseconds mymaster 500',
      'sentinel failover-timeout mymaster 3000',
    ]
    // A sentinel writes what it learns into its file.
    server.#file = join(server.#folder, 'sentinel.conf')
    writeFileSync(server.#file, `${lines.join('\n')}\n`)
    return server.run()
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** A client of the test's own. */
  get client(): Redis {
    this.#client ??= new Redis({
      port: this.port,
      host: '127.0.0.1',
      enableReadyCheck: false,
      retryStrategy: () => 20,
    }).on('error', () => {})
    return this.#client
  }

  /** Starts it (again), and waits until it answers, unless `args` are for a server that does not yet. */
  async run(args: readonly string[] = [], waits = true): Promise<this> {
    const child = spawn(
      'redis-server',
      this.#file === null
        ? // What comes later wins.
          [
            '--port',
            String(this.port),
            '--bind',
            '127.0.0.1',
            '--save',
            '',
            '--dir',
            this.#folder,
            ...this.#args,
            ...args,
          ]
        : [this.#file, ...this.#args],
      { stdio: 'ignore' },
    )
    this.#process = child
    if (waits) {
      await eventually(async () => {
        if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`)
        await this.client.ping()
      }, START_LIMIT_MS)
    }
    return this
  }

  /** Stops answering, with every connection open. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#client?.disconnect()
    this.thaw()
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** How a gateway reaches one of these servers. */
export function redisSettingsFor(port: number, change: Partial<RedisSettings> = {}): RedisSettings {
  return {
    mode: 'single',
    nodes: [{ host: '127.0.0.1', port }],
    sentinelName: 'mymaster',
    username: '',
    password: '',
    sentinelUsername: '',
    sentinelPassword: '',
    database: 0,
    tls: null,
    keyPrefix: 'sluice:rl:',
    // A machine that runs other tests besides is not as fast as the default asks for.
    timeoutMs: 500,
    ...change,
  }
}
