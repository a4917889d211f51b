/** What the tests of TLS to upstreams share: certificates, peers, and requests by a dialer of their own. */
import type { TlsOptions } from 'node:tls'
import type { MaterialStoreDeps } from '../../../src/certificates/material-store.ts'
import type { TlsTransport } from '../../../src/plan/cluster.ts'
import { createTlsDialer, type TlsDialer } from '../../../src/upstreams/tls-dialer.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { openMaterials, type Peer, request, type Result, startPeer, startTcpPeer, transport } from './tls-peer.ts'

export const SPIFFE = 'spiffe://cluster.local/ns/shop/sa/cart'

export interface DialerOptions extends Partial<MaterialStoreDeps> {
  /** File with the authority; default: the one of the peers. */
  readonly caFile?: string
}

export class TlsBench {
  readonly made = new TestCertificates()
  readonly ca = this.made.authority('upstreams')
  readonly otherCa = this.made.authority('others')
  readonly server = this.made.leaf(this.ca, ['peer.test', 'alt.test', '*.wild.test', '127.0.0.1', SPIFFE])
  readonly client = this.made.leaf(this.ca, [], { commonName: 'client' })
  readonly #closing: (() => void)[] = []

  close(): void {
    for (const close of this.#closing) close()
    this.made.remove()
  }

  /** A TLS server with `server`'s certificate. */
  async peer(options: TlsOptions = {}): Promise<Peer> {
    const started = await startPeer({ cert: this.server.certificate, key: this.server.key, ...options })
    this.#closing.push(started.close)
    return started
  }

  async tcpPeer(onConnection: Parameters<typeof startTcpPeer>[0]): Promise<Peer> {
    const started = await startTcpPeer(onConnection)
    this.#closing.push(started.close)
    return started
  }

  /** A dialer that is closed at the end, and what its materials report. */
  dialer(
    changes: Partial<TlsTransport> = {},
    { caFile = this.ca.certificateFile, ...deps }: DialerOptions = {},
  ): { dialer: TlsDialer; problems: string[] } {
    const { materials, problems } = openMaterials(deps)
    const dialer = createTlsDialer(transport(caFile, changes), { materials, now: deps.now ?? Date.now })
    this.#closing.push(
      () => dialer.close(),
      () => materials.close(),
    )
    return { dialer, problems }
  }

  /** One request by a dialer of its own, on a connection that is closed then. */
  async ask(
    { endpoint }: Peer,
    changes: Partial<TlsTransport> = {},
    host = 'app.test',
    timeoutMs?: number,
  ): Promise<Result & { problems: string[] }> {
    const { dialer, problems } = this.dialer(changes)
    const result = await request(dialer.dial(endpoint, host), timeoutMs)
    result.connection.close()
    return { ...result, problems }
  }
}
