/**
 * Copies of requests for other clusters: sent and forgotten. Whatever becomes of one, the request itself never learns
 * of it (semantics §2.12).
 */
import type { Mirror } from '../plan/route.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import type { ResponseHandler } from '../upstreams/http1/connection.ts'
import { MAX_TIMER_MS } from './timeout.ts'

/** Copies in flight in one worker; past it copies are dropped, so that a dead mirror costs bounded memory. */
const MAX_IN_FLIGHT = 1024

export interface MirrorDeps {
  readonly clusters: { get(name: string): Cluster | undefined }
  readonly random: () => number
  /** Shared by all routes of a worker. */
  readonly load: { inFlight: number }
}

export interface MirroredRequest {
  readonly method: string
  /** With its empty line. */
  readonly head: string
  readonly body: Buffer | null
  readonly chunked: boolean
  readonly timeoutMs: number | null
}

/** Draws which mirrors get a copy of this request. */
export function chooseMirrors(mirrors: readonly Mirror[], random: () => number): readonly Mirror[] {
  return mirrors.filter(({ fraction }) => fraction >= 1 || random() < fraction)
}

export function sendMirrored(mirror: Mirror, request: MirroredRequest, deps: MirrorDeps): void {
  const cluster = deps.clusters.get(mirror.cluster)
  if (cluster === undefined || cluster.plan.transport.kind !== 'plaintext' || cluster.plan.protocol !== 'http1') return
  const endpoint = cluster.pick(null)
  if (endpoint === null || deps.load.inFlight >= MAX_IN_FLIGHT) return

  deps.load.inFlight++
  endpoint.active++
  endpoint.total++
  const connection = endpoint.acquire()
  let done = false
  const settle = () => {
    if (done) return
    done = true
    clearTimeout(timer)
    deps.load.inFlight--
    endpoint.active--
  }
  const timer = setTimeout(
    () => {
      settle()
      connection.abort()
    },
    Math.min(request.timeoutMs ?? MAX_TIMER_MS, MAX_TIMER_MS),
  )
  timer.unref()
  const handler: ResponseHandler = {
    onInformational: () => {},
    onHead: () => {},
    onData: (_chunk, last) => {
      if (last) settle()
      return true
    },
    onEnd: settle,
    onFailure: settle,
    onDrain: () => {},
  }
  const body = request.body !== null && request.body.length > 0 ? request.body : null
  connection.send(
    request.method,
    request.head,
    body === null ? 'none' : request.chunked ? 'chunked' : 'length',
    handler,
  )
  if (body !== null) {
    connection.write(body)
    connection.endRequest()
  }
}

/** Envoy's traditional Host of a copy: `-shadow` before the port. */
export function shadowAuthority(authority: string): string {
  const port = /:\d+$/.exec(authority)?.[0] ?? ''
  return `${authority.slice(0, authority.length - port.length)}-shadow${port}`
}
