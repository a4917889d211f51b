/**
 * The listeners of the plan: one for each port, and behind each of its TLS servers the certificates to present.
 *
 * Source: istio: pilot/pkg/networking/core/gateway.go (`BuildListeners`), pilot/pkg/security/model/authentication.go.
 */
import type { CertificatePlan, ListenerPlan, TlsServerPlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import { CIPHER_SUITES, type TLSProtocol } from '../../resources/gateway.ts'
import type { Secret } from '../../resources/secret.ts'
import { listed, nameOf, problem } from '../findings.ts'
import { certificatesOf } from './certificates.ts'
import type { GatewayPort, PlacedServer } from './ports.ts'
import { serverNames } from './server.ts'

export interface Listeners {
  readonly listeners: Readonly<Record<string, ListenerPlan>>
  readonly certificates: Readonly<Record<string, CertificatePlan>>
  readonly problems: readonly Problem[]
}

type Version = TlsServerPlan['minVersion']

const VERSIONS: Readonly<Record<Exclude<TLSProtocol, 'TLS_AUTO'>, Version>> = {
  TLSV1_0: 'TLSv1',
  TLSV1_1: 'TLSv1.1',
  TLSV1_2: 'TLSv1.2',
  TLSV1_3: 'TLSv1.3',
}

/** @param namespace The gateway workload's, where its Secrets are. */
export function compileListeners(
  ports: readonly GatewayPort[],
  allSecrets: readonly Secret[],
  namespace: string,
): Listeners {
  const listeners: Record<string, ListenerPlan> = {}
  const certificates: Record<string, CertificatePlan> = {}
  const problems: Problem[] = []
  const secrets = new Map(allSecrets.map((secret) => [nameOf(secret), secret]))
  for (const { name, port, bind, servers } of ports) {
    const first = servers[0]
    // A port with nothing to serve stays closed.
    if (first === undefined || servers.every(({ refused }) => refused)) continue
    const base = bind === undefined ? { name, port } : { name, port, bind }
    if (first.class === 'http') {
      listeners[name] = { ...base, kind: 'http', routeTable: first.routeTable }
      problems.push(...servers.flatMap(withoutBridge))
      continue
    }
    const plans = servers.map((server) => {
      if (server.refused) return refusedServer(server)
      const found = certificatesOf(server, secrets, namespace)
      for (const certificate of found.certificates) certificates[certificate.name] = certificate
      problems.push(...found.problems, ...notEnforced(server))
      return tlsServer(server, found.names)
    })
    listeners[name] = { ...base, kind: 'tls', servers: plans }
  }
  return { listeners, certificates, problems }
}

function tlsServer(server: PlacedServer, certificates: readonly string[]): TlsServerPlan {
  const { tls, port } = server.server
  const cipherSuites = [...new Set(tls?.cipherSuites ?? [])].filter((name) => CIPHER_SUITES.includes(name)).join(':')
  return {
    name: `${server.gatewayName}/${port.name}`,
    serverNames: serverNames(server),
    mode: 'SIMPLE',
    certificates,
    minVersion: version(tls?.minProtocolVersion, 'TLSv1.2'),
    maxVersion: version(tls?.maxProtocolVersion, 'TLSv1.3'),
    ...(cipherSuites === '' ? {} : { cipherSuites }),
    routeTable: server.routeTable,
  }
}

/**
 * A server that cannot be served still takes its SNI names, with no certificate to present: a client that asks for one
 * of them must not end up at a server with a wider wildcard that asks less of it.
 */
function refusedServer(server: PlacedServer): TlsServerPlan {
  return tlsServer(server, [])
}

function version(protocol: TLSProtocol | undefined, automatic: Version): Version {
  return protocol === undefined || protocol === 'TLS_AUTO' ? automatic : VERSIONS[protocol]
}

/** Browsers' gRPC-Web calls are forwarded as they are: nothing turns them into gRPC. */
function withoutBridge(server: PlacedServer): Problem[] {
  if (server.server.port.protocol.toUpperCase() !== 'GRPC-WEB') return []
  return [
    problem('warning', server.gateway, `${server.pointer}/port/protocol`, {
      code: 'gateway/not-enforced',
      message: 'the server is plain HTTP in this version: gRPC-Web is not translated to gRPC',
    }),
  ]
}

function notEnforced(server: PlacedServer): Problem[] {
  const { tls } = server.server
  const fields = (['ecdhCurves'] as const).filter((field) => tls?.[field] !== undefined)
  if (fields.length === 0) return []
  return [
    problem('warning', server.gateway, `${server.pointer}/tls`, {
      code: 'gateway/not-enforced',
      message: `${listed(fields)} ${fields.length === 1 ? 'has' : 'have'} no effect in this version`,
    }),
  ]
}
