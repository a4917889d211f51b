/** How connections to the endpoints of a cluster are made: in plain text, with TLS, or with whichever the mesh wants. */
import { connect, Socket } from 'node:net'
import type { ClusterPlan, EndpointPlan, TransportPlan } from '../plan/cluster.ts'
import { socketAddress } from './socket-address.ts'
import { createTlsDialer, type TlsDialerDeps, type UpstreamProtocol } from './tls-dialer.ts'

export type HttpProtocol = 'http1' | 'http2'

export interface Transport {
  /**
   * A connection that is being made; see `TlsDialer.dial`.
   *
   * @param host Host of the request as it goes upstream.
   * @param protocol What is spoken on it; `tcp`: nobody knows.
   */
  dial(endpoint: EndpointPlan, host: string, protocol?: UpstreamProtocol): Socket
  /** Connections to this endpoint that may carry each other's requests have the same key; plain text has ''. */
  poolKey(endpoint: EndpointPlan, host: string): string
  /** No more connections are made; those that stand are not touched. */
  close(): void
}

export type TransportDeps = Omit<TlsDialerDeps, 'tcpKeepaliveMs'>

/** Set by injection, or on a WorkloadEntry: `istio` where a sidecar terminates mesh mTLS (istio `pkg/model/proxy.go`). */
const TLS_MODE_LABEL = 'security.istio.io/tlsMode'

/** @returns The transport of a cluster, to be closed when the cluster goes or gets another one. */
export function createTransport(
  plan: Pick<ClusterPlan, 'transport' | 'tcpKeepaliveMs'>,
  deps: TransportDeps,
): Transport {
  const { transport, tcpKeepaliveMs } = plan
  switch (transport.kind) {
    case 'plaintext':
      return plaintext(tcpKeepaliveMs)
    case 'tls': {
      const tls = createTlsDialer(transport.tls, { ...deps, tcpKeepaliveMs })
      return {
        dial: (endpoint, host, protocol) => tls.dial(endpoint, host, protocol),
        poolKey: (_, host) => tls.poolKey(host),
        close: () => tls.close(),
      }
    }
    case 'auto-mtls': {
      const tls = createTlsDialer(transport.tls, { ...deps, tcpKeepaliveMs })
      const plain = plaintext(tcpKeepaliveMs)
      return {
        dial: (endpoint, host, protocol) => (takesMtls(endpoint) ? tls : plain).dial(endpoint, host, protocol),
        poolKey: (endpoint, host) => (takesMtls(endpoint) ? tls.poolKey(host) : ''),
        close: () => tls.close(),
      }
    }
    case 'unsupported':
      return unsupported(transport)
    default:
      return transport satisfies never
  }
}

function takesMtls(endpoint: EndpointPlan): boolean {
  return endpoint.labels?.[TLS_MODE_LABEL] === 'istio'
}

function plaintext(tcpKeepaliveMs: number | undefined): Transport {
  const keepalive =
    tcpKeepaliveMs === undefined ? undefined : { keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs }
  return {
    dial: (endpoint) => connect({ ...socketAddress(endpoint), ...keepalive }),
    poolKey: () => '',
    close: () => {},
  }
}

/** Requests are refused before they come here; should one, it is not sent. */
function unsupported({ reason }: Extract<TransportPlan, { readonly kind: 'unsupported' }>): Transport {
  return {
    dial: () => new Socket().destroy(Object.assign(new Error(reason), { code: 'EACCES' })),
    poolKey: () => '',
    close: () => {},
  }
}
