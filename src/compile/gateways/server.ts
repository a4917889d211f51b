/**
 * What a Gateway server is, before it meets the others on its port.
 *
 * Source: istio: pkg/config/protocol/instance.go, pkg/config/gateway/gateway.go; pilot/pkg/model/gateway.go
 * (`sanitizeServerHostNamespace`).
 */
import type { Gateway, Server } from '../../resources/gateway.ts'
import { nameOf } from '../findings.ts'

export type ServerClass =
  /** Plaintext HTTP. */
  | 'http'
  /** HTTP behind TLS that ends here. */
  | 'https'
  /** TLS that goes on to a TCP route, ended here or not. */
  | 'tls'
  | 'tcp'

/** One entry of `hosts`. */
export interface ServerHost {
  /** Namespace whose VirtualServices may use it; `*` for any. */
  readonly namespace: string
  /** Lower case. */
  readonly host: string
}

export interface GatewayServer {
  readonly gateway: Gateway
  /** `NAMESPACE/NAME` of the Gateway. */
  readonly gatewayName: string
  readonly server: Server
  readonly pointer: string
  readonly class: ServerClass
  readonly port: number
  readonly bind: string | undefined
  readonly hosts: readonly ServerHost[]
  readonly httpsRedirect: boolean
  /** Name of its route table; plaintext servers of one port share theirs. */
  readonly routeTable: string
}

const HTTP_PROTOCOLS: readonly string[] = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']
const TERMINATING_MODES: readonly string[] = ['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL', 'ISTIO_MUTUAL']

function classOf(server: Server): ServerClass {
  const protocol = server.port.protocol.toUpperCase()
  if (HTTP_PROTOCOLS.includes(protocol)) return 'http'
  if (protocol === 'HTTPS') return endsTls(server) ? 'https' : 'tls'
  return protocol === 'TLS' ? 'tls' : 'tcp'
}

/** Whether TLS comes first on its connections, whoever ends it: such servers share a port by SNI. */
export function isTlsClass(kind: ServerClass): boolean {
  return kind === 'https' || kind === 'tls'
}

/** Whether TLS ends at such a server. */
export function endsTls({ tls }: Server): boolean {
  return TERMINATING_MODES.includes(tls?.mode ?? 'PASSTHROUGH')
}

function readHosts(hosts: readonly string[], gatewayNamespace: string): readonly ServerHost[] {
  const read = hosts.map((entry) => {
    const slash = entry.indexOf('/')
    const namespace = slash === -1 ? '*' : entry.slice(0, slash)
    const host = entry.slice(slash + 1).toLowerCase()
    return { namespace: namespace === '.' ? gatewayNamespace : namespace, host }
  })
  const everything = read.find(({ namespace, host }) => namespace === '*' && host === '*')
  return everything === undefined ? read : [everything]
}

export function readServer(gateway: Gateway, server: Server, index: number): GatewayServer {
  const { name, namespace } = gateway.metadata
  const kind = classOf(server)
  const bind = server.bind === undefined || server.bind === '' ? undefined : server.bind
  const table =
    kind === 'http'
      ? `http.${server.port.number}`
      : `https.${server.port.number}.${server.port.name}.${name}.${namespace}`
  return {
    gateway,
    gatewayName: nameOf(gateway),
    server,
    pointer: `/spec/servers/${index}`,
    class: kind,
    port: server.port.number,
    bind,
    hosts: readHosts(server.hosts, namespace),
    httpsRedirect: kind === 'http' && server.tls?.httpsRedirect === true,
    routeTable: bind === undefined ? table : `${table}.${bind}`,
  }
}

/** Hosts that VirtualServices of `namespace` may use on this server. */
export function hostsForNamespace({ hosts }: GatewayServer, namespace: string): string[] {
  return hosts.filter((entry) => entry.namespace === '*' || entry.namespace === namespace).map(({ host }) => host)
}

/** All hosts of the server, each once: its SNI names where it ends TLS. */
export function serverNames({ hosts }: GatewayServer): string[] {
  return [...new Set(hosts.map(({ host }) => host))]
}
