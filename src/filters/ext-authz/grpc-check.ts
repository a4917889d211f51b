/**
 * Asks an authorizer that speaks `envoy.service.auth.v3` over gRPC, such as the Open Policy Agent.
 *
 * Source: envoy: source/extensions/filters/common/ext_authz/{check_request_utils,ext_authz_grpc_impl}.cc.
 */
import type { Exchange } from '../../exchange/exchange.ts'
import { portOf, withoutPort } from '../../exchange/connection.ts'
import { type HeaderList, headerValue } from '../../exchange/headers.ts'
import { isHeaderName } from '../../lib/names.ts'
import type { ExtAuthzProviderPlan } from '../../plan/ext-authz.ts'
import type { Cluster } from '../../upstreams/cluster.ts'
import type { Endpoint } from '../../upstreams/endpoint.ts'
import type { Clusters } from './ext-authz.ts'
import type { GrpcChannels, PendingCall } from './grpc-channel.ts'
import { fromHeaderValue, isConnectionHeader, toHeaderValue } from './header-rules.ts'
import {
  CHECK_PATH,
  type CheckCodec,
  type CheckRequest,
  type CheckResponse,
  type HeaderValueOption,
  loadCheckCodec,
  type Peer,
} from './messages.ts'
import {
  type CheckedBody,
  type Checker,
  type HeaderChange,
  type HeaderChangeKind,
  PARTIAL_BODY_HEADER,
  type Verdict,
} from './verdict.ts'

export function createGrpcChecker(provider: ExtAuthzProviderPlan, clusters: Clusters, channels: GrpcChannels): Checker {
  const packAsBytes = provider.body?.packAsBytes === true
  let codec: CheckCodec | null = null
  // Begun with the plan, so that the first request need not wait for it.
  const loading = loadCheckCodec().then((loaded) => {
    codec = loaded
  })
  loading.catch(() => {})
  return (exchange, body, done) => {
    const check = new GrpcCheck(provider, clusters, channels, done)
    const start = (): void => {
      check.start(codec!, codec!.encode(checkRequest(exchange, body, packAsBytes)))
    }
    if (codec !== null) start()
    else {
      loading.then(start).catch((error: unknown) => {
        check.fail(`the check cannot be made: ${String(error)}`)
      })
    }
    return (timedOut) => {
      check.cancel(timedOut)
    }
  }
}

/** One check, from the choice of an endpoint to the verdict. */
class GrpcCheck {
  readonly #provider: ExtAuthzProviderPlan
  readonly #clusters: Clusters
  readonly #channels: GrpcChannels
  readonly #finish: (verdict: Verdict) => void
  #endpoint: Endpoint | null = null
  #pending: PendingCall | null = null
  #tries = 0
  #done = false

  constructor(
    provider: ExtAuthzProviderPlan,
    clusters: Clusters,
    channels: GrpcChannels,
    finish: (verdict: Verdict) => void,
  ) {
    this.#provider = provider
    this.#clusters = clusters
    this.#channels = channels
    this.#finish = finish
  }

