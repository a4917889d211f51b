/** Where an endpoint listens, as `net.connect` and `tls.connect` want it. */
import type { EndpointPlan } from '../plan/cluster.ts'

const UNIX = 'unix://'

export type SocketAddress = { readonly path: string } | { readonly host: string; readonly port: number }

export function socketAddress({ address, port }: EndpointPlan): SocketAddress {
  return address.startsWith(UNIX) ? { path: address.slice(UNIX.length) } : { host: address, port }
}
