/** Gateways that ask external authorizers, and an upstream behind them. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { after, afterEach, before } from 'node:test'
import { type GrpcAuthorizer, startGrpcAuthorizer } from './authorizer.ts'
import { GATEWAY, type LiveGateway, routes, service, startGateway, startUpstream } from './live.ts'

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** An HTTP server that remembers what it was sent. */
export interface Recorder {
  readonly port: number
  readonly seen: Seen[]
  answer: (request: Seen, res: ServerResponse) => void
  stop(): void
}

export interface Guarded {
  /** The upstream `app.test`; it answers `hello`. */
  readonly app: Recorder
  /** What is called after the test. */
  readonly open: (() => unknown)[]
  /**
   * A gateway whose requests need the authorizer `mine` at `port`.
   *
   * @param settings Fields of the provider. @param more YAML. @param path Which requests it is asked about.
   */
  readonly guard: (
    kind: 'Http' | 'Grpc',
    port: number,
    settings?: object,
    more?: string,
    path?: string,
  ) => Promise<LiveGateway>
  readonly httpAuthorizer: (answer: Recorder['answer']) => Promise<Recorder>
  readonly grpcAuthorizer: (answer: GrpcAuthorizer['answer']) => Promise<GrpcAuthorizer>
}

/** For the top of a file of tests: everything is closed after the test that opened it. */
export function useGuarded(): Guarded {
  const app: Recorder = { port: 0, seen: [], answer: hello, stop: () => {} }
  const open: (() => unknown)[] = []
  before(async () => {
    Object.assign(app, await startRecorder(hello))
  })
  after(() => {
    app.stop()
  })
  afterEach(async () => {
    for (const close of open.splice(0)) await close()
    app.seen.length = 0
  })
  return {
    app,
    open,
    async guard(kind, port, settings = {}, more = '', path = '/*') {
      const provider = { service: 'authz.test', port: 80, ...settings }
      const gateway = await startGateway(services(app.port, port) + askMine(path) + more, {
        mesh: { extensionProviders: [{ name: 'mine', [`envoyExtAuthz${kind}`]: provider }] },
      })
      open.push(() => gateway.stop())
      return gateway
    },
    async httpAuthorizer(answer) {
      const authorizer = await startRecorder(answer)
      open.push(() => {
        authorizer.stop()
      })
      return authorizer
    },
    async grpcAuthorizer(answer) {
      const authorizer = await startGrpcAuthorizer()
      authorizer.answer = answer
      open.push(() => {
        authorizer.stop()
      })
      return authorizer
    },
  }
}

/** A Gateway, a route to the upstream, and the services of both. */
export function services(appPort: number, authorizerPort: number): string {
  return (
    GATEWAY +
    service('app', appPort) +
    service('authz', authorizerPort) +
    routes('[{ route: [{ destination: { host: app.test } }] }]')
  )
}

export function askMine(path: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: istio-system }
spec:
  action: CUSTOM
  provider: { name: mine }
  rules: [{ to: [{ operation: { paths: ['${path}'] } }] }]
---
`
}

/** Says yes, with a body that nobody is to see. */
export function allow(_: Seen, res: ServerResponse): void {
  res.end('this goes to nobody')
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** A port that nobody listens on. */
export async function unusedPort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function hello(_: Seen, res: ServerResponse): void {
  res.setHeader('x-from', 'app')
  res.end('hello')
}

async function startRecorder(answer: Recorder['answer']): Promise<Recorder> {
  const seen: Seen[] = []
  const recorder: Recorder = { port: 0, seen, answer, stop: () => {} }
  const { port, stop } = await startUpstream((req, res) => {
    let body = ''
    req.setEncoding('utf8')
    req.on('data', (chunk: string) => (body += chunk))
    req.on('end', () => {
      const one = { method: req.method!, url: req.url!, headers: req.headers, body }
      seen.push(one)
      recorder.answer(one, res)
    })
  })
  return Object.assign(recorder, { port, stop })
}
