/**
 * TLS to endpoints: what name is asked for, what the peer has to prove, which certificate it is shown.
 *
 * Source: istio `pilot/pkg/networking/core/cluster_tls.go`; envoy `source/common/tls/client_context_impl.cc`.
 */
import { X509Certificate } from 'node:crypto'
import { isIP, Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { ClientContextSource } from '../certificates/client-context.ts'
import type { MaterialStore } from '../certificates/material-store.ts'
import { hasAnyName, isForHost, subjectAltNames } from '../certificates/subject-alt-names.ts'
import type { EndpointPlan, TlsTransport } from '../plan/cluster.ts'
import { MaterialMissing } from './connect-failure.ts'
import { socketAddress } from './socket-address.ts'
import { TlsSessions } from './tls-sessions.ts'

export type UpstreamProtocol = 'http1' | 'http2' | 'tcp'

export interface TlsDialer {
  /**
   * A connection that is being made. It may be used from `secureConnect` on: the peer is verified then. Where material
   * is missing it fails with {@link MaterialMissing} before anything is sent.
   *
   * @param host Host of the request as it goes upstream, with or without its port.
   * @param protocol What is spoken on it; `tcp`: nobody knows. Default: HTTP.
   */
  dial(endpoint: EndpointPlan, host: string, protocol?: UpstreamProtocol): Socket
  /** Connections that may carry each other's requests have the same key. It changes when material does. */
  poolKey(host: string): string
  close(): void
}

export interface TlsDialerDeps {
  readonly materials: MaterialStore
  /** The wall clock, ms since the epoch. */
  readonly now: () => number
  /** Time without traffic before the kernel probes a connection, ms; absent: it does not. */
  readonly tcpKeepaliveMs?: number | undefined
}

/** Names and lengths of a certificate that are told when none of them fits: it is the peer's text. */
const MAX_NAMES_TOLD = 8
const MAX_NAME_TOLD = 100

/** What can be a server name (RFC 6066 §3): no port, no final dot, and no longer than DNS has it. */
const SERVER_NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/

/** @returns A dialer, to be closed when no more connections are to be made. */
export function createTlsDialer(tls: TlsTransport, deps: TlsDialerDeps): TlsDialer {
  return new ContextDialer(tls, deps)
}

class ContextDialer implements TlsDialer {
  readonly #tls: TlsTransport
  readonly #deps: TlsDialerDeps
  readonly #contexts: ClientContextSource
  readonly #sessions = new TlsSessions()
  /** Whether the connection depends on the Host of the request. */
  readonly #byHost: boolean
  /** The material that the sessions were made with. */
  #generation = ''

  constructor(tls: TlsTransport, deps: TlsDialerDeps) {
    this.#tls = tls
    this.#deps = deps
    this.#byHost = tls.sni === null
    this.#contexts = deps.materials.clientContext(tls)
    // Made now, with the plan: the first request does not wait for the system's authorities to be parsed.
    this.#contexts.current()
  }

  dial(endpoint: EndpointPlan, host: string, protocol: UpstreamProtocol = 'http1'): Socket {
    const context = this.#contexts.current()
    if (context === null) return new Socket().destroy(new MaterialMissing(this.#contexts.problem))
    if (context.generation !== this.#generation) {
      this.#generation = context.generation
      this.#sessions.clear()
    }
    const { sni, trust } = this.#tls
    const alpn = alpnOf(this.#tls, protocol)
    const name = normalizeHost(sni ?? host)
    const sessionKey = `${context.generation} ${this.#byHost ? name : ''} ${endpoint.address} ${endpoint.port}`
    const known = this.#sessions.find(sessionKey, this.#deps.now())
    const socket = connect({
      ...socketAddress(endpoint),
      secureContext: context.secureContext,
      rejectUnauthorized: trust.kind !== 'none',
      checkServerIdentity: (_, { raw }) => this.#check(raw, name),
      // An IP address is no server name (RFC 6066 §3), and text that can be none is not sent.
      ...(isIP(name) === 0 && SERVER_NAME.test(name) ? { servername: name } : {}),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(known === null ? {} : { session: known.session }),
    })
    const { tcpKeepaliveMs } = this.#deps
    if (tcpKeepaliveMs !== undefined) socket.once('connect', () => socket.setKeepAlive(true, tcpKeepaliveMs))
    this.#keepSessions(socket, sessionKey, known?.expiresAt ?? 0)
    return socket
  }

  poolKey(host: string): string {
    const generation = this.#contexts.current()?.generation ?? '-'
    return this.#byHost ? `${generation} ${normalizeHost(host)}` : generation
  }

  close(): void {
    this.#contexts.close()
    this.#sessions.clear()
  }

  /** @param name Whom the connection is for. @returns What is wrong with the peer's names. */
  #check(raw: Buffer | undefined, name: string): Error | undefined {
    if (raw === undefined) return new Error('empty certificate chain')
    const certificate = new X509Certificate(raw)
    const { subjectAltNames: wanted, sni } = this.#tls
    const fits = wanted.length > 0 ? hasAnyName(certificate, wanted) : sni !== null || isForHost(certificate, name)
    return fits ? undefined : new Error(`SAN matcher, certificate SANs are [${tellNames(certificate)}]`)
  }

  /**
   * Keeps sessions of peers that have proved who they are. TLS 1.2 offers one before that, TLS 1.3 after.
   *
   * @param knownExpiry Where a session is resumed, and the peer shows no certificate.
   */
  #keepSessions(socket: TLSSocket, key: string, knownExpiry: number): void {
    let early: Buffer | null = null
    let verified = false
    const keep = (session: Buffer) => {
      const expiresAt = socket.getPeerX509Certificate()?.validToDate.getTime() ?? knownExpiry
      this.#sessions.keep(key, { session, expiresAt })
    }
    socket.on('session', (session: Buffer) => {
      if (verified) keep(session)
      else early = session
    })
    socket.once('secureConnect', () => {
      verified = true
      if (early !== null) keep(early)
    })
  }
}

/**
 * What is not known is not promised; the mesh's mark stays, so that a sidecar knows its own. Not `istio-peer-exchange`: who
 * picks that awaits a greeting of the mesh's own first.
 */
function alpnOf({ mode, alpn, http2Alpn }: TlsTransport, protocol: UpstreamProtocol): readonly string[] {
  if (protocol === 'tcp') return mode === 'ISTIO_MUTUAL' ? ['istio'] : []
  return protocol === 'http2' && http2Alpn !== undefined ? http2Alpn : alpn
}

/** The host without its port, brackets and final dot, in lower case. */
function normalizeHost(host: string): string {
  let end = host.length
  if (host.startsWith('[')) {
    const bracket = host.indexOf(']')
    return (bracket === -1 ? host : host.slice(1, bracket)).toLowerCase()
  }
  const colon = host.indexOf(':')
  // More than one colon without brackets is an IPv6 address.
  if (colon !== -1 && host.indexOf(':', colon + 1) === -1) end = colon
  if (end > 0 && host[end - 1] === '.') end--
  return host.slice(0, end).toLowerCase()
}

function tellNames(certificate: X509Certificate): string {
  const names = subjectAltNames(certificate)
  const told = names.slice(0, MAX_NAMES_TOLD).map(({ value }) => tell(value))
  return (names.length > told.length ? [...told, '…'] : told).join(', ')
}

function tell(name: string): string {
  const short = name.length > MAX_NAME_TOLD ? `${name.slice(0, MAX_NAME_TOLD)}…` : name
  // It ends up in logs and bodies.
  return /^[\x21-\x7e…]*$/.test(short) ? short : JSON.stringify(short)
}
