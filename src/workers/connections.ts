/** Connections of which no request is read: what they have to pass, and where they go. */
import type { Socket } from 'node:net'
import type { Exchange } from '../exchange/exchange.ts'
import { closeConnection, proxyConnection, type TcpProxyDeps } from '../forwarding/tcp-proxy.ts'
import type { TcpRoutePlan } from '../plan/tcp.ts'
import type { Policies } from './policies.ts'

/** What closes a connection while a security policy is not understood. */
const NOT_UNDERSTOOD = 'rbac_access_denied_matched_policy[none]'

/**
 * @param guarded False: policies have no say in it.
 * @param onEnd Once, when the client's connection is over.
 */
export function connect(
  exchange: Exchange,
  socket: Socket,
  route: TcpRoutePlan | null,
  guarded: boolean,
  { policies, ...proxy }: TcpProxyDeps & { readonly policies: Policies },
  onEnd: () => void,
): void {
  const refusal = guarded ? refusalOf(exchange, policies) : ''
  if (refusal === '') {
    proxyConnection(exchange, socket, route, proxy, onEnd)
    return
  }
  exchange.terminationDetails = refusal
  socket.on('error', () => {})
  socket.once('close', onEnd)
  closeConnection(socket)
}

function refusalOf(exchange: Exchange, policies: Policies): string {
  if (exchange.epoch.mesh.closedBy.length > 0) return NOT_UNDERSTOOD
  return policies.refusalOf(exchange)?.details ?? ''
}
