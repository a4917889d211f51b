/**
 * Asks an authorizer that speaks HTTP: the request's method, path and some of its headers go there, and the status of
 * the answer is the verdict.
 *
 * Source: envoy: source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc.
 */
import { compileHeaderOperations } from '../../exchange/header-operations.ts'
import type { Exchange, HeaderEdit } from '../../exchange/exchange.ts'
import { type HeaderList, headerValue, removeHeader } from '../../exchange/headers.ts'
import type { ExtAuthzHttpPlan, ExtAuthzProviderPlan } from '../../plan/ext-authz.ts'
import type { Cluster } from '../../upstreams/cluster.ts'
import type { Wait } from '../../upstreams/connection-gate.ts'
import type { ConnectionWaiter } from '../../upstreams/connection-pool.ts'
import type { Endpoint } from '../../upstreams/endpoint.ts'
import type { FailureReason } from '../../upstreams/failure-reason.ts'
import type { ResponseHandler, ResponseHead, UpstreamRequest, UpstreamStream } from '../../upstreams/stream.ts'
import type { Clusters } from './ext-authz.ts'
import { compileNames, pickHeaders } from './header-rules.ts'
import { type CheckedBody, type Checker, MAX_ANSWER_BYTES, PARTIAL_BODY_HEADER, type Verdict } from './verdict.ts'

/** By this header an HTTP authorizer says what is to be taken off the request, names with commas between them. */
const REMOVE_HEADER = 'x-envoy-auth-headers-to-remove'

/** Sent with every check besides method, path and Host. */
const ALWAYS_SENT = ['authorization']

/** Added to a list of headers for a refused client that is not empty. */
const ALWAYS_TOLD = ['www-authenticate', 'location']

export function createHttpChecker(
  provider: ExtAuthzProviderPlan,
  protocol: ExtAuthzHttpPlan,
  clusters: Clusters,
): Checker {
  const writeHead = compileHead(protocol)
  const judge = compileJudge(protocol)
  return (exchange, body, done) => {
    const cluster = clusters.get(provider.cluster)
    if (cluster === undefined) {
      done({ kind: 'error', reason: 'its cluster is not known' })
      return () => {}
    }
    const check = new Check(
      cluster,
      { serverName: provider.host, head: writeHead(exchange, body), body },
      (head, answer) => done(judge(head, answer)),
      (reason) => done({ kind: 'error', reason }),
    )
    check.start()
    return () => {
      check.cancel()
    }
  }
}

function compileHead(protocol: ExtAuthzHttpPlan): (exchange: Exchange, body: CheckedBody | null) => UpstreamRequest {
  const isListed = compileNames(protocol.requestHeaders)
  const isSent = (name: string) => name !== PARTIAL_BODY_HEADER && (ALWAYS_SENT.includes(name) || isListed(name))
  const addOwn: HeaderEdit | null = compileHeaderOperations({ remove: [], set: protocol.additionalHeaders, add: [] })
  return (exchange, body) => {
    const picked: HeaderList = pickHeaders(exchange.headers, isSent)
    if (body !== null) picked.push(PARTIAL_BODY_HEADER, String(body.partial))
    addOwn?.(picked, exchange)
    removeHeader(picked, 'host')
    const headers = pickHeaders(picked, () => true)
    const length = body?.bytes.length ?? 0
    headers.push('content-length', String(length))
    const { method, path, authority, scheme } = exchange
    const target = protocol.pathPrefix + path
    return {
      method,
      path: target,
      authority,
      scheme,
      headers,
      body: length === 0 ? 'none' : 'length',
      requestSpelling: null,
      upgrade: null,
    }
  }
}

/** @returns What an answer that has arrived whole means. */
function compileJudge(protocol: ExtAuthzHttpPlan): (head: ResponseHead, body: Buffer) => Verdict {
  const isForUpstream = compileNames(protocol.upstreamOnAllow)
  const isForClient = compileNames(protocol.downstreamOnAllow)
  const isListedForRefused = compileNames(protocol.downstreamOnDeny)
  const isForRefused =
    protocol.downstreamOnDeny.length === 0
      ? (name: string) => name !== 'host' && name !== REMOVE_HEADER
      : (name: string) => name !== REMOVE_HEADER && (ALWAYS_TOLD.includes(name) || isListedForRefused(name))
  return ({ status, headers }, body) => {
    if (status >= 500) return { kind: 'error', reason: `it answered with status ${status}` }
    if (status !== 200) return { kind: 'deny', status, headers: pickHeaders(headers, isForRefused), body }
    return {
      kind: 'allow',
      requestHeaders: changes(pickHeaders(headers, isForUpstream), 'set'),
      removedHeaders: (headerValue(headers, REMOVE_HEADER) ?? '')
        .split(',')
        .map((name) => name.trim().toLowerCase())
        .filter((name) => name !== ''),
      responseHeaders: changes(pickHeaders(headers, isForClient), 'add'),
      query: { set: [], remove: [] },
    }
  }
}

