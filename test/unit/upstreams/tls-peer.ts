/** TLS peers and requests to them, for the tests of this folder. */
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { MaterialStore, type MaterialStoreDeps } from '../../../src/certificates/material-store.ts'
import { systemTimers } from '../../../src/lib/timers.ts'
import type { EndpointPlan, TlsTransport } from '../../../src/plan/cluster.ts'
import { Http1Connection } from '../../../src/upstreams/http1/connection.ts'

export interface Peer {
  readonly endpoint: EndpointPlan
  /** Connections whose handshake is complete, as the peer sees them. */
  readonly connections: TLSSocket[]
  /** Whether each of them resumed a session. */
  readonly resumed: boolean[]
  /** Heads of requests. */
  readonly requests: string[]
  /** Other settings for handshakes from here on. */
  readonly server: Server & { setSecureContext?(options: TlsOptions): void }
  readonly close: () => void
}

/** A TLS server on 127.0.0.1 that answers each request with an empty 200. */
export async function startPeer(options: TlsOptions): Promise<Peer> {
  const connections: TLSSocket[] = []
  const resumed: boolean[] = []
  const requests: string[] = []
  const server = createServer(options, (socket) => {
    connections.push(socket)
    resumed.push(socket.isSessionReused())
    socket.on('error', () => {})
    socket.on('data', (data) => {
      requests.push(data.toString('latin1'))
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
  })
  return { ...(await listen(server)), connections, resumed, requests }
}

/** A TCP server on 127.0.0.1 that does with a connection what it is told to. */
export async function startTcpPeer(onConnection: (socket: Socket) => void): Promise<Peer> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    onConnection(socket)
  })
  return { ...(await listen(server)), connections: [], resumed: [], requests: [] }
}

async function listen(server: Server): Promise<Pick<Peer, 'endpoint' | 'server' | 'close'>> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: { address: '127.0.0.1', port: (server.address() as AddressInfo).port, weight: 1 },
    server,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

export interface Result {
  /** `200`, or the reason of the failure. */
  readonly outcome: string
  readonly detail: string
  readonly body: string
  readonly connection: Http1Connection
}

/** Sends a GET on a new connection; on success that stays open. */
export function request(socket: Socket, connectTimeoutMs = 2000): Promise<Result> {
  return requestAgain(
    new Http1Connection(socket, { onConnected: () => {}, onIdle: () => {}, onClosed: () => {} }, connectTimeoutMs),
  )
}

/** Sends a GET on a connection that stands, or is being made. */
export function requestAgain(connection: Http1Connection): Promise<Result> {
  return new Promise((resolve) => {
    let status = 0
    let body = ''
    connection.send(
      {
        method: 'GET',
        path: '/',
        authority: 'a',
        scheme: 'http',
        headers: [],
        body: 'none',
        requestSpelling: null,
        upgrade: null,
      },
      {
        onInformational: () => {},
        onHead: (head) => (status = head.status),
        onData: (chunk, last) => {
          body += chunk.toString()
          if (last) resolve({ outcome: String(status), detail: '', body, connection })
          return true
        },
        onEnd: () => resolve({ outcome: String(status), detail: '', body, connection }),
        onFailure: (reason, detail) => resolve({ outcome: reason, detail, body, connection }),
        onDrain: () => {},
      },
    )
  })
}

/** A store whose files are looked at all the time. `problems`: what it has reported, `NAME: PROBLEM`. */
export function openMaterials(deps: Partial<MaterialStoreDeps> = {}): { materials: MaterialStore; problems: string[] } {
  const problems: string[] = []
  const materials = new MaterialStore({
    timers: systemTimers(),
    now: Date.now,
    pollMs: 10,
    settleMs: 10,
    mesh: null,
    systemRoots: () => [],
    report: (material, problem) => problems.push(`${material}: ${problem}`),
    ...deps,
  })
  return { materials, problems }
}

/** TLS that verifies against a file; what a test is about is in `changes`. */
export function transport(caFile: string, changes: Partial<TlsTransport> = {}): TlsTransport {
  return {
    mode: 'SIMPLE',
    sni: 'peer.test',
    trust: { kind: 'file', path: caFile },
    subjectAltNames: ['peer.test'],
    clientCertificate: null,
    alpn: [],
    minVersion: 'TLSv1.2',
    ...changes,
  }
}
