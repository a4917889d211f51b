/**
 * What TLS costs a gateway of one worker: full handshakes against nginx with the same key and curve, handshakes that
 * resume, handshakes and the start with a thousand certificates, and requests on kept-alive connections against plain
 * text. CPU time of all processes of each program. `node loadtest/tls/main.ts [--rounds N] [--handshakes N] [--seconds N]`.
 * Needs openssl, nginx and wrk.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
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
/** Handshakes at a time: what is measured is the server, so the client need not wait for each. */
const AT_A_TIME = 8
const MANY = 1000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    handshakes: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '4' },
  },
})
const rounds = Math.min(20, Number(values.rounds))
const handshakes = Math.min(20_000, Number(values.handshakes))
const seconds = Math.min(30, Number(values.seconds))
const programs = ['nginx', 'wrk', 'openssl'].map((name) => findCommand(name, process.env['PATH']))
const [nginx, wrk, openssl] = programs
if (nginx === undefined || wrk === undefined || openssl === undefined) {
  process.stderr.write('this needs nginx, wrk and openssl (Debian packages nginx-light, wrk, openssl)\n')
  process.exit(2)
}
const dir = mkdtempSync(join(tmpdir(), 'tls-bench-'))
try {
  await measure(nginx, wrk, openssl)
} finally {
  rmSync(dir, { recursive: true, force: true })
}

/** A program whose handshakes are measured. */
interface Peer {
  readonly name: string
  readonly pid: number
  readonly port: number
  /** Asked for in turn. */
  readonly names: readonly string[]
}

async function measure(nginxProgram: string, wrkProgram: string, opensslProgram: string): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
  const request = ['req', '-x509', '-days', '2', ...key, '-out', 'certificate.pem', '-subj', '/CN=bench']
  execFileSync(opensslProgram, request, { cwd: dir, stdio: 'ignore' })
  const [plainPort, nginxPort, onePort, manyPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const nginxDir = join(dir, 'nginx')
  mkdirSync(nginxDir)
  const answer = `location / { default_type text/plain; return 200 "${BODY}"; }`
  const launch = nginxLaunch(
    { dir: nginxDir, program: nginxProgram },
    `access_log off;
    server { listen 127.0.0.1:${plainPort}; ${answer} }
    server {
      listen 127.0.0.1:${nginxPort} ssl;
      ssl_certificate ${join(dir, 'certificate.pem')}; ssl_certificate_key ${join(dir, 'key.pem')};
      ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519;
      ${answer}
    }`,
  )
  const upstream = start({ ...launch, cwd: nginxDir, logFile: join(dir, 'nginx.log') })
  const root = resolve(import.meta.dirname, '..', '..')
  const gatewayWith = async (name: string, port: number, names: readonly string[]) => {
    const config = join(dir, name)
    mkdirSync(config)
    writeFileSync(join(config, 'resources.yaml'), resources(plainPort, port, names))
    return startGateway({ dir: join(dir, `${name}-state`), config, workers: 1, root })
  }
  const manyNames = Array.from({ length: MANY }, (_, index) => `host-${index}.test`)
  try {
    await untilServing(upstream, plainPort, 'plain.test', BODY.length)
    const one = await gatewayWith('one', onePort, ['*'])
    try {
      const many = await gatewayWith('many', manyPort, manyNames)
      try {
        process.stdout.write(
          `ready after ${one.readyMs.toFixed(0)} ms with one certificate, ${many.readyMs.toFixed(0)} ms with ${MANY}\n`,
        )
        await compareHandshakes([
          { name: 'nginx', pid: upstream.pid, port: nginxPort, names: ['bench.test'] },
          { name: 'sluice', pid: one.started.pid, port: onePort, names: ['bench.test'] },
          { name: `sluice with ${MANY} certificates`, pid: many.started.pid, port: manyPort, names: manyNames },
        ])
      } finally {
        await many.started.stop()
      }
      await compareRequests(wrkProgram, one.started.pid, one.port, onePort)
    } finally {
      await one.started.stop()
    }
  } finally {
    await upstream.stop()
  }
}

async function compareHandshakes(peers: readonly Peer[]): Promise<void> {
  const [reference] = peers
  const samples = new Map<string, { full: number; resumed: number }[]>()
  // One round to warm up, in which every certificate is used once.
  for (let round = -1; round < rounds; round++) {
    for (const peer of peers) {
      const sample = { full: await cpuPerHandshake(peer, false), resumed: await cpuPerHandshake(peer, true) }
      if (round >= 0) samples.set(peer.name, [...(samples.get(peer.name) ?? []), sample])
    }
  }
  for (const kind of ['full', 'resumed'] as const) {
    for (const { name } of peers) {
      const own = samples.get(name)!.map((sample) => sample[kind])
      const ratio = median(own.map((value, round) => value / samples.get(reference!.name)![round]![kind]))
      process.stdout.write(
        `${kind} handshake, ${name}: ${median(own).toFixed(0)} µs of CPU, ${ratio.toFixed(2)} times ${reference!.name}'s\n`,
      )
    }
  }
}

