/**
 * What tunnels through the forward proxy cost, beside Debian's squid with the same list, and beside a TCP relay that does
 * nothing else: CPU of short TLS requests, one long stream, and the memory of idle tunnels.
 * `node loadtest/egress/main.ts [--rounds N] [--seconds N] [--tunnels N] [--only requests,stream,idle]`. Needs openssl;
 * squid where it is installed. For 10,000 idle tunnels a process needs 20,100 file descriptors (`ulimit -n`).
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCommand } from '../../test/support/tools.ts'
import { cpuSecondsOf, readTree, readUsage } from '../lib/process-tree.ts'
import { freePort, start, type Started } from '../lib/started.ts'
import { median } from '../lib/statistics.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    tunnels: { type: 'string', default: '10000' },
    gigabytes: { type: 'string', default: '1' },
    only: { type: 'string', default: 'requests,stream,idle' },
  },
})
const rounds = Number(values.rounds)
const parts = values.only.split(',')
const CONNECTIONS = 16
const ROOT = resolve(import.meta.dirname, '..', '..')
const PEER = join(import.meta.dirname, 'peer.ts')
const dir = mkdtempSync(join(tmpdir(), 'egress-bench-'))
const running: Started[] = []

interface Proxy {
  readonly name: string
  readonly pid: number
  readonly port: (what: 'https' | 'source') => number
  /** For CONNECT; `-`: it needs no asking. */
  readonly target: (what: 'https' | 'source') => string
}

/** Starts a program and waits for its first line of JSON. */
async function launch(
  name: string,
  command: readonly [string, ...string[]],
): Promise<{ started: Started; said: Record<string, unknown> }> {
  const own = join(dir, name)
  mkdirSync(own, { recursive: true })
  const line = Promise.withResolvers<Record<string, unknown>>()
  const started = start({
    command,
    cwd: own,
    logFile: join(own, 'log'),
    onLine: (text) => {
      if (text.startsWith('{')) line.resolve(JSON.parse(text) as Record<string, unknown>)
    },
  })
  running.push(started)
  const late = sleep(60_000, undefined, { ref: false }).then(() => {
    throw new Error(`${name} says nothing: ${readFileSync(join(own, 'log'), 'utf8').slice(-500)}`)
  })
  return { started, said: await Promise.race([line.promise, late]) }
}

function certificate(): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const names = ['-subj', '/CN=good.test', '-addext', 'subjectAltName=DNS:good.test']
  execFileSync(
    'openssl',
    ['req', '-x509', '-days', '2', ...key, '-keyout', 'server.key', '-out', 'server.pem', ...names],
    {
      cwd: dir,
      stdio: 'ignore',
    },
  )
}

function entry(host: string, port: number, protocol: string, local: number): unknown {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: `${host.replace('.', '-')}-${port}` },
    spec: {
      hosts: [host],
      ports: [{ number: port, name: 'p', protocol }],
      resolution: 'STATIC',
      endpoints: [{ address: '127.0.0.1', ports: { p: local } }],
    },
  }
}

async function startSluice(ports: Record<string, number>): Promise<Proxy> {
  const config = join(dir, 'config')
  mkdirSync(config)
  const objects = [
    entry('good.test', ports['https']!, 'TLS', ports['https']!),
    entry('good.test', ports['source']!, 'TCP', ports['source']!),
    entry('good.test', ports['echo']!, 'TCP', ports['echo']!),
  ]
  writeFileSync(join(config, 'list.yaml'), objects.map((object) => JSON.stringify(object)).join('\n---\n'))
  // With its audit, as it comes; the lines go to a file.
  writeFileSync(join(config, 'sluice.yaml'), `egress: { listen: 127.0.0.1:0, auditLog: ${join(dir, 'audit.log')} }\n`)
  const { started, said } = await launch('sluice', [
    process.execPath,
    join(ROOT, 'src', 'cli', 'sluice.js'),
    'run',
    '--config',
    config,
    '--state',
    join(dir, 'state'),
    '--workers',
    '1',
    '--admin',
    '127.0.0.1:0',
    '--status',
    '127.0.0.1:0',
  ])
  const port = Number(/\d+$/.exec(String(said['egress']))![0])
  return { name: 'sluice', pid: started.pid, port: () => port, target: (what) => `good.test:${ports[what]}` }
}

