/** Which local address a Gateway server's port is bound to. */
import type { Settings } from './load.ts'
import type { HostPort } from './values.ts'

/** What ports become without `--listen` where this process may not bind those below 1024. */
const UNPRIVILEGED: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 }

/** Every IPv6 address, and IPv4 with it. */
export const ANY_ADDRESS = '::'

/**
 * The local address for a Gateway server.
 *
 * @param port The server's port.
 * @param bind The server's own `bind`, where it has one.
 */
export function localAddress(
  { listen, address, bindsLowPorts }: Pick<Settings, 'listen' | 'address' | 'bindsLowPorts'>,
  port: number,
  bind?: string,
): HostPort {
  const host = bind ?? address ?? ANY_ADDRESS
  const mapping = listen.find((candidate) => candidate.port === port)
  if (mapping !== undefined) return { host: mapping.host ?? host, port: mapping.localPort }
  return { host, port: bindsLowPorts ? port : (UNPRIVILEGED[port] ?? port) }
}
