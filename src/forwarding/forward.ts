/**
 * Forwards a request to an endpoint of its destination and the answer back, both as they arrive. One object per
 * request holds what must be remembered between the turns of the event loop.
 *
 * A try ends in `#commit` (its answer goes to the client), in another try, or in a local reply. All that can go wrong
 * is a row of failure.ts.
 */
import type { Exchange, HeaderEdit } from '../exchange/exchange.ts'
import { headerValue, setHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { compileHeaderOperations } from '../exchange/header-operations.ts'
import type { ForwardAction, RoutePlan, WeightedDestination } from '../plan/route.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import type { Endpoint } from '../upstreams/endpoint.ts'
import type { FailureReason } from '../upstreams/failure-reason.ts'
import type { Http1Connection, ResponseHandler } from '../upstreams/http1/connection.ts'
import type { ResponseHead } from '../upstreams/http1/response-head.ts'
import {
  CLUSTER_NOT_FOUND,
  NO_HEALTHY_UPSTREAM,
  PER_TRY_TIMEOUT,
  REQUEST_TIMEOUT,
  resetDetails,
  resetFlag,
  resetReply,
} from './failure.ts'
import { chooseMirrors, type MirrorDeps, sendMirrored, shadowAuthority } from './mirror.ts'
import { sendLocalReply } from './reply.ts'
import { RequestBody } from './request-body.ts'
import { requestHead } from './request-head.ts'
import { endToEndHeaders, sendHead } from './response-head.ts'
import { type CompiledRetry, compileRetry } from './retry.ts'
import { compileRewrite, type Rewrite } from './rewrite.ts'
import { grpcTimeoutMs, MAX_TIMER_MS } from './timeout.ts'

export type ForwardDeps = MirrorDeps

interface CompiledDestination {
  readonly cluster: string
  readonly weight: number
  readonly editRequest: HeaderEdit | null
  readonly editResponse: HeaderEdit | null
  readonly rewrite: Rewrite | null
}

interface CompiledForward {
  readonly action: ForwardAction
  readonly choose: () => CompiledDestination
  readonly editRequest: HeaderEdit | null
  readonly retry: CompiledRetry | null
}

/** @returns What forwards a request whose filters have all passed. */
export function compileForward(
  route: RoutePlan & { readonly action: ForwardAction },
  deps: ForwardDeps,
): (exchange: Exchange) => void {
  const { action } = route
  const compiled: CompiledForward = {
    action,
    choose: compileChoice(
      action.destinations.map((destination) => compileDestination(action, destination)),
      deps.random,
    ),
    editRequest: compileHeaderOperations(route.requestHeaders),
    retry: action.retry === null ? null : compileRetry(action.retry, deps.random),
  }
  return (exchange) => {
    new Forwarding(exchange, compiled, deps).start()
  }
}

function compileDestination(action: ForwardAction, destination: WeightedDestination): CompiledDestination {
  return {
    cluster: destination.cluster,
    weight: destination.weight,
    editRequest: compileHeaderOperations(destination.requestHeaders),
    editResponse: compileHeaderOperations(destination.responseHeaders),
    rewrite: compileRewrite(action.pathRewrite, action.hostRewrite ?? destination.hostRewrite),
  }
}

function compileChoice(destinations: readonly CompiledDestination[], random: () => number): () => CompiledDestination {
  const last = destinations.at(-1)!
  if (destinations.length === 1) return () => last
  let total = 0
  const bounds = destinations.map(({ weight }) => (total += weight))
  return () => {
    const at = random() * total
    for (let i = 0; i < bounds.length; i++) if (at < bounds[i]!) return destinations[i]!
    return last
  }
}

/** Bodies up to this size are joined with their head; beyond it the copy costs more than it saves. */
const JOINED_BYTES = 16 * 1024

class Forwarding implements ResponseHandler {
  readonly #exchange: Exchange
  readonly #compiled: CompiledForward
  readonly #deps: ForwardDeps
  #destination: CompiledDestination | null = null
  #cluster: Cluster | null = null
  #endpoint: Endpoint | null = null
  #lastEndpoint: Endpoint | null = null
  #tried: Endpoint[] | null = null
  #connection: Http1Connection | null = null
  #body: RequestBody | null = null
  #mirrors: ReturnType<typeof chooseMirrors> | null = null
  #timeoutMs: number | null = null
  #timeoutTimer: NodeJS.Timeout | null = null
  #perTryTimer: NodeJS.Timeout | null = null
  #backoffTimer: NodeJS.Timeout | null = null
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
    const { action, editRequest } = this.#compiled
    const destination = (this.#destination = this.#compiled.choose())
    const { upstream } = exchange
    upstream.cluster = destination.cluster
    const cluster = this.#deps.clusters.get(destination.cluster)
    if (cluster === undefined) {
      sendLocalReply(exchange, CLUSTER_NOT_FOUND)
      return
    }
    this.#cluster = cluster
    const { plan } = cluster
    upstream.serviceHost = plan.host
    upstream.serviceName = plan.service.name
    upstream.serviceNamespace = plan.service.namespace

    destination.editRequest?.(exchange.headers, exchange)
    editRequest?.(exchange.headers, exchange)
    destination.rewrite?.(exchange)

    if (plan.transport.kind === 'unsupported') return this.#refuse(plan.transport.reason)
    if (plan.protocol === 'http2') return this.#refuse('HTTP/2 to upstreams is not served by this version')

    this.#timeoutMs = exchange.grpc
      ? grpcTimeoutMs(headerValue(exchange.headers, 'grpc-timeout'), action.timeoutMs)
      : action.timeoutMs
    if (action.mirrors !== undefined) this.#mirrors = chooseMirrors(action.mirrors, this.#deps.random)
    if (exchange.body === 'none') this.#onRequestEnd()
    else {
      this.#body = new RequestBody(exchange.req, exchange.epoch.mesh.requestBufferBytes, () => {
        this.#onRequestEnd()
      })
    }
    exchange.onClientGone = () => {
      this.#onClientGone()
    }
    const { warming } = cluster
    if (warming === null) this.#try()
    else {
      void warming.then(() => {
        if (!this.#done) this.#try()
      })
    }
  }

  onInformational(status: number, headers: string[]): void {
    const { res } = this.#exchange
    if (status === 100) {
      this.#continued = true
      res.writeContinue()
    } else if (status === 103) {
      const links = headerValue(headers, 'link')
      if (links !== undefined) res.writeEarlyHints({ link: links })
    }
  }

  onHead(head: ResponseHead, more: boolean): void {
    const exchange = this.#exchange
    const retry = this.#compiled.retry
    if (retry !== null && retry.onResponse(head)) {
      if (this.#mayRetry(retry)) {
        this.#abortTry()
        this.#retryLater(retry)
        return
      }
      exchange.addFlag('URX')
    }
    this.#commit(head, more)
  }

  onData(chunk: Buffer, last: boolean): boolean {
    const exchange = this.#exchange
    exchange.bytesSent += chunk.length
    if (last) {
      // Text joins the head in one write; bytes would go out beside it in a writev, which costs more.
      if (chunk.length <= JOINED_BYTES) exchange.res.end(chunk.toString('latin1'), 'latin1')
      else exchange.res.end(chunk)
      this.#finish()
      return true
    }
    if (exchange.res.write(chunk)) return true
    exchange.res.once('drain', () => this.#connection?.resume())
    return false
  }

  onEnd(): void {
    this.#exchange.res.end()
    this.#finish()
  }

  onFailure(reason: FailureReason, detail: string): void {
    const exchange = this.#exchange
    if (!this.#connection!.connected) this.#endpoint!.connectFailures++
    this.#releaseTry()
    exchange.upstream.failureReason = detail
    if (this.#committed) {
      exchange.addFlag(resetFlag(reason))
      exchange.details = resetDetails('after', reason, detail)
      this.#finish()
      // A clean end would make half an answer look whole.
      exchange.res.destroy()
      return
    }
    const retry = this.#compiled.retry
    if (retry !== null && retry.onReset(reason)) {
      if (this.#mayRetry(retry)) {
        this.#retryLater(retry)
        return
      }
      this.#reply(resetReply(reason, detail, exchange.upstream.attempts > 1), 'URX')
      return
    }
    this.#reply(resetReply(reason, detail, exchange.upstream.attempts > 1))
  }

  onDrain(): void {
    this.#body?.onDrain()
  }

  #refuse(reason: string): void {
    this.#exchange.upstream.failureReason = reason
    const { body: _body, ...reply } = resetReply('local-connection-failure', reason, false)
    // The reason is the operator's business: it is in the log, not in the body.
    sendLocalReply(this.#exchange, { ...reply, body: resetReply('local-connection-failure', '', false).body ?? '' })
  }

  #try(): void {
    const exchange = this.#exchange
    const endpoint = this.#cluster!.pick(this.#compiled.retry?.avoidPreviousHosts === true ? this.#tried : null)
    if (endpoint === null) {
      this.#reply(NO_HEALTHY_UPSTREAM)
      return
    }
    const { upstream } = exchange
    upstream.attempts++
    upstream.endpoint = endpoint.key
    upstream.endpointLabels = endpoint.plan.labels ?? null
    upstream.localAddress = ''
    this.#endpoint = endpoint
    endpoint.active++
    endpoint.total++
    const connection = (this.#connection = endpoint.acquire())
    connection.send(exchange.method, requestHead(exchange, exchange.authority, upstream.attempts), exchange.body, this)
    if (this.#body !== null) this.#body.attach(connection)
    else if (this.#mirrors !== null && upstream.attempts === 1) this.#mirror(null)
    if (this.#requestEndAt !== 0) this.#startPerTryTimer()
  }

  #onRequestEnd(): void {
    this.#requestEndAt = performance.now()
    this.#exchange.bytesReceived = this.#body?.bytes ?? 0
    if (this.#done || this.#committed) return
    if (this.#timeoutMs !== null) {
      this.#timeoutTimer = setTimeout(
        () => {
          this.#onTimeout()
        },
        Math.min(this.#timeoutMs, MAX_TIMER_MS),
      )
    }
    if (this.#connection !== null) this.#startPerTryTimer()
    if (this.#body !== null && this.#mirrors !== null) this.#mirror(this.#body.whole)
  }

  #startPerTryTimer(): void {
    const perTryTimeoutMs = this.#compiled.retry?.perTryTimeoutMs ?? null
    if (perTryTimeoutMs === null) return
    this.#perTryTimer = setTimeout(
      () => {
        this.#onPerTryTimeout()
      },
      Math.min(perTryTimeoutMs, MAX_TIMER_MS),
    )
  }

  #onTimeout(): void {
    this.#abortTry()
    if (this.#committed) {
      this.#exchange.addFlag('UT')
      this.#exchange.details = 'response_timeout'
      this.#finish()
      this.#exchange.res.destroy()
    } else {
      this.#reply(REQUEST_TIMEOUT)
    }
  }

  #onPerTryTimeout(): void {
    const retry = this.#compiled.retry!
    this.#abortTry()
    if (retry.onReset('per-try-timeout')) {
      if (this.#mayRetry(retry)) {
        this.#retryLater(retry)
        return
      }
      this.#reply(PER_TRY_TIMEOUT, 'URX')
      return
    }
    this.#reply(PER_TRY_TIMEOUT)
  }

  #onClientGone(): void {
    const exchange = this.#exchange
    if (this.#done) return
    this.#abortTry()
    exchange.addFlag('DC')
    exchange.details = 'downstream_remote_disconnect'
    this.#finish()
  }

  #mayRetry(retry: CompiledRetry): boolean {
    if (this.#exchange.upstream.attempts > retry.attempts) return false
    if (this.#continued || this.#exchange.res.destroyed) return false
    return this.#body === null || this.#body.replayable
  }

  #retryLater(retry: CompiledRetry): void {
    if (retry.avoidPreviousHosts) (this.#tried ??= []).push(this.#lastEndpoint!)
    this.#backoffTimer = setTimeout(() => {
      this.#backoffTimer = null
      this.#try()
    }, retry.backoffMs(this.#exchange.upstream.attempts))
  }

  /** The try's answer is the client's from here on. */
  #commit(head: ResponseHead, more: boolean): void {
    const exchange = this.#exchange
    this.#committed = true
    clearTimer(this.#perTryTimer)
    this.#perTryTimer = null
    if (this.#mirrors === null) this.#body?.forget()
    const { upstream } = exchange
    upstream.localAddress = this.#connection!.localAddress
    const headers = endToEndHeaders(head.headers)
    if (this.#requestEndAt !== 0) upstream.serviceTimeMs = Math.floor(performance.now() - this.#requestEndAt)
    if (exchange.epoch.mesh.envoyDebugHeaders) {
      setHeader(headers, 'x-envoy-upstream-service-time', String(Math.max(0, upstream.serviceTimeMs)))
    }
    exchange.details = 'via_upstream'
    if (exchange.grpc) exchange.grpcStatus = headerValue(headers, 'grpc-status') ?? ''
    this.#destination!.editResponse?.(headers, exchange)
    exchange.responseOperations?.(headers, exchange)
    sendHead(exchange, head.status, headers)
    if (!more && head.framing.kind !== 'none') exchange.res.flushHeaders()
  }

  #mirror(body: Buffer | null): void {
    const exchange = this.#exchange
    // Too long to keep: the copy is given up, as Envoy does.
    if (body === null && this.#body !== null) return
    const authority = exchange.epoch.mesh.shadowHostSuffix ? shadowAuthority(exchange.authority) : exchange.authority
    const request = {
      method: exchange.method,
      head: requestHead(exchange, authority, 1),
      body,
      chunked: exchange.body === 'chunked',
      timeoutMs: this.#timeoutMs,
    }
    for (const mirror of this.#mirrors!) sendMirrored(mirror, request, this.#deps)
    this.#mirrors = null
    if (this.#committed) this.#body?.forget()
  }

  #abortTry(): void {
    const connection = this.#connection
    if (connection === null) return
    connection.abort()
    this.#releaseTry()
  }

  #releaseTry(): void {
    clearTimer(this.#perTryTimer)
    this.#perTryTimer = null
    this.#body?.detach()
    if (this.#connection === null) return
    this.#exchange.upstream.localAddress = this.#connection.localAddress
    this.#connection = null
    this.#endpoint!.active--
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
    if (this.#connection !== null) {
      this.#connection = null
      this.#endpoint!.active--
      this.#endpoint = null
    }
    clearTimer(this.#perTryTimer)
    clearTimer(this.#timeoutTimer)
    clearTimer(this.#backoffTimer)
    this.#exchange.onClientGone = null
    if (this.#body !== null) {
      this.#exchange.bytesReceived = this.#body.bytes
      this.#body.discard()
    }
  }
}

function clearTimer(timer: NodeJS.Timeout | null): void {
  if (timer !== null) clearTimeout(timer)
}
