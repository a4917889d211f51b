/**
 * A real ACME authority: pebble, with pebble-challtestsrv as its DNS, and a front of ours in between where a test can
 * look at what is asked and answer in pebble's place. What pebble calls to check a host goes to the gateways in turn.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createTlsServer, request as tlsRequest } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Authority, TestCertificates } from './certificates.ts'
import { ask, eventually } from './live.ts'

export interface PebbleOptions {
  readonly certificates: TestCertificates
  /** Life of what it issues, in seconds; default: five years. */
  readonly validitySeconds?: number
  /** HMAC keys by their identifier: accounts have to be bound to one. */
  readonly externalAccounts?: Readonly<Record<string, string>>
  /** Share of requests whose nonce it refuses, in percent. Default 0. */
  readonly badNonces?: number
  readonly blockedDomains?: readonly string[]
  /** More variables for pebble. */
  readonly env?: Readonly<Record<string, string>>
  /** A DNS server, `HOST:PORT`, instead of pebble-challtestsrv. */
  readonly dnsServer?: string
}

/** One request that came to the front. */
export interface AskedOf {
  readonly method: string
  readonly path: string
  /** What the JSON Web Signature of a POST carries. */
  readonly payload: Readonly<Record<string, unknown>>
}

export interface FrontReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

export interface Pebble {
  /** URL of the directory, through the front. */
  readonly directory: string
  /** File of the roots that the directory is verified with. */
  readonly caBundle: string
  /** Local ports that a host's port 80 and port 443 stand for, taken in turn. */
  readonly http: number[]
  readonly tls: number[]
  /** All that was asked so far. */
  readonly asked: AskedOf[]
  /** Answers in pebble's place; null: pebble does. May wait. */
  intercept: (request: AskedOf) => FrontReply | null | Promise<FrontReply | null>
  /** Changes pebble's answers on their way. */
  rewrite: (request: AskedOf, reply: FrontReply) => FrontReply
  /** Of pebble-challtestsrv: for example `/set-default-ipv4`. */
  manage(path: string, body: object): Promise<void>
  /** Its URL, for hooks. */
  readonly management: string
  /** Requests for new orders. */
  orders(): AskedOf[]
  stop(): Promise<void>
}

const START_MS = 15_000

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const { certificates, dnsServer } = options
  const authority = certificates.authority('pebble')
  const http: number[] = []
  const tls: number[] = []
  const [httpWay, tlsWay] = await Promise.all([openWay(http), openWay(tls)])
  const [listen, management, dns, manage] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const programs: ChildProcess[] = []
  const own = certificates.leaf(authority, ['127.0.0.1', 'localhost'])
  const config = join(certificates.folder, `pebble-${listen}.json`)
  writeFileSync(
    config,
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${listen}`,
        managementListenAddress: `127.0.0.1:${management}`,
        certificate: own.certificateFile,
        privateKey: own.keyFile,
        httpPort: portOf(httpWay.server),
        tlsPort: portOf(tlsWay.server),
        ocspResponderURL: '',
        externalAccountBindingRequired: options.externalAccounts !== undefined,
        externalAccountMACKeys: options.externalAccounts ?? {},
        domainBlocklist: options.blockedDomains ?? [],
        ...(options.validitySeconds === undefined ? {} : { certificateValidityPeriod: options.validitySeconds }),
      },
    }),
  )
  if (dnsServer === undefined) {
    programs.push(
      start('pebble-challtestsrv', [
        `-dns01=127.0.0.1:${dns}`,
        `-management=127.0.0.1:${manage}`,
        '-http01=',
        '-https01=',
        '-tlsalpn01=',
        '-defaultIPv6=',
        '-defaultIPv4=127.0.0.1',
      ]),
    )
  }
  const arguments_ = ['-config', config, '-strict', '-dnsserver', dnsServer ?? `127.0.0.1:${dns}`]
  programs.push(
    start('pebble', arguments_, {
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: String(options.badNonces ?? 0),
      ...options.env,
    }),
  )
  const front = await openFront(authority, own, listen)
  const pebble: Pebble = {
    directory: `https://127.0.0.1:${portOf(front.server)}/dir`,
    caBundle: authority.certificateFile,
    http,
    tls,
    asked: front.asked,
    intercept: () => null,
    rewrite: (_, reply) => reply,
    management: `http://127.0.0.1:${manage}`,
    async manage(path, body) {
      await ask({ port: manage, path, method: 'POST', body: JSON.stringify(body) })
    },
    orders: () => front.asked.filter(({ path }) => path === '/order-plz'),
    async stop() {
      for (const program of programs) program.kill('SIGKILL')
      await Promise.all([front.stop(), httpWay.stop(), tlsWay.stop(), ...programs.map(ended)])
    },
  }
  front.attach(pebble)
  await eventually(async () => {
    await fetchFrom(listen, authority, 'GET', '/dir', {}, Buffer.alloc(0))
    if (dnsServer === undefined) await ask({ port: manage })
  }, START_MS)
  return pebble
}

