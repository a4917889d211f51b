/**
 * The listeners of the plan: one for each port, and behind each of its TLS servers the certificates to present.
 *
 * Source: istio: pilot/pkg/networking/core/gateway.go (`BuildListeners`), pilot/pkg/security/model/authentication.go.
 */
import type { CertificatePlan, ListenerPlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import { problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import { certificatesOf } from './certificates.ts'
import { clientCertificatesOf } from './client-certificates.ts'
import { type CredentialSources, credentialObjects } from './credential-problems.ts'
import type { GatewayPort, PlacedServer } from './ports.ts'
import { endsTls } from './server.ts'
import { tlsServer, versionProblems } from './tls-server.ts'

export interface Listeners {
  readonly listeners: Readonly<Record<string, ListenerPlan>>
  readonly certificates: Readonly<Record<string, CertificatePlan>>
  readonly problems: readonly Problem[]
}

export function compileListeners(
  ports: readonly GatewayPort[],
  sources: CredentialSources,
  { gateway, mesh }: CompileOptions,
): Listeners {
  const listeners: Record<string, ListenerPlan> = {}
  const certificates: Record<string, CertificatePlan> = {}
  const problems: Problem[] = []
  const objects = credentialObjects(sources, gateway.namespace)
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
    // Its route is found later, with the VirtualServices.
    if (first.class === 'tcp') {
      listeners[name] = { ...base, kind: 'tcp', route: null }
      continue
    }
    const plans = servers.filter(endsHere).map((server) => {
      // A server that cannot be served still takes its SNI names, with no certificate to present: a client that asks
      // for one of them must not end up at a server with a wider wildcard that asks less of it.
      if (server.refused) return { ...tlsServer(server, [], null, mesh), mode: 'SIMPLE' as const }
      const presented = certificatesOf(server, objects)
      const clients = clientCertificatesOf(server, objects, mesh)
      for (const found of [...presented.certificates, ...clients.certificates]) certificates[found.name] = found
      const plan = tlsServer(server, presented.names, clients.demand, mesh)
      problems.push(...presented.problems, ...clients.problems, ...versionProblems(server, plan))
      return plan
    })
    listeners[name] = { ...base, kind: 'tls', servers: plans }
  }
  return { listeners, certificates, problems }
}

/** TLS that is passed on is no server's. */
function endsHere({ server, refused }: PlacedServer): boolean {
  return refused || endsTls(server)
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
