/**
 * One request and its answer while they pass through the gateway: the only state that listeners, routing, filters,
 * forwarding, the access log and metrics share. Every field is there from the beginning, so that the engine sees one
 * shape; what is not known yet is null, zero or empty.
 */
import type { Duplex } from 'node:stream'
import type { MeshPlan } from '../plan/plan.ts'
import type { RoutePlan } from '../plan/route.ts'
import type { Spelling } from './header-case.ts'
import type { ClientCertificate } from './client-certificate.ts'
import type { ClientRequest, ClientResponse } from './client-message.ts'
import type { EgressFacts } from './egress.ts'
import { headerValue, type HeaderList } from './headers.ts'

/** Changes a list of headers in place. */
export type HeaderEdit = (headers: HeaderList, exchange: Exchange) => void

/** What every request of one listener has in common. */
export interface ListenerFacts {
  /** The Gateway server's port. */
  readonly port: number
  readonly tls: boolean
  /** Name of the route table that is asked. */
  readonly routeTable: string
  /**
   * Whether a host has no routes here because another TLS server of the port takes it, although this connection's
   * certificate is for it too (RFC 9110 §15.5.20). Absent: there is no other.
   */
  misdirects?(host: string): boolean
  /** The gateway is ending: every answer asks its client to connect elsewhere. */
  readonly draining: boolean
}

/** What the data plane was told last, as far as one request needs it. */
export interface Epoch {
  readonly mesh: MeshPlan
  /** Number and content hash of the plan that the request began with, for example `12-9f86d081`. */
  readonly generation: string
  /** Name of the response header that carries the generation (lower case), or null. */
  readonly generationHeader: string | null
}

/** A JSON Web Token of the request that was found to be good. */
export interface VerifiedToken {
  /** `iss` and `sub`; empty where the token has none. */
  readonly issuer: string
  readonly subject: string
  readonly audiences: readonly string[]
  /** `azp`, or empty. */
  readonly presenter: string
  readonly claims: Readonly<Record<string, unknown>>
}

/** A wish of the client to go on with another protocol on its connection. */
export interface Upgrade {
  /** As the client wrote it, for example `websocket`. */
  readonly protocol: string
  /** The client's side from the head of the answer on; to be asked for once that is written. */
  readonly connection: () => Duplex
  /** To be called when the connection that was switched is over. */
  readonly onEnd: () => void
}

/** Where the answer came from; filled in by the forwarder at each try. */
export interface UpstreamFacts {
  /** Cluster name, or empty before one was chosen. */
  cluster: string
  serviceHost: string
  serviceName: string
  serviceNamespace: string
  /** `ADDRESS:PORT` of the endpoint of the last try, or empty. */
  endpoint: string
  endpointLabels: Readonly<Record<string, string>> | null
  localAddress: string
  /** `HTTP/1.1` or `HTTP/2` of the last try, or empty before one. */
  protocol: string
  /** Tries so far. */
  attempts: number
  /** From the end of the request to the start of the answer, in ms; -1: no answer came. */
  serviceTimeMs: number
  /** Why the connection to the endpoint failed, in Envoy's words; or empty. */
  failureReason: string
}

export class Exchange {
  readonly req: ClientRequest
  readonly res: ClientResponse
  /** The explicit forward proxy sets facts of its own once it knows the target. */
  listener: ListenerFacts
  readonly epoch: Epoch
  /** Milliseconds since 1970, and on the monotonic clock. */
  readonly startedAt: number
  readonly startedMono: number

