/** A data plane with the forward proxy in this process, and what stands behind it. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Resolve } from '../../src/upstreams/dns.ts'
import type { EgressDataPlaneSettings } from '../../src/workers/messages.ts'
import { type LiveGateway, type LiveOptions, startGateway } from './live.ts'

export const EGRESS_SETTINGS: EgressDataPlaneSettings = {
  auditLog: '',
  allowEncryptedClientHello: false,
  helloTimeoutMs: 5000,
  tunnelIdleMs: 60_000,
  maxTunnels: 0,
  maxDestinations: 1024,
  idleMs: 60_000,
  connectTimeoutMs: 2000,
  via: [],
  noProxy: [],
}

export interface ForwardProxy extends LiveGateway {
  /** Where it listens, on 127.0.0.1. */
  readonly proxyPort: number
}

export async function startForwardProxy(
  yaml: string,
  egress: Partial<EgressDataPlaneSettings> = {},
  { resolve, settings, ...options }: LiveOptions & { readonly resolve?: Resolve } = {},
): Promise<ForwardProxy> {
  const gateway = await startGateway(yaml, {
    ...options,
    ...(resolve === undefined ? {} : { resolve }),
    compile: { egress: { host: '127.0.0.1', port: 0 } },
    settings: { ...settings, egress: { ...EGRESS_SETTINGS, ...egress } },
  })
  return { ...gateway, proxyPort: gateway.port(0) }
}

/** A TCP server that remembers every byte it got, and answers each piece with itself. */
export interface Sink {
  readonly port: number
  readonly connections: () => number
  /** Everything that came, over all connections, as latin1 text. */
  readonly received: () => string
  readonly stop: () => void
}

export async function startSink(host = '127.0.0.1', port = 0): Promise<Sink> {
  let connections = 0
  let received = ''
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      socket.write(bytes)
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    received: () => received,
    stop: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** The listed entry of a host; `more` is YAML of the spec, in block style. */
export function entry(host: string, port: number, protocol: string, more: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: "${host.replaceAll('*', 'any').replaceAll('.', '-')}-${port}" }
spec:
  hosts: ['${host}']
  ports: [{ number: ${port}, name: p, protocol: ${protocol} }]
${more.replace(/^/gm, '  ')}
---
`
}

/** Endpoints on 127.0.0.1. */
export function pinnedTo(port: number): string {
  return `resolution: STATIC\nendpoints: [{ address: 127.0.0.1, ports: { p: ${port} } }]`
}

export interface Conversation {
  readonly socket: Socket
  /** Waits until the answer holds `text`, or no more can come. */
  until(text: string): Promise<string>
  /** All that came so far, as latin1 text. */
  text(): string
  closed(): boolean
}

/** Talks to a port of 127.0.0.1 in bytes. */
export function talk(port: number): Conversation {
  const socket = connect({ port, host: '127.0.0.1' })
  let text = ''
  let closed = false
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1')
  })
  socket.once('close', () => {
    closed = true
  })
  return {
    socket,
    text: () => text,
    closed: () => closed,
    until: async (wanted) => {
      const end = performance.now() + 5000
      while (!text.includes(wanted) && !closed && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      return text
    },
  }
}
