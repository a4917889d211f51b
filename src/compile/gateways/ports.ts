/**
 * Which servers share a port, and which are dropped because an older one has it. A drop leaves every other server
 * working.
 *
 * Source: istio: pilot/pkg/model/gateway.go (`mergeGateways`), pilot/pkg/networking/core/gateway.go.
 */
import type { Problem } from '../../plan/problem.ts'
import type { Gateway } from '../../resources/gateway.ts'
import { listed, problem } from '../findings.ts'
import type { Workload } from '../workload.ts'
import { type GatewayServer, isTlsClass, readServer } from './server.ts'
import { unsupported } from './unsupported.ts'

export interface PlacedServer extends GatewayServer {
  /** This build cannot serve it. It keeps its port and its SNI names, so that nothing weaker takes its place. */
  readonly refused: boolean
}

/** One socket to open, with its servers in the order of their Gateways. */
export interface GatewayPort {
  /** `PORT` or `BIND_PORT`. */
  readonly name: string
  readonly port: number
  readonly bind: string | undefined
  readonly servers: readonly PlacedServer[]
}

export interface PlacedServers {
  /** Gateways that this gateway serves, in order. */
  readonly gateways: readonly Gateway[]
  readonly ports: readonly GatewayPort[]
  readonly problems: readonly Problem[]
}

export function placeServers(all: readonly Gateway[], workload: Workload): PlacedServers {
  const gateways = all.filter(({ spec }) => workload.serves(spec.selector))
  const ports = new Map<string, PlacedServer[]>()
  const problems: Problem[] = []
  for (const gateway of gateways) {
    for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
      const read = readServer(gateway, server, index)
      const name = read.bind === undefined ? `${read.port}` : `${read.bind}_${read.port}`
      const others = ports.get(name) ?? []
      const conflict = conflictWith(read, others)
      if (conflict !== undefined) {
        problems.push(
          problem('warning', gateway, read.pointer, {
            code: 'gateway/server-dropped',
            istioCode: 'IST0145',
            ...conflict,
          }),
        )
        continue
      }
      const missing = unsupported(read)
      if (missing !== undefined) problems.push(missing)
      ports.set(name, [...others, { ...read, refused: missing !== undefined }])
    }
  }
  const placed = [...ports].map(([name, servers]) => ({
    name,
    port: servers[0]!.port,
    bind: servers[0]!.bind,
    servers,
  }))
  return { gateways, ports: placed, problems }
}

/** Why the new server cannot join the ones that are on its port already; undefined: it can. */
function conflictWith(
  added: GatewayServer,
  others: readonly GatewayServer[],
): { message: string; remedy?: string } | undefined {
  if (isTlsClass(added.class) && added.server.tls === undefined) {
    return { message: `the server on port ${added.port} is dropped: ${added.server.port.protocol} needs a tls block` }
  }
  const first = others[0]
  if (first === undefined) return undefined
  const holder = `Gateway ${first.gatewayName}`
  const sharing = isTlsClass(added.class) ? isTlsClass(first.class) : added.class === 'http' && first.class === 'http'
  if (!sharing) {
    return {
      message: `the server on port ${added.port} is dropped: ${holder} uses that port for ${first.server.port.protocol}, which cannot share it with ${added.server.port.protocol}`,
      remedy: 'Give one of them another port number or bind address.',
    }
  }
  const sameName = others.find(
    ({ gateway, server }) => gateway === added.gateway && server.port.name === added.server.port.name,
  )
  if (sameName !== undefined) {
    return {
      message: `the server on port ${added.port} is dropped: its port name ${added.server.port.name} is used before`,
    }
  }
  if (!isTlsClass(added.class)) return undefined
  return duplicateTlsHosts(added, others)
}

/** One SNI name has one certificate: a later server that repeats any of them is dropped whole. */
function duplicateTlsHosts(
  added: GatewayServer,
  others: readonly GatewayServer[],
): { message: string; remedy: string } | undefined {
  const taken = new Map<string, GatewayServer>()
  for (const other of others) for (const { namespace, host } of other.hosts) taken.set(`${namespace}/${host}`, other)
  const repeated = added.hosts.filter(({ namespace, host }) => taken.has(`${namespace}/${host}`))
  const holder = repeated[0] && taken.get(`${repeated[0].namespace}/${repeated[0].host}`)
  if (holder === undefined) return undefined
  const names = listed(repeated.map(({ namespace, host }) => (namespace === '*' ? host : `${namespace}/${host}`)))
  return {
    message: `the server on port ${added.port} is dropped with all its hosts: ${names} ${repeated.length === 1 ? 'is' : 'are'} served by Gateway ${holder.gatewayName} there`,
    remedy: 'Keep each TLS host in one server of a port.',
  }
}
