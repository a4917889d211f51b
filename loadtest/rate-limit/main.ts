/**
 * What a rate limit costs on kept-alive connections: the same upstream behind one gateway without a limit, with a local
 * one, and with one that Redis counts, asked in turn; CPU time of the gateway's processes per request, requests per
 * second and latency. `node loadtest/rate-limit/main.ts [--rounds N] [--seconds N]`. Needs nginx, wrk and redis-server.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { findCommand } from '../../test/support/tools.ts'
import { nginxLaunch } from '../lib/nginx.ts'
import { cpuSecondsOf, readTree } from '../lib/process-tree.ts'
import { freePort, start, untilServing } from '../lib/started.ts'
import { median } from '../lib/statistics.ts'
import { runWrk } from '../lib/wrk.ts'
import { startGateway } from '../scale/gateway.ts'

const BODY = 'x'.repeat(1024)
const CONNECTIONS = 32
const KINDS = ['none', 'local', 'global'] as const

type Kind = (typeof KINDS)[number]
type Sample = Record<Kind, { readonly cpu: number; readonly rate: number; readonly p99: number }>

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' } },
})
const rounds = Math.min(20, Number(values.rounds))
const seconds = Math.min(30, Number(values.seconds))
const [nginx, wrk, redis] = ['nginx', 'wrk', 'redis-server'].map((name) => findCommand(name, process.env['PATH']))
if (nginx === undefined || wrk === undefined || redis === undefined) {
  process.stderr.write('this needs nginx, wrk and redis-server (Debian packages nginx-light, wrk, redis-server)\n')
  process.exit(2)
}
const dir = mkdtempSync(join(tmpdir(), 'rate-limit-'))
try {
  await measure(nginx, wrk, redis)
} finally {
  rmSync(dir, { recursive: true, force: true })
}

async function measure(nginxProgram: string, wrkProgram: string, redisProgram: string): Promise<void> {
  const [upstreamPort, redisPort] = [await freePort(), await freePort()]
  const nginxDir = join(dir, 'nginx')
  mkdirSync(nginxDir)
  const launch = nginxLaunch(
    { dir: nginxDir, program: nginxProgram },
    `access_log off;
    server { listen 127.0.0.1:${upstreamPort}; location / { default_type text/plain; return 200 "${BODY}"; } }`,
  )
  const upstream = start({ ...launch, cwd: nginxDir, logFile: join(dir, 'nginx.log') })
  const store = start({
    command: [redisProgram, '--port', String(redisPort), '--bind', '127.0.0.1', '--save', ''],
    cwd: dir,
    logFile: join(dir, 'redis.log'),
  })
  const config = join(dir, 'config')
  mkdirSync(config)
  writeFileSync(join(config, 'resources.yaml'), resources(upstreamPort))
  writeFileSync(join(config, 'sluice.yaml'), `redis: { url: 'redis://127.0.0.1:${redisPort}', timeout: 1s }\n`)
  try {
    await untilServing(upstream, upstreamPort, 'none.test', BODY.length)
    const root = resolve(import.meta.dirname, '..', '..')
    const gateway = await startGateway({ dir: join(dir, 'gateway'), config, workers: 1, root })
    try {
      const samples: Sample[] = []
      // One round to warm up.
      for (let round = -1; round < rounds; round++) {
        const sample = {} as Sample
        for (const kind of KINDS) sample[kind] = await load(wrkProgram, gateway.started.pid, gateway.port, kind)
        if (round >= 0) samples.push(sample)
      }
      report(samples)
    } finally {
      await gateway.started.stop()
    }
  } finally {
    await upstream.stop()
    await store.stop()
  }
}

async function load(program: string, pid: number, port: number, kind: Kind): Promise<Sample[Kind]> {
  const before = cpuSecondsOf(readTree(pid))
  const result = await runWrk(program, {
    url: `http://127.0.0.1:${port}/`,
    host: `${kind}.test`,
    seconds,
    connections: CONNECTIONS,
  })
  const used = cpuSecondsOf(readTree(pid)) - before
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} requests with limit ${kind} failed`)
  return { cpu: (used * 1e6) / result.requests, rate: result.requestsPerSecond, p99: result.p99Ms }
}

/** Differences and ratios are taken within a round: what else the machine does changes from round to round. */
function report(samples: readonly Sample[]): void {
  const middle = (read: (sample: Sample) => number) => median(samples.map(read))
  const lines = KINDS.map(
    (kind) =>
      `${kind.padEnd(7)} CPU ${middle((s) => s[kind].cpu).toFixed(1)} µs/request ` +
      `(+${middle((s) => s[kind].cpu - s.none.cpu).toFixed(1)}), ` +
      `requests/s ratio ${middle((s) => s[kind].rate / s.none.rate).toFixed(2)}, ` +
      `p99 +${middle((s) => s[kind].p99 - s.none.p99).toFixed(2)} ms`,
  )
  process.stdout.write(`medians of ${rounds} rounds of ${seconds} s, against "none" in the same round\n`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

function resources(port: number): string {
  const routes = KINDS.map((kind) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: kind },
    spec: {
      hosts: [`${kind}.test`],
      gateways: ['istio-system/edge'],
      http: [{ route: [{ destination: { host: 'upstream.internal' } }] }],
    },
  }))
  // Never exhausted: refusing is cheaper than admitting.
  const limits = KINDS.filter((kind) => kind !== 'none').map((kind) => ({
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'RateLimitPolicy',
    metadata: { name: kind },
    spec: {
      targetRefs: [{ kind: 'VirtualService', name: kind }],
      rules: [
        { name: 'per-client', key: [{ clientIP: {} }], limit: { requests: 1_000_000_000, per: '1h' }, scope: kind },
      ],
    },
  }))
  const objects = [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'istio-system' },
      spec: { servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'upstream' },
      spec: {
        hosts: ['upstream.internal'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: '127.0.0.1', ports: { http: port } }],
      },
    },
    ...routes,
    ...limits,
  ]
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}