  method = ''
  /** Normalised path with query: what routing saw. Later the path that goes upstream (rewritten). */
  path = ''
  /** The same without its query. */
  pathname = ''
  /** From `?` on, or empty. */
  query = ''
  /** `:authority` as received, port included; later what goes upstream as Host. */
  authority = ''
  /** The authority in lower case, without its port. */
  host = ''
  scheme: 'http' | 'https' = 'http'
  /** Headers that go upstream: hop-by-hop and forgeable ones are gone, the edge's own are in. Without Host. */
  headers: HeaderList = []
  /** TCP peer `ADDRESS:PORT`, and the client that it is trusted to speak for (the same without trusted proxies). */
  peerAddress = ''
  clientAddress = ''
  /** `ADDRESS:PORT` that the client connected to. */
  localAddress = ''
  /** What the client has shown in the TLS handshake; null: nothing. */
  clientCertificate: ClientCertificate | null = null
  requestId = ''
  /** What the client asked for in TLS that does not end here (SNI); empty otherwise, see `requestedServerName`. */
  serverName = ''
  /** The request's content-type is gRPC: local replies are then trailers-only gRPC answers. */
  grpc = false
  /** How the request's body is framed; its bytes are still in `req`. */
  body: 'none' | 'length' | 'chunked' = 'none'
  /** Null: an ordinary request. */
  upgrade: Upgrade | null = null

  /** What RequestAuthentication found, in the order of its rules; empty: no token. */
  tokens: readonly VerifiedToken[] = []
  route: RoutePlan | null = null
  /** Which of a forwarding route's destinations was drawn; -1: none yet. */
  destination = -1
  /** The route's and destination's response header operations, compiled; local replies get them too. Null: none. */
  responseOperations: HeaderEdit | null = null
  /** What filters want done to the response's headers (CORS), after the route's operations. Null: nothing. */
  responseEdits: HeaderEdit[] | null = null
  /** RateLimitPolicies that have been checked; null: none yet. */
  checkedLimits: readonly string[] | null = null
  /** Fewest hits left of the limits that the answer tells of; Infinity: it tells of none. */
  limitsLeft = Number.POSITIVE_INFINITY
  readonly upstream: UpstreamFacts = {
    cluster: '',
    serviceHost: '',
    serviceName: '',
    serviceNamespace: '',
    endpoint: '',
    endpointLabels: null,
    localAddress: '',
    protocol: '',
    attempts: 0,
    serviceTimeMs: -1,
    failureReason: '',
  }

  /** Status sent to the client; 0 until then. */
  status = 0
  /** Response flags joined by `,`; empty: none. */
  flags = ''
  details = ''
  terminationDetails = ''
  /** Body bytes from and to the client. */
  bytesReceived = 0
  bytesSent = 0
  /** Bytes of the heads, for Istio's size histograms. */
  requestHeadBytes = 0
  responseHeadBytes = 0
  /** Headers that went to the client; null before. */
  responseHeaders: HeaderList | null = null
  /** How the client, and the upstream, wrote the names of their headers; null: in lower case they go out. */
  requestSpelling: Spelling | null = null
  responseSpelling: Spelling | null = null
  /** gRPC status of the answer, or empty. */
  grpcStatus = ''
  /** Moments on the monotonic clock; 0: not yet. The request's last byte came, the last try was sent. */
  requestEndMono = 0
  upstreamStartMono = 0
  /** The upstream's response head came, and the head of whatever answer there is went out. */
  upstreamHeadMono = 0
  responseStartMono = 0
  /**
   * Nothing more can come from the client, or be sent to it; set by whoever has something to give up then. It is told
   * the response flag and details, which say why.
   */
  onClientGone: ((flag: string, details: string) => void) | null = null
  /** Set by the explicit forward proxy. Null: it came another way. */
  egress: EgressFacts | null = null
  /** It is one of the requests that the gateway's own load is measured by. */
  countsAsActive = false
  /** Set once the exchange was logged and counted. */
  finished = false

  constructor(
    req: ClientRequest,
    res: ClientResponse,
    listener: ListenerFacts,
    epoch: Epoch,
    startedAt: number,
    startedMono: number,
  ) {
    this.req = req
    this.res = res
    this.listener = listener
    this.epoch = epoch
    this.startedAt = startedAt
    this.startedMono = startedMono
  }

  /** A request header as matching sees it, pseudo-headers included. `name` in lower case. */
  header(name: string): string | undefined {
    switch (name) {
      case ':path':
        return this.path
      case ':method':
        return this.method
      case ':authority':
      case 'host':
        return this.authority
      case ':scheme':
        return this.scheme
      default:
        return headerValue(this.headers, name)
    }
  }

  addFlag(flag: string): void {
    this.flags = this.flags === '' ? flag : `${this.flags},${flag}`
  }
}
