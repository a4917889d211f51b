/**
 * Forwards a request to an endpoint of its destination and the answer back, both as they arrive. One object per
 * request holds what must be remembered between the turns of the event loop.
 *
 * A try ends in `#commit` (its answer goes to the client), in another try, or in a local reply. All that can go wrong
 * is a row of failure.ts.
 */
import type { Duplex } from 'node:stream'
import type { Exchange, HeaderEdit } from '../exchange/exchange.ts'
import { spellingOf } from '../exchange/header-case.ts'
import { type HeaderList, headerValue, setHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { compileHeaderOperations } from '../exchange/header-operations.ts'
import type { ForwardAction, RoutePlan } from '../plan/route.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import type { Wait } from '../upstreams/connection-gate.ts'
import type { ConnectionWaiter } from '../upstreams/connection-pool.ts'
import type { Endpoint } from '../upstreams/endpoint.ts'
import type { FailureReason } from '../upstreams/failure-reason.ts'
import type { ResponseHandler, ResponseHead, UpstreamRequest, UpstreamStream } from '../upstreams/stream.ts'
import type { HttpProtocol } from '../upstreams/transport.ts'
import { compileDestinations, type Destinations } from './destination.ts'
import {
  CLUSTER_NOT_FOUND,
  NO_HEALTHY_UPSTREAM,
  OVERFLOW,
  PER_TRY_TIMEOUT,
  REQUEST_TIMEOUT,
  resetDetails,
  resetFlag,
  resetReply,
} from './failure.ts'
import { chooseMirrors, type MirrorDeps, mirrorHead, sendMirrored } from './mirror.ts'
import { sendLocalReply } from './reply.ts'
import { RequestBody } from './request-body.ts'
import { cutAnswer, relayData, relayEnd, relayHead, relayInformational } from './response.ts'
import { type CompiledRetry, compileRetry } from './retry.ts'
import { openTunnel } from './tunnel.ts'
import { compileDeadline, type Deadline } from './timeout.ts'
import { Timers } from './timers.ts'

export interface ForwardDeps extends MirrorDeps {
  /** Told of the length of every piece of a body, in both directions. */
  readonly onPassed: (bytes: number) => void
}

interface CompiledForward {
  readonly action: ForwardAction
  readonly destinations: Destinations
  readonly editRequest: HeaderEdit | null
  readonly retry: CompiledRetry | null
}

/** @returns What draws a request's destination, and what forwards it once its filters have all passed. */
export function compileForward(
  route: RoutePlan & { readonly action: ForwardAction },
  deps: ForwardDeps,
): { select(exchange: Exchange): void; forward(exchange: Exchange): void } {
  const { action } = route
  const compiled: CompiledForward = {
    action,
    destinations: compileDestinations(route, deps),
    editRequest: compileHeaderOperations(route.requestHeaders),
    retry: action.retry === null ? null : compileRetry(action.retry, deps.random),
  }
  return {
    select: (exchange) => {
      compiled.destinations.select(exchange)
    },
    forward: (exchange) => {
      new Forwarding(exchange, compiled, deps).start()
    },
  }
}

class Forwarding implements ResponseHandler, ConnectionWaiter {
  readonly #exchange: Exchange
  readonly #compiled: CompiledForward
  readonly #deps: ForwardDeps
  #cluster: Cluster | null = null
  #endpoint: Endpoint | null = null
  #lastEndpoint: Endpoint | null = null
  #tried: Endpoint[] | null = null
  #stream: UpstreamStream | null = null
  /** Set while the try waits for a connection. */
  #wait: Wait | null = null
  /** What consistent hashing goes by; null: nothing. The same for all tries. */
  #hash: number | null = null
  /** The cluster's breaker counts a retry for this request. */
  #holdsRetry = false
  #body: RequestBody | null = null
  #mirrors: ReturnType<typeof chooseMirrors> | null = null
  /** What copies begin with: the head of the first try. */
  #mirrorHead: UpstreamRequest | null = null
  #deadline: Deadline | null = null
  readonly #timers = new Timers()
  /** When the request was complete, on the monotonic clock; 0 before. */
  #requestEndAt = 0
  /** The head of an answer is on its way to the client: no other try, no local reply. */
  #committed = false
  #continued = false
  #done = false

  constructor(exchange: Exchange, compiled: CompiledForward, deps: ForwardDeps) {
    this.#exchange = exchange
    this.#compiled = compiled
    this.#deps = deps
  }

  start(): void {
    const exchange = this.#exchange
    const { action, destinations, editRequest, retry } = this.#compiled
    const destination = destinations.of(exchange)
    const cluster = this.#deps.clusters.get(destination.cluster)
    if (cluster === undefined) {
      sendLocalReply(exchange, CLUSTER_NOT_FOUND)
      return
    }
    this.#cluster = cluster
    const { plan } = cluster
    const deadline = (this.#deadline = compileDeadline(exchange, action.timeoutMs, retry?.perTryTimeoutMs ?? null))
    // Before the operations of the rule, which may take these headers away.
    deadline.tell(exchange, 0)
    if (exchange.epoch.mesh.attemptCountHeader) exchange.headers.push('x-envoy-attempt-count', '1')
    destination.editRequest?.(exchange.headers, exchange)
    editRequest?.(exchange.headers, exchange)
    destination.rewrite?.(exchange)

    if (plan.transport.kind === 'unsupported') return this.#refuse(plan.transport.reason)

    if (exchange.epoch.mesh.preserveHeaderCase) exchange.requestSpelling = spellingOf(exchange.req.rawHeaders)
    this.#hash = cluster.hashOf(exchange)
    // A copy of an upgrade would be a tunnel that nobody speaks through.
    if (action.mirrors !== undefined && exchange.upgrade === null)
      this.#mirrors = chooseMirrors(action.mirrors, this.#deps.random)
    if (exchange.body === 'none') this.#onRequestEnd()
    else {
      this.#body = new RequestBody(exchange.req, exchange.epoch.mesh.requestBufferBytes, this.#deps.onPassed, () => {
        this.#onRequestEnd()
      })
    }
    exchange.onClientGone = (flag, details) => {
      this.#onClientGone(flag, details)
    }
    const { warming } = cluster
    if (warming === null) this.#try()
    else {
      void warming.then(() => {
        if (!this.#done) this.#try()
      })
    }
  }

  onInformational(status: number, headers: HeaderList): void {
    // After a 100 the client has begun to send what no second try would ask for.
    if (status === 100) this.#continued = true
    relayInformational(this.#exchange, status, headers)
  }

  onHead(head: ResponseHead, more: boolean): void {
    const { grpc } = this.#exchange
    this.#cluster!.onResponse(
      this.#endpoint!,
      head.status,
      grpc ? (headerValue(head.headers, 'grpc-status') ?? null) : null,
    )
    const retry = this.#usableRetry
    if (retry !== null && retry.onResponse(head)) {
      const refusal = this.#refuseRetry(retry)
      if (refusal === null) {
        this.#abortTry()
        this.#retryLater(retry)
        return
      }
      this.#exchange.addFlag(refusal)
    }
    this.#commit(head, more)
  }

  onData(chunk: Buffer, last: boolean): boolean {
    this.#deps.onPassed(chunk.length)
    const more = relayData(this.#exchange, chunk, last)
    if (last) this.#finish()
    else if (!more) this.#exchange.res.once('drain', () => this.#stream?.resume())
    return more
  }

  onEnd(trailers: HeaderList | null): void {
    relayEnd(this.#exchange, trailers)
    this.#finish()
  }

  onFailure(reason: FailureReason, detail: string): void {
    const exchange = this.#exchange
    if (this.#stream?.connected !== true) this.#endpoint!.connectFailures++
    this.#cluster!.onLocalFailure(this.#endpoint!)
    this.#releaseTry()
    exchange.upstream.failureReason = detail
    if (this.#committed) {
      this.#finish()
      cutAnswer(exchange, resetFlag(reason), resetDetails('after', reason, detail))
      return
    }
    this.#retryOr(reason, resetReply(reason, detail, exchange.upstream.attempts > 1))
  }

  onUpgrade(head: ResponseHead, connection: Duplex): void {
    const exchange = this.#exchange
    this.#committed = true
    this.#timers.end()
    exchange.upstream.localAddress = this.#stream!.localAddress
    this.#cluster!.onResponse(this.#endpoint!, head.status, null)
    // From here on the tunnel is all there is: it tells when it ends.
    exchange.onClientGone = null
    openTunnel(exchange, head, connection, {
      idleTimeoutMs: this.#cluster!.plan.idleTimeoutMs,
      onPassed: this.#deps.onPassed,
      onEnd: () => {
        this.#finish()
      },
    })
  }

  onDrain(): void {
    this.#body?.onDrain()
  }

  onQueued(wait: Wait): void {
    this.#wait = wait
  }

  onOverflow(): void {
    this.#wait = null
    this.#releaseTry()
    const { headers: _headers, ...bare } = OVERFLOW
    this.#reply(this.#exchange.epoch.mesh.envoyDebugHeaders ? OVERFLOW : bare)
  }

  /** The connection that this request waited for could not be made by another one. */
  onConnectFailure(reason: FailureReason, detail: string): void {
    this.#wait = null
    this.onFailure(reason, detail)
  }

  onConnection(stream: UpstreamStream): void {
    const exchange = this.#exchange
    this.#wait = null
    this.#stream = stream
    exchange.upstream.protocol = stream.protocol
    stream.send(exchange, this)
    exchange.upstreamStartMono = performance.now()
    if (this.#mirrors !== null && exchange.upstream.attempts === 1) {
      this.#mirrorHead = mirrorHead(exchange)
      if (this.#body === null) this.#mirror(null)
    }
    if (this.#body !== null) this.#body.attach(stream)
    if (this.#requestEndAt !== 0) this.#startPerTryTimer()
  }

  get #clientProtocol(): HttpProtocol {
    return this.#exchange.req.httpVersionMajor === 2 ? 'http2' : 'http1'
  }

  #refuse(reason: string): void {
    this.#exchange.upstream.failureReason = reason
    const { body: _body, ...reply } = resetReply('local-connection-failure', reason, false)
    // The reason is the operator's business: it is in the log, not in the body.
    sendLocalReply(this.#exchange, { ...reply, body: resetReply('local-connection-failure', '', false).body ?? '' })
  }

  #try(): void {
    const exchange = this.#exchange
    const endpoint = this.#cluster!.pick(this.#hash, this.#tried)
    if (endpoint === null) {
      this.#reply(NO_HEALTHY_UPSTREAM)
      return
    }
    const { upstream } = exchange
    upstream.attempts++
    if (upstream.attempts > 1) {
      if (exchange.epoch.mesh.attemptCountHeader) {
        setHeader(exchange.headers, 'x-envoy-attempt-count', String(upstream.attempts))
      }
      const elapsedMs = this.#requestEndAt === 0 ? 0 : performance.now() - this.#requestEndAt
      this.#deadline!.tell(exchange, elapsedMs)
    }
    upstream.endpoint = endpoint.key
    upstream.endpointLabels = endpoint.plan.labels ?? null
    upstream.localAddress = ''
    upstream.protocol = ''
    this.#endpoint = endpoint
    endpoint.active++
    endpoint.total++
    const stream = endpoint.acquire(exchange.authority, this, this.#clientProtocol)
    if (stream !== null) this.onConnection(stream)
  }

  #onRequestEnd(): void {
    const exchange = this.#exchange
    this.#requestEndAt = performance.now()
    if (this.#body !== null) exchange.requestEndMono = this.#requestEndAt
    exchange.bytesReceived = this.#body?.bytes ?? 0
    if (this.#done) return
    this.#timers.startTotal(this.#deadline!.totalMs, () => {
      this.#onTimeout()
    })
    if (this.#stream !== null && !this.#committed) this.#startPerTryTimer()
    if (this.#body !== null && this.#mirrors !== null) this.#mirror(this.#body.whole)
  }

  #startPerTryTimer(): void {
    this.#timers.startPerTry(this.#deadline!.perTryMs, () => {
      this.#onPerTryTimeout()
    })
  }

  #onTimeout(): void {
    // One that only waited says nothing about its endpoint.
    if (this.#stream !== null && !this.#committed) this.#cluster!.onLocalFailure(this.#endpoint!)
    this.#abortTry()
    if (this.#committed) {
      this.#finish()
      cutAnswer(this.#exchange, 'UT', 'response_timeout')
    } else {
      this.#reply(REQUEST_TIMEOUT)
    }
  }

  #onPerTryTimeout(): void {
    this.#cluster!.onLocalFailure(this.#endpoint!)
    this.#abortTry()
    this.#retryOr('per-try-timeout', PER_TRY_TIMEOUT)
  }

  #onClientGone(flag: string, details: string): void {
    const exchange = this.#exchange
    if (this.#done) return
    this.#abortTry()
    if (flag !== '') exchange.addFlag(flag)
    exchange.details = details
    this.#finish()
  }

  /** A try has ended without an answer: another one, or `reply`. */
  #retryOr(reason: Parameters<CompiledRetry['onReset']>[0], reply: LocalReply): void {
    const retry = this.#usableRetry
    if (retry === null || !retry.onReset(reason)) {
      this.#reply(reply)
      return
    }
    const refusal = this.#refuseRetry(retry)
    if (refusal === null) this.#retryLater(retry)
    else this.#reply(reply, refusal)
  }

  /** Null: there is no policy, or none any more, as the request cannot be sent again. */
  get #usableRetry(): CompiledRetry | null {
    if (this.#continued || this.#exchange.res.destroyed) return null
    return this.#body === null || this.#body.replayable ? this.#compiled.retry : null
  }

  /** @returns The flag that says why there is no other try; null: there is one. */
  #refuseRetry(retry: CompiledRetry): string | null {
    if (this.#exchange.upstream.attempts > retry.attempts) return 'URX'
    const { breaker } = this.#cluster!
    if (breaker === null) return null
    if (this.#holdsRetry) breaker.endRetry()
    this.#holdsRetry = breaker.tryStartRetry()
    return this.#holdsRetry ? null : 'UO'
  }

  #retryLater(retry: CompiledRetry): void {
    if (retry.avoidsPreviousHosts(this.#cluster!.plan)) (this.#tried ??= []).push(this.#lastEndpoint!)
    this.#timers.startBackoff(retry.backoffMs(this.#exchange.upstream.attempts), () => {
      this.#try()
    })
  }

  /** The try's answer is the client's from here on. */
  #commit(head: ResponseHead, more: boolean): void {
    const exchange = this.#exchange
    this.#committed = true
    this.#timers.endTry()
    if (this.#mirrors === null) this.#body?.forget()
    exchange.upstream.localAddress = this.#stream!.localAddress
    relayHead(exchange, head, more, this.#requestEndAt)
  }

  #mirror(body: Buffer | null): void {
    // Too long to keep: the copy is given up, as Envoy does.
    if (body === null && this.#body !== null) return
    const request = {
      head: this.#mirrorHead!,
      protocol: this.#clientProtocol,
      body,
      timeoutMs: this.#deadline!.totalMs,
    }
    for (const mirror of this.#mirrors!) sendMirrored(mirror, request, this.#deps)
    this.#mirrors = null
    if (this.#committed) this.#body?.forget()
  }

  #abortTry(): void {
    this.#wait?.cancel()
    this.#wait = null
    this.#stream?.abort()
    this.#releaseTry()
  }

  #releaseTry(): void {
    this.#timers.endTry()
    this.#body?.detach()
    if (this.#endpoint === null) return
    this.#exchange.upstream.localAddress = this.#stream?.localAddress ?? ''
    this.#stream = null
    this.#endpoint.active--
    this.#lastEndpoint = this.#endpoint
    this.#endpoint = null
  }

  #reply(reply: LocalReply, flag?: string): void {
    const exchange = this.#exchange
    this.#finish()
    sendLocalReply(exchange, reply)
    if (flag !== undefined) exchange.addFlag(flag)
  }

  #finish(): void {
    this.#done = true
    if (this.#endpoint !== null) {
      this.#stream = null
      this.#endpoint.active--
      this.#endpoint = null
    }
    if (this.#holdsRetry) {
      this.#holdsRetry = false
      this.#cluster!.breaker?.endRetry()
    }
    this.#timers.end()
    this.#exchange.onClientGone = null
    if (this.#body !== null) {
      this.#exchange.bytesReceived = this.#body.received
      this.#body.discard()
    }
  }
}