  start(codec: CheckCodec, message: Buffer): void {
    if (this.#done) return
    const cluster = this.#clusters.get(this.#provider.cluster)
    if (cluster === undefined) return this.fail('its cluster is not known')
    const { transport } = cluster.plan
    if (transport.kind === 'unsupported') return this.fail(transport.reason)
    const { warming } = cluster
    if (warming === null) this.#try(cluster, codec, message)
    else void warming.then(() => this.#try(cluster, codec, message))
  }

  fail(reason: string): void {
    this.#settle({ kind: 'error', reason })
  }

  cancel(timedOut: boolean): void {
    if (this.#done) return
    this.#done = true
    this.#release()
    this.#pending?.cancel(timedOut)
  }

  #try(cluster: Cluster, codec: CheckCodec, message: Buffer): void {
    if (this.#done) return
    const endpoint = cluster.pick(null, null)
    if (endpoint === null) return this.fail('it has no healthy endpoint')
    this.#tries++
    this.#endpoint = endpoint
    endpoint.active++
    endpoint.total++
    const { cluster: name, host, timeoutMs } = this.#provider
    // As Istio writes it: `|` cannot stand in an authority.
    const call = { path: CHECK_PATH, authority: name.replaceAll('|', '_.'), host, message, timeoutMs }
    this.#pending = this.#channels.call(endpoint, cluster.plan, call, {
      onMessage: (bytes) => {
        cluster.onResponse(endpoint, 200, '0')
        this.#settle(decodeVerdict(codec, bytes))
      },
      onFailure: (reason, unsent) => {
        cluster.onLocalFailure(endpoint)
        if (this.#done) return
        if (unsent && this.#tries === 1) {
          this.#release()
          this.#try(cluster, codec, message)
        } else {
          this.fail(reason)
        }
      },
    })
  }

  #settle(verdict: Verdict): void {
    if (this.#done) return
    this.#done = true
    this.#release()
    this.#finish(verdict)
  }

  #release(): void {
    if (this.#endpoint !== null) this.#endpoint.active--
    this.#endpoint = null
  }
}

/** What the authorizer is told of a request. */
export function checkRequest(exchange: Exchange, body: CheckedBody | null, packAsBytes: boolean): CheckRequest {
  const { startedAt } = exchange
  return {
    attributes: {
      source: peer(exchange.peerAddress),
      destination: peer(exchange.localAddress),
      request: {
        time: { seconds: Math.floor(startedAt / 1000), nanos: Math.floor(startedAt % 1000) * 1_000_000 },
        http: {
          id: exchange.requestId,
          method: exchange.method,
          headers: headerMap(exchange, body),
          path: fromHeaderValue(exchange.path),
          host: exchange.authority,
          scheme: exchange.scheme,
          size: sizeOf(exchange, body),
          protocol: `HTTP/${exchange.req.httpVersionMajor === 2 ? '2' : exchange.req.httpVersion}`,
          ...(body === null ? {} : packAsBytes ? { rawBody: body.bytes } : { body: body.bytes.toString('utf8') }),
        },
      },
    },
  }
}

function peer(addressAndPort: string): Peer {
  return {
    address: {
      socketAddress: { address: withoutPort(addressAndPort), portValue: Math.max(0, portOf(addressAndPort)) },
    },
  }
}

/** All of them, pseudo-headers too; lines of one name joined by commas. */
function headerMap(exchange: Exchange, body: CheckedBody | null): Record<string, string> {
  const { headers } = exchange
  const map = new Map([
    [':authority', exchange.authority],
    [':method', exchange.method],
    [':path', fromHeaderValue(exchange.path)],
    [':scheme', exchange.scheme],
  ])
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    // Only the gateway says this.
    if (name === PARTIAL_BODY_HEADER) continue
    const present = map.get(name)
    const value = fromHeaderValue(headers[i + 1]!)
    map.set(name, present === undefined ? value : `${present},${value}`)
  }
  if (body !== null) map.set(PARTIAL_BODY_HEADER, String(body.partial))
  return Object.fromEntries(map)
}

function sizeOf(exchange: Exchange, body: CheckedBody | null): number {
  if (exchange.body === 'none') return 0
  if (exchange.body === 'length') return Number(headerValue(exchange.headers, 'content-length'))
  return body === null || body.partial ? -1 : body.bytes.length
}

/** Bytes of an answer → what they mean. */
export function decodeVerdict(codec: CheckCodec, bytes: Buffer): Verdict {
  let response: CheckResponse
  try {
    response = codec.decode(bytes)
  } catch {
    return { kind: 'error', reason: 'its answer cannot be read' }
  }
  const { status, deniedResponse, okResponse } = response
  const code = status?.code ?? 0
  // A refusal is one whatever the status says: Envoy would let it through where that was forgotten.
  if (code !== 0 || deniedResponse != null) return denied(deniedResponse ?? {})
  if (okResponse != null) return allowed(okResponse)
  // A message without anything in it is what another service would answer, too.
  if (status == null) return { kind: 'error', reason: 'its answer is empty' }
  return allowed({})
}

/** What is wrong in a refusal is left out: it stays one. */
function denied({ status, headers = [], body = '' }: NonNullable<CheckResponse['deniedResponse']>): Verdict {
  const kept: HeaderList = []
  for (const option of headers) {
    const [name, value] = readHeader(option)
    if (value !== null && isHeaderName(name) && !isConnectionHeader(name)) kept.push(name, value)
  }
  const code = status?.code ?? 0
  return { kind: 'deny', status: code >= 200 && code <= 599 ? code : 403, headers: kept, body }
}

function allowed(ok: NonNullable<CheckResponse['okResponse']>): Verdict {
  const requestHeaders = readChanges(ok.headers, 'set')
  const responseHeaders = readChanges(ok.responseHeadersToAdd, 'add')
  if (requestHeaders === null || responseHeaders === null) {
    return { kind: 'error', reason: 'it wants to set a header that cannot be one' }
  }
  return {
    kind: 'allow',
    requestHeaders,
    removedHeaders: (ok.headersToRemove ?? []).map((name) => name.toLowerCase()),
    responseHeaders,
    query: {
      set: (ok.queryParametersToSet ?? []).map(({ key = '', value = '' }) => [key, value] as const),
      remove: ok.queryParametersToRemove ?? [],
    },
  }
}

/** `HeaderAppendAction` by number; 0 is also what is there where nothing was said. */
const APPEND_ACTIONS: Readonly<Record<number, HeaderChangeKind>> = { 1: 'add-if-absent', 2: 'set', 3: 'overwrite' }

/** @param otherwise What is done where the authorizer does not say. @returns Null: there is one that is no header. */
function readChanges(
  options: readonly HeaderValueOption[] = [],
  otherwise: 'set' | 'add',
): readonly HeaderChange[] | null {
  const changes: HeaderChange[] = []
  for (const option of options) {
    const [name, value] = readHeader(option)
    if (value === null || !(isHeaderName(name) || name.startsWith(':'))) return null
    changes.push({ name, value, how: howOf(option, otherwise) })
  }
  return changes
}

/**
 * `append` is the older field and counts where it is given. Without either, a header of the request is replaced, as the
 * message's description says: appended to, what a client claims would stand in front of what the authorizer found.
 */
function howOf({ append, appendAction = 0 }: HeaderValueOption, otherwise: 'set' | 'add'): HeaderChangeKind {
  if (append != null) return append.value !== true ? 'set' : otherwise === 'add' ? 'add' : 'append'
  return APPEND_ACTIONS[appendAction] ?? otherwise
}

function readHeader({ header = {} }: HeaderValueOption): readonly [name: string, value: string | null] {
  const { key = '', value = '', rawValue } = header
  const text = rawValue !== undefined && rawValue.length > 0 ? rawValue.toString('utf8') : value
  return [key.toLowerCase(), toHeaderValue(text)]
}