async function startSquid(program: string, ports: Record<string, number>): Promise<Proxy> {
  const own = join(dir, 'squid')
  mkdirSync(own)
  chmodSync(own, 0o777)
  chmodSync(dir, 0o755)
  const port = await freePort()
  writeFileSync(join(own, 'hosts'), '127.0.0.1 good.test\n')
  writeFileSync(
    join(own, 'squid.conf'),
    `http_port 127.0.0.1:${port}
hosts_file ${join(own, 'hosts')}
acl listed dstdomain good.test
acl ports port ${ports['https']} ${ports['source']} ${ports['echo']}
http_access allow listed ports
http_access deny all
access_log stdio:${join(own, 'access.log')}
cache_log ${join(own, 'cache.log')}
pid_filename ${join(own, 'squid.pid')}
coredump_dir ${own}
cache deny all
pinger_enable off
shutdown_lifetime 1 seconds
visible_hostname bench
`,
  )
  const started = start({
    command: [program, '-N', '-f', join(own, 'squid.conf')],
    cwd: own,
    logFile: join(own, 'log'),
  })
  running.push(started)
  const end = performance.now() + 20_000
  while (performance.now() < end && !(await accepts(port))) await sleep(100)
  return { name: 'squid', pid: started.pid, port: () => port, target: (what) => `good.test:${ports[what]}` }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

async function startRelay(ports: Record<string, number>): Promise<Proxy & { readonly pids: Record<string, number> }> {
  const one = async (what: string) => launch(`relay-${what}`, [process.execPath, PEER, 'relay', String(ports[what])])
  const [https, source] = [await one('https'), await one('source')]
  const at = { https: Number(https.said['port']), source: Number(source.said['port']) }
  return {
    name: 'relay',
    pid: https.started.pid,
    pids: { https: https.started.pid, source: source.started.pid },
    port: (what) => at[what],
    target: () => '-',
  }
}

async function client(...args: readonly string[]): Promise<Record<string, number>> {
  const { started, said } = await launch(`client-${Math.random()}`, [process.execPath, PEER, ...args])
  await started.stop()
  return said as Record<string, number>
}

async function requestsOf(proxy: Proxy): Promise<number> {
  const before = cpuSecondsOf(readTree(proxy.pid))
  const { count = 0, errors = 0 } = await client(
    'requests',
    String(proxy.port('https')),
    proxy.target('https'),
    values.seconds,
    String(CONNECTIONS),
  )
  const used = cpuSecondsOf(readTree(proxy.pid)) - before
  if (errors > 0 || count === 0) throw new Error(`${proxy.name}: ${errors} errors, ${count} answers`)
  return count / used
}

/** @returns Megabytes a second, and CPU seconds for each gigabyte. */
async function streamOf(proxy: Proxy, pid: number): Promise<{ rate: number; cpu: number }> {
  const wanted = Math.round(Number(values.gigabytes) * 2 ** 30)
  const before = cpuSecondsOf(readTree(pid))
  const { bytes = 0, seconds = 1 } = await client(
    'stream',
    String(proxy.port('source')),
    proxy.target('source'),
    String(wanted),
  )
  if (bytes !== wanted) throw new Error(`${proxy.name}: ${bytes} of ${wanted} bytes`)
  return { rate: bytes / seconds / 1e6, cpu: (cpuSecondsOf(readTree(pid)) - before) / (wanted / 2 ** 30) }
}

async function main(): Promise<void> {
  certificate()
  const { said } = await launch('server', [process.execPath, PEER, 'server', dir])
  const ports = said as Record<string, number>
  const squid = findCommand('squid', process.env['PATH'])
  const relay = await startRelay(ports)
  const sluice = await startSluice(ports)
  const proxies: Proxy[] = [sluice, relay]
  if (squid !== undefined) proxies.push(await startSquid(squid, ports))
  const of = <T>(samples: Map<string, T[]>, name: string) => samples.get(name) ?? []

  if (parts.includes('requests')) {
    const samples = new Map<string, number[]>(proxies.map(({ name }) => [name, []]))
    for (let round = -1; round < rounds; round++) {
      for (const proxy of proxies) {
        const rate = await requestsOf(proxy)
        if (round >= 0) samples.get(proxy.name)!.push(rate)
      }
    }
    for (const { name } of proxies) {
      const ratios = of(samples, 'sluice').map((rate, i) => rate / of(samples, name)[i]!)
      console.log(
        `short TLS requests for a second of CPU: ${name} ${median(of(samples, name)).toFixed(0)}; sluice by ${name} ${median(ratios).toFixed(2)}`,
      )
    }
  }
  if (parts.includes('stream')) {
    const rates = new Map<string, number[]>(proxies.map(({ name }) => [name, []]))
    const costs = new Map<string, number[]>(proxies.map(({ name }) => [name, []]))
    for (let round = -1; round < rounds; round++) {
      for (const proxy of proxies) {
        const { rate, cpu } = await streamOf(proxy, proxy === relay ? relay.pids['source']! : proxy.pid)
        if (round < 0) continue
        rates.get(proxy.name)!.push(rate)
        costs.get(proxy.name)!.push(cpu)
      }
    }
    for (const { name } of proxies) {
      const ratios = of(rates, 'sluice').map((rate, i) => rate / of(rates, name)[i]!)
      console.log(
        `one stream of ${values.gigabytes} GiB: ${name} ${median(of(rates, name)).toFixed(0)} MB/s, CPU ${median(of(costs, name)).toFixed(2)} s/GiB; sluice by ${name} ${median(ratios).toFixed(2)}`,
      )
    }
  }
  if (parts.includes('idle')) {
    const count = Number(values.tunnels)
    const worker = readTree(sluice.pid)
    const before = readUsage(sluice.pid)
    const { said: opened } = await launch('idle', [
      process.execPath,
      PEER,
      'idle',
      String(sluice.port('https')),
      `good.test:${ports['echo']}`,
      String(count),
    ])
    await sleep(3000)
    const after = readUsage(sluice.pid)
    console.log(
      `${String(opened['open'])} idle tunnels (${String(opened['failed'])} failed), ${worker.length} processes: memory (PSS) ${(before.pssBytes / 2 ** 20).toFixed(0)} MiB before, ${(after.pssBytes / 2 ** 20).toFixed(0)} MiB with them`,
    )
  }
}

try {
  await main()
} finally {
  await Promise.all(running.map((started) => started.stop()))
  rmSync(dir, { recursive: true, force: true })
}
