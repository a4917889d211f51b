/** What a live gateway writes and counts, and upstreams that tell what they saw or misbehave on demand. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REQUEST_LABELS } from '../../src/observability/metric-table.ts'
import { eventually, type LiveGateway, type LiveOptions, startGateway, startUpstream } from './live.ts'

export type LogLine = Readonly<Record<string, unknown>>
export type MetricLabels = Readonly<Record<(typeof REQUEST_LABELS)[number], string>>

export interface ObservedGateway extends LiveGateway {
  /** Lines of the access log so far, as text. */
  lines(): string[]
  /** The JSON line of the request with this path, once it is there. */
  logged(path: string): Promise<LogLine>
  /** Label sets that were counted, each with its number of requests. */
  counted(): { readonly labels: MetricLabels; readonly requests: number }[]
}

/** A gateway with an access log, in JSON unless `mesh` says otherwise. */
export async function startObserved(yaml: string, options: LiveOptions = {}): Promise<ObservedGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  const file = join(folder, 'access.log')
  const gateway = await startGateway(yaml, {
    ...options,
    mesh: { accessLogFile: file, accessLogEncoding: 'JSON', ...options.mesh },
  })
  const lines = () => {
    try {
      return readFileSync(file, 'utf8').split('\n').filter(Boolean)
    } catch {
      return []
    }
  }
  return {
    ...gateway,
    lines,
    async logged(path) {
      let found: LogLine | undefined
      await eventually(() => {
        found = lines()
          .map((line) => JSON.parse(line) as LogLine)
          .find((line) => line['path'] === path)
        assert.ok(found, `no line for ${path} in ${lines().join('\n')}`)
      })
      return found!
    },
    counted: () =>
      gateway.plane.stats().metrics.series.map(({ labels, values }) => ({
        labels: Object.fromEntries(REQUEST_LABELS.map((name, i) => [name, labels[i]])) as MetricLabels,
        requests: values[0]!,
      })),
    async stop() {
      await gateway.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A request as an upstream saw it. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** `[name, value, …]`. */
  readonly raw: readonly string[]
  readonly body: string
}

export interface EchoUpstream {
  readonly port: number
  /** Everything that came so far; tests may empty it. */
  readonly seen: Seen[]
  stop(): void
}

/**
 * Answers 200 with what it saw, as JSON. Request headers `x-status`, `x-delay` (ms) and `x-reply` (`name: value`
 * pairs, separated by `|`) change the answer; `x-fail: N` makes the first N requests with the same `x-key` 503.
 */
export async function startEcho(): Promise<EchoUpstream> {
  const seen: Seen[] = []
  const failures = new Map<string, number>()
  const upstream = await startUpstream((req, res) => {
    let body = ''
    req.setEncoding('latin1')
    req.on('data', (chunk) => (body += chunk))
    req.on('end', () => {
      const request = { method: req.method!, url: req.url!, headers: req.headers, raw: req.rawHeaders, body }
      seen.push(request)
      const key = String(req.headers['x-key'])
      const failed = failures.get(key) ?? 0
      const fails = failed < Number(req.headers['x-fail'] ?? 0)
      if (fails) failures.set(key, failed + 1)
      setTimeout(
        () => {
          res.statusCode = fails ? 503 : Number(req.headers['x-status'] ?? 200)
          for (const pair of String(req.headers['x-reply'] ?? '').split('|')) {
            const colon = pair.indexOf(':')
            if (colon > 0) res.appendHeader(pair.slice(0, colon), pair.slice(colon + 1).trim())
          }
          res.end(JSON.stringify(request))
        },
        Number(req.headers['x-delay'] ?? 0),
      )
    })
  })
  return { port: upstream.port, seen, stop: () => upstream.stop() }
}

/** Calls `onRequest` with each socket once bytes came on it. */
export async function startRaw(
  onRequest: (socket: Socket, head: string) => void,
): Promise<{ readonly port: number; readonly connections: () => number; stop(): void }> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createNetServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      onRequest(socket, data.toString('latin1'))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    stop: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createNetServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The header lines of a raw answer, names in lower case. */
export function headerLines(text: string): string[] {
  return text
    .slice(0, text.indexOf('\r\n\r\n'))
    .split('\r\n')
    .slice(1)
    .map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()))
}

/** Rules in YAML's flow style, each perhaps over several lines, as the list that `routes` takes. */
export function ruleList(rules: readonly string[]): string {
  return `[${rules.join(', ').replace(/\s*\n\s*/g, ' ')}]`
}
