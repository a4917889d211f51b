/**
 * An upgraded connection (RFC 9110 §7.8): once the upstream has answered 101, its bytes and the client's are none of the
 * gateway's business. The request's exchange lasts as long as the tunnel: the access log tells its bytes and duration.
 *
 * Source: envoy `source/common/http/conn_manager_impl.cc` (upgrades), `source/common/router/upstream_request.cc`.
 */
import type { Duplex } from 'node:stream'
import type { Exchange } from '../exchange/exchange.ts'
import type { ResponseHead } from '../upstreams/stream.ts'
import { resetDetails, resetFlag } from './failure.ts'
import { relayHead } from './response.ts'
import { Splice } from './splice.ts'

export interface TunnelOptions {
  /** Without a byte in either direction it is closed after this long; null: never. */
  readonly idleTimeoutMs: number | null
  readonly onPassed: (bytes: number) => void
  readonly onEnd: () => void
}

/** Sends the answer on, and joins the two connections. */
export function openTunnel(exchange: Exchange, head: ResponseHead, upstream: Duplex, options: TunnelOptions): void {
  const { upgrade, res } = exchange
  if (upgrade === null || res.destroyed || res.headersSent) {
    upstream.destroy()
    options.onEnd()
    return
  }
  relayHead(exchange, head, true, exchange.requestEndMono)
  res.end()
  new Splice(upgrade.connection(), upstream, {
    idleTimeoutMs: options.idleTimeoutMs,
    maxDurationMs: null,
    halfClose: false,
    onPassed: options.onPassed,
    onEnd: (splice) => {
      tell(exchange, splice)
      options.onEnd()
      upgrade.onEnd()
    },
  })
}

/** An upstream that ends the tunnel in good order has answered; whatever else ends it has a reason to be told. */
function tell(exchange: Exchange, { bytesReceived, bytesSent, endedBy, error }: Splice): void {
  exchange.bytesReceived = bytesReceived
  exchange.bytesSent = bytesSent
  if (endedBy === 'client') {
    exchange.addFlag('DC')
    exchange.details = 'downstream_remote_disconnect'
  } else if (endedBy === 'idle') {
    exchange.addFlag('SI')
    exchange.details = 'stream_idle_timeout'
  } else if (endedBy === 'upstream' && error !== null) {
    exchange.addFlag(resetFlag('connection-termination'))
    exchange.details = resetDetails('after', 'connection-termination', '')
  }
}
