/**
 * The little services behind the sample in `config/`: two versions of one, a slow one, one that fails, its healthy
 * twin, and one that counts the copies it gets. Each answers with JSON that says who answered and what it was sent.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

/** Where they listen: `config/services.yaml` names the same ports. */
export const DEMO_HOST = '127.0.0.1'

export interface DemoUpstream {
  readonly name: string
  readonly port: number
  readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>
}

/** How long the slow one takes, milliseconds: more than the timeout of the sample's route to it. */
export const SLOW_MS = 3000

/** @param delay Waits for that many milliseconds. */
export function demoUpstreams(delay: (ms: number) => Promise<unknown> = wait): readonly DemoUpstream[] {
  let copies = 0
  return [
    {
      name: 'orders v1',
      port: 9081,
      answer: async (request, response) => say(response, 200, request, { service: 'orders', version: 'v1' }),
    },
    {
      name: 'orders v2',
      port: 9082,
      answer: async (request, response) => say(response, 200, request, { service: 'orders', version: 'v2' }),
    },
    {
      name: 'reports, which is slow',
      port: 9083,
      answer: async (request, response) => {
        await delay(SLOW_MS)
        say(response, 200, request, { service: 'reports' })
      },
    },
    {
      name: 'stock, broken',
      port: 9084,
      answer: async (request, response) => say(response, 503, request, { service: 'stock', broken: true }),
    },
    {
      name: 'stock, healthy',
      port: 9085,
      answer: async (request, response) => say(response, 200, request, { service: 'stock' }),
    },
    {
      name: 'audit, which gets copies',
      port: 9086,
      answer: async (request, response) => {
        // Its own address shows the count; everything else is a copy of somebody's request.
        if (request.url !== '/copies') copies += 1
        say(response, 200, request, { service: 'audit', copies })
      },
    },
  ]
}

/** Servers that were started. */
export interface RunningUpstreams {
  close(): Promise<void>
}

/**
 * Starts them all, or none.
 *
 * @throws Error that names the port that is taken, with a code of the system's (`EADDRINUSE`).
 */
export async function startUpstreams(upstreams: readonly DemoUpstream[]): Promise<RunningUpstreams> {
  const results = await Promise.allSettled(upstreams.map(start))
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(stop))
  }
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    await close()
    throw failed.reason as Error
  }
  return { close }
}

function start({ name, port, answer }: DemoUpstream): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume()
    answer(request, response).catch(() => response.destroy())
  })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'something else listens there' : error.message
      const told = new Error(`the demo's upstream "${name}" needs ${DEMO_HOST}:${port}: ${reason}`)
      reject(Object.assign(told, { code: error.code }))
    })
    server.listen(port, DEMO_HOST, () => resolve(server))
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** What a demo upstream shows of a request: enough to see what the gateway made of it. */
const SHOWN_HEADERS = [
  'host',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-request-id',
  'x-envoy-attempt-count',
  'x-envoy-original-path',
  'x-canary',
  'x-user',
]

function say(response: ServerResponse, status: number, request: IncomingMessage, facts: object): void {
  const headers = Object.fromEntries(
    SHOWN_HEADERS.filter((name) => name in request.headers).map((name) => [name, request.headers[name]]),
  )
  const body = JSON.stringify({ ...facts, method: request.method, path: request.url, headers })
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${body}\n`)
}
