/**
 * One TLS server of a Gateway: how handshakes with it are made. Each has limits of its own (versions, cipher suites,
 * client certificates), and a TLS server of Node's behind it that listens nowhere: a server that is chosen by SNI when a
 * handshake has begun keeps the versions and the demands of the one that it began with.
 */
import { createSecureContext, createServer, type Server, type TLSSocket } from 'node:tls'
import type { MaterialStore } from '../certificates/material-store.ts'
import { refusalOf } from '../certificates/client-certificate.ts'
import { type ServerContext, ServerContextSource } from '../certificates/server-context.ts'
import { isForHost } from '../certificates/subject-alt-names.ts'
import { type TicketKeys, ticketName } from '../certificates/ticket-keys.ts'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import type { TlsServerPlan } from '../plan/listener.ts'
import { describeClientCertificate } from './client-certificates.ts'

/** What the handshakes of all servers have in common. */
export interface HandshakeOptions {
  readonly materials: MaterialStore
  /** Null: every worker makes its own. */
  readonly ticketKeys: () => TicketKeys | null
  /** In the order of preference. */
  readonly alpn: readonly string[]
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Why handshakes of a server fail, for the operator. */
  readonly report: (server: string, reason: string) => void
}

/** A connection whose handshake is done. */
export interface SecureConnection {
  readonly socket: TLSSocket
  readonly server: TlsServer
  /** Null: the client has shown none. */
  readonly clientCertificate: ClientCertificate | null
}

/** From the ClientHello to the end of the handshake, however many bytes come meanwhile (semantics §1.11). */
const HANDSHAKE_TIMEOUT_MS = 15_000

/** Node's servers for one state of the material: tickets are opened by the context that a handshake begins with. */
interface Ends {
  readonly context: ServerContext
  readonly keys: TicketKeys | null
  /** Null: OpenSSL cannot work with what the plan says. */
  readonly current: Server | null
  /** For clients that come back with a ticket of the key before; made when the first one does. */
  previous: Server | null
}

export class TlsServer {
  readonly plan: TlsServerPlan
  readonly #options: HandshakeOptions
  readonly #onSecure: (connection: SecureConnection) => void
  /** Made with the first handshake: of a thousand servers most are not asked for soon. */
  #source: ServerContextSource | null = null
  #ends: Ends | null = null
  #closed = false

  constructor(plan: TlsServerPlan, options: HandshakeOptions, onSecure: (connection: SecureConnection) => void) {
    this.plan = plan
    this.#options = options
    this.#onSecure = onSecure
  }

  /**
   * What makes the next handshake.
   *
   * @param ticket The name of the key of the ticket that the client shows, or empty.
   * @returns Null where none is possible; why was reported.
   */
  end(ticket: string): Server | null {
    if (this.#closed) return null
    const ends = this.#current()
    if (ends === null) return null
    const { previous } = ends.keys ?? { previous: null }
    if (previous === null || ticket === '' || ticket !== ticketName(previous)) return ends.current
    ends.previous ??= this.#create(ends.context, previous)
    return ends.previous
  }

  /** Whether a client may take a certificate that it presents for one of that host's. */
  presentsFor(host: string): boolean {
    return this.#ends?.context.presented.some(({ leaf }) => isForHost(leaf, host)) ?? false
  }

  /** Handshakes that have begun, and connections, go on. */
  close(): void {
    this.#closed = true
    this.#source?.close()
    this.#ends = null
  }

  #current(): Ends | null {
    const { materials, ticketKeys, report } = this.#options
    this.#source ??= new ServerContextSource(this.plan, materials)
    const context = this.#source.current()
    if (context === null) {
      this.#ends = null
      report(this.plan.name, this.#source.problem)
      return null
    }
    const keys = ticketKeys()
    if (this.#ends?.context === context && this.#ends.keys === keys) {
      if (this.#ends.current === null) report(this.plan.name, 'OpenSSL cannot use its settings')
      return this.#ends
    }
    this.#ends = { context, keys, current: this.#create(context, keys?.current ?? null), previous: null }
    return this.#ends
  }

  #create(context: ServerContext, ticketKey: Uint8Array | null): Server | null {
    const { clientCertificates } = this.plan
    const { alpn, report } = this.#options
    const options = {
      ...context.options,
      ...(ticketKey === null ? {} : { ticketKeys: Buffer.from(ticketKey) }),
    }
    try {
      // `createServer` hands on all of this but `allowPartialTrustChain`; a context that SNI chooses has it.
      const partial = clientCertificates === null ? null : createSecureContext(options)
      const server = createServer(
        {
          ...options,
          ALPNProtocols: [...alpn],
          handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
          requestCert: clientCertificates !== null,
          // With it OpenSSL itself turns away who shows none, and Node whom it cannot verify.
          rejectUnauthorized: clientCertificates?.required === true && clientCertificates.trust.kind !== 'none',
          ...(partial === null ? {} : { SNICallback: (_name, callback) => callback(null, partial) }),
        },
        (socket) => {
          this.#secured(socket, context)
        },
      )
      server.on('tlsClientError', (_, socket) => {
        socket.destroy()
      })
      return server
    } catch (error) {
      report(this.plan.name, `OpenSSL cannot use its settings: ${(error as Error).message}`)
      return null
    }
  }

  #secured(socket: TLSSocket, context: ServerContext): void {
    const { clientCertificates: demand } = this.plan
    if (demand === null) {
      this.#onSecure({ socket, server: this, clientCertificate: null })
      return
    }
    const certificate = socket.getPeerX509Certificate()
    const error = certificate === undefined || socket.authorized ? null : chainError(socket)
    if (refusalOf(certificate, error, demand, this.#options.now()) !== '') {
      socket.destroy()
      return
    }
    const isVerified =
      demand.trust.kind !== 'none' || demand.publicKeyHashes.length + demand.certificateHashes.length > 0
    const clientCertificate =
      certificate === undefined ? null : describeClientCertificate(certificate, context.ownUris, isVerified)
    this.#onSecure({ socket, server: this, clientCertificate })
  }
}

/** Node's types say that it is an error; it is OpenSSL's code, as a text. */
function chainError({ authorizationError }: TLSSocket): string {
  return String(authorizationError ?? 'not verified')
}
