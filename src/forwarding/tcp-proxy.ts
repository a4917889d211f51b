/**
 * Takes a client's connection to an endpoint of its route and joins the two. One try, as in Istio: who cannot be
 * connected has nothing to be told but the end of its connection; why is in the log.
 *
 * Source: envoy `source/common/tcp_proxy/tcp_proxy.cc`; semantics §11.3.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { joinAddress } from '../exchange/connection.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import { connectFailure } from '../upstreams/connect-failure.ts'
import type { Endpoint } from '../upstreams/endpoint.ts'
import { compileDraw } from './destination.ts'
import { Splice } from './splice.ts'

export interface TcpProxyDeps {
  readonly clusters: { get(name: string): Cluster | undefined }
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Told of the length of every piece, in both directions. */
  readonly onPassed: (bytes: number) => void
  /** Both connections stand. The splice counts their bytes from now on. */
  readonly onOpened: (exchange: Exchange, splice: Splice) => void
}

/**
 * @param client Paused, with nothing of it read; it belongs to the proxy from now on.
 * @param route Null: there is none.
 * @param onEnd Once, when the client's connection is over. The exchange says how it went.
 */
export function proxyConnection(
  exchange: Exchange,
  client: Socket,
  route: TcpRoutePlan | null,
  deps: TcpProxyDeps,
  onEnd: () => void,
): void {
  new Proxying(exchange, client, deps, onEnd).start(route)
}

/** Closes a client's connection of which nothing was passed on. */
export function closeConnection(client: Socket): void {
  client.end()
  // What it has sent is dropped: unread, it would make the kernel reset the connection, which looks like a fault.
  client.resume()
  const timer = setTimeout(() => client.destroy(), CLOSE_MS)
  client.once('close', () => {
    clearTimeout(timer)
  })
}

const CLOSE_MS = 1000

class Proxying {
  readonly #exchange: Exchange
  readonly #client: Socket
  readonly #deps: TcpProxyDeps
  readonly #onEnd: () => void
  #cluster: Cluster | null = null
  #endpoint: Endpoint | null = null
  #upstream: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  /** The cluster's breaker counts the connection. */
  #isCounted = false
  #isSpliced = false
  #isOver = false

  constructor(exchange: Exchange, client: Socket, deps: TcpProxyDeps, onEnd: () => void) {
    this.#exchange = exchange
    this.#client = client
    this.#deps = deps
    this.#onEnd = onEnd
    client.on('error', () => {})
    client.once('close', () => {
      if (!this.#isSpliced) this.#finish()
    })
  }

  start(route: TcpRoutePlan | null): void {
    if (route === null) return this.#refuse('NR')
    const { destinations } = route
    const draw = compileDraw(
      destinations.map(({ weight }) => weight),
      this.#deps.random,
    )
    const cluster = this.#deps.clusters.get(destinations[draw()]!.cluster)
    if (cluster === undefined) return this.#refuse('NC')
    this.#cluster = cluster
    const { upstream } = this.#exchange
    const { name, host, service, transport } = cluster.plan
    upstream.cluster = name
    upstream.serviceHost = host
    upstream.serviceName = service.name
    upstream.serviceNamespace = service.namespace
    if (transport.kind === 'unsupported') {
      upstream.failureReason = transport.reason
      return this.#refuse('UF,URX')
    }
    const { warming } = cluster
    if (warming === null) return this.#connect(cluster)
    void warming.then(() => {
      if (!this.#isOver) this.#connect(cluster)
    })
  }

  #connect(cluster: Cluster): void {
    const endpoint = cluster.pick(cluster.hashOf(this.#exchange), null)
    if (endpoint === null) return this.#refuse('UH')
    if (cluster.breaker?.tryOpenConnection() === false) return this.#refuse('UO')
    this.#isCounted = cluster.breaker !== null
    this.#endpoint = endpoint
    const { upstream } = this.#exchange
    upstream.endpoint = endpoint.key
    upstream.endpointLabels = endpoint.plan.labels ?? null
    upstream.attempts = 1
    endpoint.active++
    endpoint.total++
    endpoint.direct++
    // There is no Host: who answers has to be whom the destination names.
    const socket = endpoint.transport.dial(endpoint.plan, cluster.plan.host, 'tcp')
    this.#upstream = socket
    let error: Error | null = null
    socket.on('error', (reason) => {
      error ??= reason
    })
    socket.once('close', () => {
      if (!this.#isSpliced) this.#onConnectFailure(socket, error)
    })
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
      this.#join(cluster, endpoint, socket)
    })
    this.#timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' }))
    }, cluster.plan.connectTimeoutMs)
  }

  #join(cluster: Cluster, endpoint: Endpoint, socket: Socket): void {
    // A client that has left meanwhile has taken it along.
    if (this.#isOver || socket.destroyed) return
    this.#isSpliced = true
    this.#clearTimer()
    cluster.onConnected(endpoint)
    const exchange = this.#exchange
    const { localAddress, localPort } = socket
    if (localAddress !== undefined) exchange.upstream.localAddress = joinAddress(localAddress, localPort ?? 0)
    socket.setNoDelay(true)
    const { tcpIdleTimeoutMs, idleTimeoutMs, maxConnectionDurationMs } = cluster.plan
    const splice = new Splice(this.#client, socket, {
      idleTimeoutMs: tcpIdleTimeoutMs === undefined ? idleTimeoutMs : tcpIdleTimeoutMs,
      maxDurationMs: maxConnectionDurationMs ?? null,
      halfClose: true,
      onPassed: this.#deps.onPassed,
      onEnd: ({ bytesReceived, bytesSent, endedBy }) => {
        exchange.bytesReceived = bytesReceived
        exchange.bytesSent = bytesSent
        if (endedBy === 'idle') exchange.details = 'tcp_session_idle_timeout'
        else if (endedBy === 'duration') {
          exchange.addFlag('DT')
          exchange.details = 'max_connection_duration'
        }
        this.#finish()
      },
    })
    this.#deps.onOpened(exchange, splice)
  }

  #onConnectFailure(socket: Socket, error: Error | null): void {
    if (this.#isOver) return
    this.#clearTimer()
    this.#endpoint!.connectFailures++
    this.#cluster!.onLocalFailure(this.#endpoint!)
    const [reason, detail] = connectFailure(socket, error)
    this.#exchange.upstream.failureReason = detail || reason.replaceAll('-', ' ')
    this.#refuse('UF,URX')
  }

  #refuse(flags: string): void {
    this.#exchange.addFlag(flags)
    closeConnection(this.#client)
    // It is over when the client is gone, as for any other connection.
    if (this.#client.destroyed) this.#finish()
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#clearTimer()
    if (!this.#isSpliced) this.#upstream?.destroy()
    if (this.#endpoint !== null) {
      this.#endpoint.active--
      this.#endpoint.direct--
    }
    if (this.#isCounted) this.#cluster!.breaker?.closeConnection()
    this.#onEnd()
  }
}
