/**
 * The admin API and console (15000): JSON about everything that the gateway has loaded, and the few things that can be
 * asked of it. See `contract` in the documentation for the list; each resource is a file beside this one.
 */
import { readFile } from 'node:fs/promises'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { parseLogLevel, LOG_LEVELS } from '../observability/logger.ts'
import { certificateViews, withProblems } from './certs.ts'
import { clusterViews } from './clusters.ts'
import { refuse } from './guard.ts'
import { listenerViews } from './listeners.ts'
import { meshCertificateViews } from './mesh-certificate.ts'
import type { AdminModel, ExplainRequest } from './model.ts'
import { redact } from './redact.ts'
import { routeViews } from './routes.ts'
import { statusView } from './status.ts'

export interface AdminServerOptions {
  readonly model: AdminModel
  /** Host of the admin address as configured: a name there may be used to ask. */
  readonly host: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Told of requests that failed; the client sees a 500 without the reason. */
  readonly onError: (error: Error) => void
}

/** Bytes of a request's body: a request to be explained has at most as many headers as a real one. */
const BODY_LIMIT = 65_536

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The console's files, beside this one. */
const CONSOLE_FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['console.html', 'text/html; charset=utf-8'],
  '/console.css': ['console.css', 'text/css; charset=utf-8'],
  '/console.js': ['console.js', 'text/javascript; charset=utf-8'],
}

/** The admin server, not yet listening: `await server.listen({ port, host })`, and `await server.close()` at the end. */
export function createAdminServer(options: AdminServerOptions): FastifyInstance {
  const app = fastify({ bodyLimit: BODY_LIMIT, forceCloseConnections: true, requestTimeout: 30_000 })
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS)
    const reason = refuse(askerOf(request), options.host)
    if (reason !== null) return sendJson(reply.code(403), { error: reason })
    return undefined
  })
  app.setNotFoundHandler((_request, reply) => sendJson(reply.code(404), { error: 'there is no such resource' }))
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500
    if (status < 500) return sendJson(reply.code(status), { error: error.message })
    options.onError(error)
    return sendJson(reply.code(500), { error: 'the request failed; the reason is in the log' })
  })
  addConsole(app)
  addResources(app, options)
  addActions(app, options.model)
  return app
}

function addConsole(app: FastifyInstance): void {
  for (const [path, [file, type]] of Object.entries(CONSOLE_FILES)) {
    app.get(path, async (_request, reply) =>
      reply.type(type).send(await readFile(new URL(`./console/${file}`, import.meta.url))),
    )
  }
}

function addResources(app: FastifyInstance, { model, now }: AdminServerOptions): void {
  const files = { now, readFile: (path: string) => readFile(path, 'utf8') }
  app.get('/config_dump', async (_request, reply) => sendJson(reply, configDump(model)))
  app.get('/listeners', async (_request, reply) => sendJson(reply, { listeners: listenerViews(model) }))
  app.get('/routes', async (request: FastifyRequest<{ Querystring: Query }>, reply) => {
    const { host, listener } = request.query
    return sendJson(reply, { routes: routeViews(model, { host: single(host), listener: single(listener) }) })
  })
  app.get('/clusters', async (_request, reply) => sendJson(reply, { clusters: await clusterViews(model) }))
  app.get('/certs', async (_request, reply) => {
    const certificates = [
      ...withProblems(await certificateViews(model, files), model),
      ...meshCertificateViews(model, files.now()),
    ]
    return sendJson(reply, { certificates })
  })
  app.get('/status', async (_request, reply) => sendJson(reply, redact(statusView(model))))
  app.get('/ready', async (_request, reply) =>
    model.isReady() ? reply.type('text/plain').send('ready\n') : reply.code(503).type('text/plain').send('not ready\n'),
  )
  app.get('/stats/prometheus', async (_request, reply) =>
    reply.type(model.metricsContentType).send(await model.metricsText()),
  )
}

function addActions(app: FastifyInstance, model: AdminModel): void {
  app.post('/logging', async (request: FastifyRequest<{ Querystring: Query }>, reply) => {
    const level = parseLogLevel(single(request.query['level']) ?? '')
    if (level === null) return sendJson(reply.code(400), { error: `level is one of ${LOG_LEVELS.join(', ')}` })
    model.setLogLevel(level)
    return sendJson(reply, { level })
  })
  app.post('/drain', async (_request, reply) => {
    model.drain()
    return sendJson(reply, { draining: true })
  })
  app.post('/explain', async (request, reply) => {
    if (model.explain === undefined) return sendJson(reply.code(404), { error: 'this gateway cannot explain requests' })
    const asked = readExplainRequest(request.body)
    if (asked === null)
      return sendJson(reply.code(400), { error: 'expected {"method","url","headers":[["name","value"]],"principal"}' })
    return sendJson(reply, redact(await model.explain(asked)))
  })
}

/** The whole plan, each route with its origin, and what was rejected. */
function configDump(model: AdminModel): unknown {
  const { sources, rejected, warnings, generation, configuration } = statusView(model)
  return redact({ version: model.version, generation, configuration, sources, rejected, warnings, plan: model.plan() })
}

type Query = Readonly<Record<string, string | string[] | undefined>>

/** The last one of a parameter that is given several times; an empty one is none. */
function single(value: string | string[] | undefined): string | undefined {
  const last = Array.isArray(value) ? value.at(-1) : value
  return last === '' ? undefined : last
}

function readExplainRequest(body: unknown): ExplainRequest | null {
  if (typeof body !== 'object' || body === null) return null
  const { method, url, headers = [], principal } = body as Record<string, unknown>
  if (typeof method !== 'string' || typeof url !== 'string' || !URL.canParse(url) || !Array.isArray(headers))
    return null
  if (!headers.every(isHeader)) return null
  if (principal === undefined) return { method, url, headers }
  return typeof principal === 'string' ? { method, url, headers, principal } : null
}

function isHeader(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
}

function askerOf(request: FastifyRequest) {
  const { host, origin, 'sec-fetch-site': site } = request.headers
  return {
    method: request.method,
    host,
    origin,
    site: single(site),
    localAddress: request.raw.socket.localAddress,
  }
}

/** Pretty-printed: people read it with curl. */
function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(`${JSON.stringify(body, null, 2)}\n`)
}