/** TLS 1.3 over X25519, connections closed at once. */
async function cpuPerHandshake(peer: Peer, resumed: boolean): Promise<number> {
  const session = resumed ? (await handshake(peer, 0)).session : undefined
  const before = cpuSecondsOf(readTree(peer.pid))
  let next = 0
  const work = async () => {
    for (let index = next++; index < handshakes; index = next++) {
      const made = await handshake(peer, session === undefined ? index : 0, session)
      if (made.resumed !== resumed) throw new Error(`${peer.name}: a handshake was ${resumed ? 'not ' : ''}resumed`)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  // What is still to be closed counts.
  await sleep(100)
  return ((cpuSecondsOf(readTree(peer.pid)) - before) * 1e6) / handshakes
}

/** With a session of its own where none is given: then it waits for the ticket, which comes after the handshake. */
function handshake(
  { port, names }: Peer,
  index: number,
  session?: Buffer,
): Promise<{ resumed: boolean; session: Buffer | undefined }> {
  return new Promise((done, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: names[index % names.length]!,
      minVersion: 'TLSv1.3',
      ecdhCurve: 'X25519',
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    })
    let ticket: Buffer | undefined
    let isResumed = false
    socket.on('session', (given) => {
      ticket = given
      socket.end()
    })
    socket.on('error', reject)
    socket.on('secureConnect', () => {
      isResumed = socket.isSessionReused()
      if (session !== undefined) socket.end()
    })
    socket.on('close', () => done({ resumed: isResumed, session: ticket }))
    socket.resume()
  })
}

async function compareRequests(program: string, pid: number, plainPort: number, tlsPort: number): Promise<void> {
  const perRequest = async (url: string) => {
    const before = cpuSecondsOf(readTree(pid))
    const load = await runWrk(program, { url, host: 'bench.test', seconds, connections: CONNECTIONS })
    if (load.errors > 0) throw new Error(`${load.errors} of ${load.requests} requests of ${url} failed`)
    return ((cpuSecondsOf(readTree(pid)) - before) * 1e6) / load.requests
  }
  const samples: { plain: number; tls: number }[] = []
  for (let round = -1; round < rounds; round++) {
    const sample = {
      plain: await perRequest(`http://127.0.0.1:${plainPort}/`),
      tls: await perRequest(`https://127.0.0.1:${tlsPort}/`),
    }
    if (round >= 0) samples.push(sample)
  }
  const ratio = median(samples.map(({ plain, tls }) => tls / plain))
  process.stdout.write(
    `request on a kept-alive connection: plain ${median(samples.map(({ plain }) => plain)).toFixed(1)} µs, ` +
      `TLS ${median(samples.map(({ tls }) => tls)).toFixed(1)} µs of CPU, ratio ${ratio.toFixed(2)}\n`,
  )
}

/** A certificate for each name, all with the same key: what is read, checked and presented is as much as with many. */
function resources(upstreamPort: number, tlsPort: number, names: readonly string[]): string {
  const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => readFileSync(join(dir, name), 'utf8'))
  const gateway = (name: string, servers: readonly object[]) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'istio-system' },
    spec: { servers },
  })
  const items = [
    gateway('plain', [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }]),
    gateway(
      'tls',
      names.map((name, index) => ({
        port: { number: tlsPort, name: `https-${index}`, protocol: 'HTTPS' },
        bind: '127.0.0.1',
        hosts: [name],
        tls: { mode: 'SIMPLE', credentialName: `certificate-${index}`, ecdhCurves: ['X25519'] },
      })),
    ),
    ...names.map((_, index) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `certificate-${index}`, namespace: 'istio-system' },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': certificate, 'tls.key': key },
    })),
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'upstream' },
      spec: {
        hosts: ['upstream.internal'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: '127.0.0.1', ports: { http: upstreamPort } }],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'all' },
      spec: {
        hosts: ['*'],
        gateways: ['istio-system/plain', 'istio-system/tls'],
        http: [{ route: [{ destination: { host: 'upstream.internal' } }] }],
      },
    },
  ]
  return items.map((item) => JSON.stringify(item)).join('\n---\n')
}
