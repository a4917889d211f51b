/**
 * What mutual TLS to an upstream costs on kept-alive connections: the same nginx behind one gateway in plain text and
 * with mTLS, asked in turn, CPU time of the gateway's processes per request. `node loadtest/upstream-tls/main.ts
 * [--rounds N] [--seconds N]`. Needs openssl, nginx and wrk.
 */
import { execFileSync } from 'node:child_process'
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

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' } },
})
const rounds = Math.min(20, Number(values.rounds))
const seconds = Math.min(30, Number(values.seconds))
const programs = ['nginx', 'wrk', 'openssl'].map((name) => findCommand(name, process.env['PATH']))
const [nginx, wrk, openssl] = programs
if (nginx === undefined || wrk === undefined || openssl === undefined) {
  process.stderr.write('this needs nginx, wrk and openssl (Debian packages nginx-light, wrk, openssl)\n')
  process.exit(2)
}
const dir = mkdtempSync(join(tmpdir(), 'upstream-tls-'))
try {
  await measure(nginx, wrk, openssl)
} finally {
  rmSync(dir, { recursive: true, force: true })
}

async function measure(nginxProgram: string, wrkProgram: string, opensslProgram: string): Promise<void> {
  certificates(opensslProgram)
  const [plainPort, tlsPort] = [await freePort(), await freePort()]
  const nginxDir = join(dir, 'nginx')
  mkdirSync(nginxDir)
  const answer = `location / { default_type text/plain; return 200 "${BODY}"; }`
  const launch = nginxLaunch(
    { dir: nginxDir, program: nginxProgram },
    `access_log off;
    server { listen 127.0.0.1:${plainPort}; ${answer} }
    server {
      listen 127.0.0.1:${tlsPort} ssl;
      ssl_certificate ${join(dir, 'server.pem')}; ssl_certificate_key ${join(dir, 'server.key')};
      ssl_client_certificate ${join(dir, 'ca.pem')}; ssl_verify_client on;
      ${answer}
    }`,
  )
  const upstream = start({ ...launch, cwd: nginxDir, logFile: join(dir, 'nginx.log') })
  const config = join(dir, 'config')
  mkdirSync(config)
  writeFileSync(join(config, 'resources.yaml'), resources(plainPort, tlsPort))
  try {
    await untilServing(upstream, plainPort, 'plain.test', BODY.length)
    const root = resolve(import.meta.dirname, '..', '..')
    const gateway = await startGateway({ dir: join(dir, 'gateway'), config, workers: 1, root })
    try {
      const perRequest = (host: string) => cpuPerRequest(wrkProgram, gateway.started.pid, gateway.port, host)
      // One round to warm up.
      const samples: { plain: number; mtls: number }[] = []
      for (let round = -1; round < rounds; round++) {
        const sample = { plain: await perRequest('plain.test'), mtls: await perRequest('mtls.test') }
        if (round >= 0) samples.push(sample)
      }
      const plain = median(samples.map((sample) => sample.plain))
      const mtls = median(samples.map((sample) => sample.mtls))
      const ratio = median(samples.map((sample) => sample.mtls / sample.plain))
      process.stdout.write(
        `CPU µs per request, medians of ${rounds} rounds of ${seconds} s: plain text ${plain.toFixed(1)}, ` +
          `mTLS ${mtls.toFixed(1)}, ratio ${ratio.toFixed(2)}\n`,
      )
    } finally {
      await gateway.started.stop()
    }
  } finally {
    await upstream.stop()
  }
}

async function cpuPerRequest(program: string, pid: number, port: number, host: string): Promise<number> {
  const before = cpuSecondsOf(readTree(pid))
  const load = await runWrk(program, { url: `http://127.0.0.1:${port}/`, host, seconds, connections: CONNECTIONS })
  const used = cpuSecondsOf(readTree(pid)) - before
  if (load.errors > 0) throw new Error(`${load.errors} of ${load.requests} requests for ${host} failed`)
  return (used * 1e6) / load.requests
}

/** One authority, a server's and a client's certificate, ECDSA as in a mesh. */
function certificates(program: string): void {
  const run = (...args: string[]) => execFileSync(program, args, { cwd: dir, stdio: 'ignore' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  run('req', '-x509', '-days', '2', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=bench')
  for (const name of ['server', 'client']) {
    run('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(join(dir, `${name}.ext`), `subjectAltName=DNS:${name}.test\n`)
    const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`]
    run('x509', '-req', '-in', `${name}.csr`, ...signer, '-out', `${name}.pem`)
  }
}

function resources(plainPort: number, tlsPort: number): string {
  const file = (name: string) => join(dir, name)
  const service = (name: string, port: number) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name },
    spec: {
      hosts: [`${name}.internal`],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '127.0.0.1', ports: { http: port } }],
    },
  })
  const route = (name: string) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name },
    spec: {
      hosts: [`${name}.test`],
      gateways: ['istio-system/edge'],
      http: [{ route: [{ destination: { host: `${name}.internal` } }] }],
    },
  })
  const objects = [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'istio-system' },
      spec: { servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] },
    },
    service('plain', plainPort),
    service('mtls', tlsPort),
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'mtls' },
      spec: {
        host: 'mtls.internal',
        trafficPolicy: {
          tls: {
            mode: 'MUTUAL',
            sni: 'server.test',
            subjectAltNames: ['server.test'],
            caCertificates: file('ca.pem'),
            clientCertificate: file('client.pem'),
            privateKey: file('client.key'),
          },
        },
      },
    },
    route('plain'),
    route('mtls'),
  ]
  // JSON is YAML.
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}