function changes<How extends 'set' | 'add'>(headers: HeaderList, how: How) {
  const all: { name: string; value: string; how: How | 'add' }[] = []
  const seen = new Set<string>()
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    // Another line of the same name stands beside the first; what the client sent is gone with that.
    all.push({ name, value: headers[i + 1]!, how: seen.has(name) ? 'add' : how })
    seen.add(name)
  }
  return all
}

interface CheckRequest {
  /** Name that the authorizer's certificate has to be for, where its cluster does not say; never the client's Host. */
  readonly serverName: string
  readonly head: UpstreamRequest
  readonly body: CheckedBody | null
}

/** One check, from the choice of an endpoint to the last byte of the answer. */
class Check implements ResponseHandler, ConnectionWaiter {
  readonly #cluster: Cluster
  readonly #request: CheckRequest
  readonly #onAnswer: (head: ResponseHead, body: Buffer) => void
  readonly #onError: (reason: string) => void
  #endpoint: Endpoint | null = null
  #connection: UpstreamStream | null = null
  #wait: Wait | null = null
  #head: ResponseHead | null = null
  readonly #chunks: Buffer[] = []
  #length = 0
  #tries = 0
  #done = false

  constructor(
    cluster: Cluster,
    request: CheckRequest,
    onAnswer: (head: ResponseHead, body: Buffer) => void,
    onError: (reason: string) => void,
  ) {
    this.#cluster = cluster
    this.#request = request
    this.#onAnswer = onAnswer
    this.#onError = onError
  }

  start(): void {
    const { plan, warming } = this.#cluster
    if (plan.transport.kind === 'unsupported') return this.#fail(plan.transport.reason)
    if (warming === null) this.#try()
    else void warming.then(() => this.#try())
  }

  /** Nothing is called afterwards. */
  cancel(): void {
    this.#wait?.cancel()
    this.#connection?.abort()
    this.#settle()
  }

  onQueued(wait: Wait): void {
    this.#wait = wait
  }

  onOverflow(): void {
    this.#fail('there are too many requests to its cluster')
  }

  onConnectFailure(reason: FailureReason, detail: string): void {
    this.#fail(`connecting to it failed: ${detail || reason}`)
  }

  onConnection(connection: UpstreamStream): void {
    const { head, body } = this.#request
    this.#wait = null
    this.#connection = connection
    connection.send(head, this)
    if (head.body === 'none') return
    connection.write(body!.bytes)
    connection.endRequest(null)
  }

  onInformational(): void {}

  onHead(head: ResponseHead): void {
    this.#cluster.onResponse(this.#endpoint!, head.status, null)
    this.#head = head
  }

  onData(chunk: Buffer, last: boolean): boolean {
    this.#length += chunk.length
    if (this.#length > MAX_ANSWER_BYTES) {
      this.#connection?.abort()
      this.#fail(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    } else {
      this.#chunks.push(chunk)
      if (last) this.onEnd()
    }
    return true
  }

  onEnd(): void {
    if (this.#done) return
    this.#settle()
    this.#onAnswer(this.#head!, Buffer.concat(this.#chunks))
  }

  onFailure(reason: FailureReason, detail: string): void {
    const connection = this.#connection!
    const endpoint = this.#endpoint!
    if (!connection.connected) endpoint.connectFailures++
    this.#cluster.onLocalFailure(endpoint)
    // An idle connection may be closed by its other side just then; nothing has been decided, so it is asked again.
    const mayRetry = reason === 'connection-termination' && connection.reused && this.#head === null
    if (mayRetry && this.#tries === 1) {
      endpoint.active--
      this.#endpoint = null
      this.#try()
    } else {
      this.#fail(`${connection.connected ? 'it broke off' : 'connecting to it failed'}: ${detail || reason}`)
    }
  }

  onDrain(): void {}

  #try(): void {
    if (this.#done) return
    const endpoint = this.#cluster.pick(null, null)
    if (endpoint === null) return this.#fail('it has no healthy endpoint')
    this.#tries++
    this.#endpoint = endpoint
    endpoint.active++
    endpoint.total++
    const connection = endpoint.acquire(this.#request.serverName, this)
    if (connection !== null) this.onConnection(connection)
  }

  #fail(reason: string): void {
    if (this.#done) return
    this.#settle()
    this.#onError(reason)
  }

  #settle(): void {
    if (this.#done) return
    this.#done = true
    if (this.#endpoint !== null) this.#endpoint.active--
  }
}
