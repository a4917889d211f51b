/**
 * Decisions 0003 and 0011: CPU of one request to an upstream by Node's client, by undici and by our own, 32 at a time,
 * the upstream in another process. CPU is this process' alone.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { MaterialStore } from '../../src/certificates/material-store.ts'
import { systemTimers } from '../../src/lib/timers.ts'
import type { ConnectionWaiter } from '../../src/upstreams/connection-pool.ts'
import { Endpoint } from '../../src/upstreams/endpoint.ts'
import { createTransport } from '../../src/upstreams/transport.ts'
import type { UpstreamRequest } from '../../src/upstreams/stream.ts'
import { cpuMicros, median, printTable } from './measure.ts'

const CONCURRENCY = 32
const REQUESTS = 15_000
const ROUNDS = 5
const REQUEST: UpstreamRequest = {
  method: 'GET',
  path: '/',
  authority: 'bench.test',
  scheme: 'http',
  headers: ['x-bench', '1'],
  body: 'none',
  requestSpelling: null,
  upgrade: null,
}

if (process.send !== undefined) {
  const body = Buffer.alloc(1024, 'x')
  const server = createServer({ keepAliveTimeout: 60_000 }, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length })
    res.end(body)
  })
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
  process.once('disconnect', () => process.exit(0))
} else {
  const child = fork(import.meta.filename)
  const [port] = (await once(child, 'message')) as [number]
  await compare(port)
  child.disconnect()
}

type Send = () => Promise<void>

async function compare(port: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONCURRENCY, pipelining: 1 })
  const clients: Readonly<Record<string, Send>> = {
    'node:http': () => byNode(port, agent),
    'undici dispatch': () => byUndici(pool),
    'our own': byOwn(port),
  }
  const samples: Record<string, number[]> = {}
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, send] of Object.entries(clients)) {
      const micros = await cpuPerRequest(send)
      if (round >= 0) (samples[name] ??= []).push(micros)
    }
  }
  agent.destroy()
  await pool.close()
  const own = median(samples['our own']!)
  printTable(
    ['client', 'CPU µs a request', 'ratio to our own'],
    Object.entries(samples).map(([name, list]) => [name, median(list), median(list) / own]),
  )
}

async function cpuPerRequest(send: Send): Promise<number> {
  const before = cpuMicros()
  let left = REQUESTS
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (left-- > 0) await send()
    }),
  )
  return (cpuMicros() - before) / REQUESTS
}

function byNode(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, agent, headers: { 'x-bench': '1' } }, (res) => {
      res.on('data', () => {})
      res.on('end', resolve)
    })
      .on('error', reject)
      .end()
  })
}

function byUndici(pool: Pool): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.dispatch(
      { path: '/', method: 'GET', headers: ['host', 'bench.test', 'x-bench', '1'] },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {},
        onResponseEnd: () => {
          resolve()
        },
        onResponseError: (_controller, error) => {
          reject(error)
        },
      },
    )
  })
}

function byOwn(port: number): Send {
  const settings = {
    connectTimeoutMs: 1000,
    idleTimeoutMs: null,
    maxRequestsPerConnection: 0,
    protocol: 'http1' as const,
  }
  const materials = new MaterialStore({
    timers: systemTimers(),
    now: Date.now,
    pollMs: 60_000,
    settleMs: 1000,
    mesh: null,
    systemRoots: () => [],
    report: () => {},
  })
  const transport = createTransport({ transport: { kind: 'plaintext' } }, { materials, now: Date.now })
  const context = { settings, transport, breaker: null }
  const endpoint = new Endpoint({ address: '127.0.0.1', port, weight: 1 }, context, 0)
  // Without limits nobody waits.
  const waiter: ConnectionWaiter = {
    onQueued: () => {},
    onConnection: () => {},
    onOverflow: () => {},
    onConnectFailure: () => {},
  }
  return () =>
    new Promise((resolve, reject) => {
      endpoint.acquire('bench.test', waiter)!.send(REQUEST, {
        onInformational: () => {},
        onHead: () => {},
        onData: (_chunk, last) => {
          if (last) resolve()
          return true
        },
        onEnd: () => resolve(),
        onFailure: (reason) => {
          reject(new Error(reason))
        },
        onDrain: () => {},
      })
    })
}
