/**
 * The status port (15021): `/healthz/ready`, `/healthz/live` and `/stats/prometheus` for kubelets, load balancers and
 * Prometheus. It is open to the network, so it tells nothing else and bounds what a stranger can hold open.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { joinAddress } from '../exchange/connection.ts'

export interface StatusServerOptions {
  readonly isReady: () => boolean
  readonly isLive: () => boolean
  readonly metricsText: () => Promise<string>
  readonly metricsContentType: string
  /** Told why a scrape failed; its client sees a 500 without the reason. */
  readonly onError: (error: Error) => void
}

export interface StatusServer {
  /** Binds. @returns The address as `HOST:PORT`. @throws What binding failed with, for example EADDRINUSE. */
  listen(port: number, host: string): Promise<string>
  /** Stops at once, connections included. */
  close(): Promise<void>
}

/** Connections at a time; more are closed. Kubelet, load balancers and two Prometheus servers need a handful. */
const MAX_CONNECTIONS = 256
const REQUEST_TIMEOUT_MS = 10_000

export function createStatusServer(options: StatusServerOptions): StatusServer {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: 60_000,
    },
    (req, res) => {
      void answer(options, req, res)
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  return {
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          const bound = server.address() as AddressInfo
          resolve(joinAddress(bound.address, bound.port))
        })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(options: StatusServerOptions, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = (req.url ?? '').split('?', 1)[0]
  if (req.method !== 'GET' && req.method !== 'HEAD')
    return send(res, 405, 'method not allowed\n', { allow: 'GET, HEAD' })
  switch (path) {
    case '/healthz/ready':
      return options.isReady() ? send(res, 200, 'ready\n') : send(res, 503, 'not ready\n')
    case '/healthz/live':
      return options.isLive() ? send(res, 200, 'live\n') : send(res, 503, 'not live\n')
    case '/stats/prometheus':
      try {
        return send(res, 200, await options.metricsText(), { 'content-type': options.metricsContentType })
      } catch (error) {
        options.onError(error as Error)
        return send(res, 500, 'metrics are not available\n')
      }
    default:
      return send(res, 404, 'not found\n')
  }
}

function send(res: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  res.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  res.end(body)
}
