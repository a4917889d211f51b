/**
 * Copies of requests for other clusters: sent and forgotten. Whatever becomes of one, the request itself never learns
 * of it (semantics §2.12).
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { Mirror } from '../plan/route.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import type { Wait } from '../upstreams/connection-gate.ts'
import type { ConnectionWaiter } from '../upstreams/connection-pool.ts'
import type { Endpoint } from '../upstreams/endpoint.ts'
import type { HttpProtocol } from '../upstreams/transport.ts'
import type { ResponseHandler, UpstreamRequest, UpstreamStream } from '../upstreams/stream.ts'
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
  readonly head: UpstreamRequest
  /** What the client speaks. */
  readonly protocol: HttpProtocol
  readonly body: Buffer | null
  readonly timeoutMs: number | null
}

/** Draws which mirrors get a copy of this request. */
export function chooseMirrors(mirrors: readonly Mirror[], random: () => number): readonly Mirror[] {
  return mirrors.filter(({ fraction }) => fraction >= 1 || random() < fraction)
}

export function sendMirrored(mirror: Mirror, request: MirroredRequest, deps: MirrorDeps): void {
  const cluster = deps.clusters.get(mirror.cluster)
  if (cluster === undefined || cluster.plan.transport.kind === 'unsupported') return
  const endpoint = cluster.pick(null, null)
  if (endpoint === null || deps.load.inFlight >= MAX_IN_FLIGHT) return
  new Copy(request, endpoint, deps).start()
}

/** One copy, from its connection to the end of the answer that nobody reads. */
class Copy implements ResponseHandler, ConnectionWaiter {
  readonly #request: MirroredRequest
  readonly #endpoint: Endpoint
  readonly #deps: MirrorDeps
  readonly #timer: NodeJS.Timeout
  #connection: UpstreamStream | null = null
  #wait: Wait | null = null
  #done = false

  constructor(request: MirroredRequest, endpoint: Endpoint, deps: MirrorDeps) {
    this.#request = request
    this.#endpoint = endpoint
    this.#deps = deps
    deps.load.inFlight++
    endpoint.active++
    endpoint.total++
    this.#timer = setTimeout(
      () => {
        this.#wait?.cancel()
        this.#connection?.abort()
        this.#settle()
      },
      Math.min(request.timeoutMs ?? MAX_TIMER_MS, MAX_TIMER_MS),
    )
    this.#timer.unref()
  }

  start(): void {
    const connection = this.#endpoint.acquire(this.#request.head.authority, this, this.#request.protocol)
    if (connection !== null) this.onConnection(connection)
  }

  onQueued(wait: Wait): void {
    this.#wait = wait
  }

  onOverflow(): void {
    this.#settle()
  }

  onConnectFailure(): void {
    this.#settle()
  }

  onConnection(connection: UpstreamStream): void {
    const { head, body } = this.#request
    this.#connection = connection
    const isEmpty = body === null || body.length === 0
    connection.send(isEmpty ? { ...head, body: 'none' } : head, this)
    if (isEmpty) return
    connection.write(body)
    connection.endRequest(null)
  }

  onInformational(): void {}

  onHead(): void {}

  onData(_chunk: Buffer, last: boolean): boolean {
    if (last) this.#settle()
    return true
  }

  onEnd(): void {
    this.#settle()
  }

  onFailure(): void {
    this.#settle()
  }

  onDrain(): void {}

  #settle(): void {
    if (this.#done) return
    this.#done = true
    clearTimeout(this.#timer)
    this.#deps.load.inFlight--
    this.#endpoint.active--
  }
}

/** The head of a copy; the exchange's own changes with every try. */
export function mirrorHead(exchange: Exchange): UpstreamRequest {
  const { method, path, authority, scheme, headers, body, requestSpelling, epoch } = exchange
  const host = epoch.mesh.shadowHostSuffix ? shadowAuthority(authority) : authority
  return { method, path, authority: host, scheme, headers: [...headers], body, requestSpelling, upgrade: null }
}

/** Envoy's traditional Host of a copy: `-shadow` before the port. */
function shadowAuthority(authority: string): string {
  const port = /:\d+$/.exec(authority)?.[0] ?? ''
  return `${authority.slice(0, authority.length - port.length)}-shadow${port}`
}
