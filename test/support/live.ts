/**
 * A whole data plane in this process: YAML in, real sockets out. What `run` adds to it (processes, sources, commands)
 * is tested elsewhere.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { loadAll } from 'js-yaml'
import { createCompiler } from '../../src/compile/compile.ts'
import type { IssuedCertificates } from '../../src/compile/gateways/acme.ts'
import { type CompileOptions, defaultCompileOptions, type MeshOptions } from '../../src/compile/options.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { contentHash, nextParts, type Parts } from '../../src/plan/parts.ts'
import type { Plan } from '../../src/plan/plan.ts'
import type { Problem } from '../../src/plan/problem.ts'
import { parseObject } from '../../src/resources/parse.ts'
import { createResourceStore } from '../../src/resources/store.ts'
import type { Resolve } from '../../src/upstreams/dns.ts'
import { Bindings } from '../../src/workers/bindings.ts'
import { DataPlane } from '../../src/workers/data-plane.ts'
import type { DataPlaneSettings, ListenerState } from '../../src/workers/messages.ts'

export interface LiveGateway {
  readonly plane: DataPlane
  /** The local port of a Gateway server's port. */
  readonly port: (serverPort?: number) => number
  /** Other resources from here on. */
  readonly apply: (yaml: string) => Promise<readonly Problem[]>
  /** Certificates that an authority has issued, from here on. */
  readonly issue: (issued: IssuedCertificates) => Promise<readonly Problem[]>
  /** The plan in force. */
  readonly plan: () => Plan
  readonly stop: () => Promise<void>
}

export interface LiveOptions {
  readonly mesh?: Partial<MeshOptions>
  readonly settings?: Partial<DataPlaneSettings>
  readonly compile?: Partial<CompileOptions>
  /** How names of upstreams become addresses; default as the system does it. */
  readonly resolve?: Resolve
}

/** Of a data plane on loopback. */
export const DATA_PLANE_SETTINGS: DataPlaneSettings = {
  limits: {
    maxHeaders: 100,
    ownAddress: '192.0.2.1',
    maxHeadBytes: 60 * 1024,
    headersTimeoutMs: 60_000,
    requestTimeoutMs: 0,
    idleTimeoutMs: 60_000,
    maxConnections: 0,
    http2: { maxConcurrentStreams: 100, streamWindowBytes: 256 * 1024, resetsPerSecond: 50 },
  },
  dnsRefreshMs: 60_000,
  generationHeader: null,
  misdirectedStatus: 421,
  drainMs: 2000,
  maxSeries: 600,
  seriesIdleMs: null,
  logLevel: 'silent',
  redis: null,
  overload: { maxActiveRequests: 0, maxEventLoopDelayMs: 0 },
  rateLimits: { maxBuckets: 100_000 },
  policies: { staleKeysMaxAgeMs: 3_600_000, keySetFolder: null },
  egress: null,
  ordersCertificates: false,
}

export async function startGateway(
  yaml: string,
  { mesh = {}, settings = {}, compile = {}, resolve }: LiveOptions = {},
): Promise<LiveGateway> {
  const defaults = defaultCompileOptions()
  const options: CompileOptions = { ...defaults, ...compile, mesh: { ...defaults.mesh, ...mesh } }
  const compiler = createCompiler(options)
  const store = createResourceStore()
  const plane = new DataPlane({ ...DATA_PLANE_SETTINGS, ...settings }, createLogger({ level: 'silent' }), resolve)
  const listen = [80, 443, 8080, 8443].map((port) => ({ port, host: '127.0.0.1', localPort: 0 }))
  const bindings = new Bindings({ listen, address: '127.0.0.1', bindsLowPorts: true })
  let parts: Parts = new Map()
  let generation = 0
  let states: ListenerState[] = []

  let issued: IssuedCertificates = new Map()
  let current: Plan | null = null

  const apply = async (text: string): Promise<readonly Problem[]> => {
    store.apply([{ source: 'test', documents: loadAll(text).map((document) => parseObject(document)), complete: true }])
    return bringInForce()
  }
  const bringInForce = async (): Promise<readonly Problem[]> => {
    const { plan, problems } = compiler.compile(store.snapshot(), issued)
    current = plan
    const { parts: next, update } = nextParts(plan, parts)
    parts = next
    generation++
    const { bindings: bound } = await bindings.resolve(Object.values(plan.listeners))
    const generationText = `${generation}-${contentHash(parts).slice(0, 8)}`
    states = await plane.apply({ type: 'apply', update, generation, generationText, bindings: bound })
    return [...store.problems(), ...problems]
  }
  await apply(yaml)
  return {
    plane,
    port: (serverPort = 80) => {
      const state = states.find(({ port }) => port === serverPort)
      if (state === undefined || state.error !== null) throw new Error(`port ${serverPort} is not served`)
      return Number(/\d+$/.exec(state.address)![0])
    },
    apply,
    issue: (certificates) => {
      issued = certificates
      return bringInForce()
    },
    plan: () => current!,
    stop: () => plane.drain(),
  }
}

/** An upstream on a free port of 127.0.0.1. */
export async function startUpstream(
  handler: RequestListener,
): Promise<{ server: Server; port: number; stop: () => void }> {
  const server = createServer({ keepAliveTimeout: 60_000 }, handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** A Gateway on port 80 for every host. */
export const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system }
spec:
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }
---
`

/** A service NAME.test on port 80 whose endpoints are local ports. */
export function service(name: string, ...ports: number[]): string {
  const endpoints = ports.map((port) => `{ address: 127.0.0.1, ports: { http: ${port} } }`).join(', ')
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [${endpoints}]
---
`
}

/** A VirtualService for app.test; `http` is the YAML of its rules, in flow style. */
export function routes(http: string, host = 'app.test'): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host.replaceAll('.', '-').replaceAll('*', 'any')} }
spec: { hosts: ['${host}'], gateways: [istio-system/gw], http: ${http} }
---
`
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface Ask {
  readonly port: number
  readonly path?: string
  readonly method?: string
  readonly host?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** One request on a connection of its own. */
export async function ask({
  port,
  path = '/',
  method = 'GET',
  host = 'app.test',
  headers,
  body,
}: Ask): Promise<Answer> {
  const req = request({ port, host: '127.0.0.1', path, method, headers: { host, ...headers }, agent: false })
  req.end(body)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  res.setEncoding('utf8')
  for await (const chunk of res) text += String(chunk)
  return { status: res.statusCode!, headers: res.headers, body: text }
}

/** Writes bytes on a new connection and returns all that comes back until it ends, or `waitMs` have passed. */
export async function raw(port: number, bytes: string, waitMs = 1000): Promise<{ text: string; closed: boolean }> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (data) => (text += data))
  socket.write(bytes, 'latin1')
  const closed = await Promise.race([
    once(socket, 'close').then(() => true),
    new Promise<boolean>((resolve) => setTimeout(resolve, waitMs, false)),
  ])
  socket.destroy()
  return { text, closed }
}

/** Repeats `check` until it no longer throws; after `timeoutMs` it throws what it threw last. */
export async function eventually(check: () => void | Promise<void>, timeoutMs = 3000): Promise<void> {
  const end = performance.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
