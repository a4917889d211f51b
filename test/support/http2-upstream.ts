/** Upstreams that speak HTTP/2, in plain text with prior knowledge. */
import { once } from 'node:events'
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { IncomingHttpHeaders, ServerOptions } from 'node:http2'

export interface Http2Upstream {
  readonly server: Http2Server
  readonly port: number
  /** Those that stand. */
  readonly sessions: ReadonlySet<ServerHttp2Session>
  /** Connections since the beginning. */
  readonly connections: () => number
  readonly stop: () => void
}

export async function startHttp2Upstream(
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: ServerOptions = {},
): Promise<Http2Upstream> {
  const server = createServer(options)
  const sessions = new Set<ServerHttp2Session>()
  let connections = 0
  server.on('session', (session) => {
    connections++
    sessions.add(session)
    session.on('error', () => {})
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {})
    onStream(stream, headers)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    port: (server.address() as AddressInfo).port,
    sessions,
    connections: () => connections,
    stop: () => {
      server.close()
      for (const session of sessions) session.destroy()
    },
  }
}

/** A service NAME.test on port 80 that speaks HTTP/2, whose endpoints are local ports. */
export function http2Service(name: string, ...ports: number[]): string {
  const endpoints = ports.map((port) => `{ address: 127.0.0.1, ports: { http2: ${port} } }`).join(', ')
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test]
  ports: [{ number: 80, name: http2, protocol: HTTP2 }]
  resolution: STATIC
  endpoints: [${endpoints}]
---
`
}