function start(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
  const orphan = () => child.kill('SIGKILL')
  process.once('exit', orphan)
  child.once('exit', () => process.off('exit', orphan))
  return child
}

async function ended(program: ChildProcess): Promise<void> {
  if (program.exitCode === null && program.signalCode === null) await once(program, 'exit')
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A port whose connections go to the targets in turn; to nobody while there is none. */
async function openWay(targets: readonly number[]): Promise<{ server: Server; stop: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  let turn = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => {})
    const target = targets[turn++ % Math.max(1, targets.length)]
    if (target === undefined) {
      socket.destroy()
      return
    }
    const onward = connect({ port: target, host: '127.0.0.1' })
    onward.on('error', () => socket.destroy())
    onward.once('close', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An HTTPS server that hands everything on with the same Host, so that pebble's URLs lead back to it. */
async function openFront(authority: Authority, own: { certificate: string; key: string }, listen: number) {
  const asked: AskedOf[] = []
  let pebble: Pebble | null = null
  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = []
    for await (const piece of req as AsyncIterable<Buffer>) pieces.push(piece)
    const body = Buffer.concat(pieces)
    const request: AskedOf = { method: req.method ?? '', path: req.url ?? '', payload: payloadOf(body) }
    asked.push(request)
    const replaced = (await pebble?.intercept(request)) ?? null
    const reply = replaced ?? (await fetchFrom(listen, authority, request.method, request.path, req.headers, body))
    const sent = replaced === null ? (pebble?.rewrite(request, reply) ?? reply) : reply
    res.writeHead(sent.status, sent.headers)
    res.end(typeof sent.body === 'string' ? sent.body : JSON.stringify(sent.body))
  }
  const server = createTlsServer({ cert: own.certificate, key: own.key }, (req, res) => {
    handle(req, res).catch(() => res.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    asked,
    attach: (to: Pebble) => (pebble = to),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function fetchFrom(
  port: number,
  authority: Authority,
  method: string,
  path: string,
  headers: IncomingMessage['headers'],
  body: Buffer,
): Promise<FrontReply> {
  const req = tlsRequest({
    port,
    host: '127.0.0.1',
    method,
    path,
    ca: authority.certificate,
    agent: false,
    headers: { ...headers, connection: 'close' },
  })
  req.end(body)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  for await (const piece of res.setEncoding('utf8')) text += String(piece)
  const kept = Object.entries(res.headers).filter(([name]) => !['content-length', 'connection', 'date'].includes(name))
  return { status: res.statusCode!, headers: Object.fromEntries(kept) as Record<string, string>, body: text }
}

function payloadOf(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const { payload } = JSON.parse(body.toString('utf8')) as { payload: string }
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Record<string, unknown>
  } catch {
    return {}
  }
}

function portOf(server: { address(): ReturnType<Server['address']> }): number {
  return (server.address() as AddressInfo).port
}
