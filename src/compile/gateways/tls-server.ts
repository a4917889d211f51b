/**
 * A TLS server of the plan: its names, its limits, and what it presents and asks for.
 *
 * Source: istio: pilot/pkg/networking/core/listener.go (`BuildListenerTLSContext`); semantics §1.6.
 */
import type { TlsServerPlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import { CIPHER_SUITES, ECDH_CURVES, type TLSProtocol } from '../../resources/gateway.ts'
import { problem } from '../findings.ts'
import type { MeshOptions } from '../options.ts'
import type { Certificates } from './certificates.ts'
import type { ClientCertificates } from './client-certificates.ts'
import type { PlacedServer } from './ports.ts'
import { serverNames } from './server.ts'

type Version = TlsServerPlan['minVersion']

const VERSIONS: Readonly<Record<Exclude<TLSProtocol, 'TLS_AUTO'>, Version>> = {
  TLSV1_0: 'TLSv1',
  TLSV1_1: 'TLSv1.1',
  TLSV1_2: 'TLSv1.2',
  TLSV1_3: 'TLSv1.3',
}

/** What the mesh says for servers that do not say it themselves. */
export type MeshTls = Pick<MeshOptions, 'meshMTLS' | 'tlsDefaults'>

export function tlsServer(
  server: PlacedServer,
  names: Certificates['names'],
  clientCertificates: ClientCertificates['demand'],
  mesh: MeshTls,
): TlsServerPlan {
  const { tls, port } = server.server
  const mode = modeOf(server)
  const defaults = mode === 'ISTIO_MUTUAL' ? mesh.meshMTLS : mesh.tlsDefaults
  const cipherSuites = known(nonEmpty(tls?.cipherSuites) ?? defaults.cipherSuites ?? [], CIPHER_SUITES)
  const ecdhCurves = known(nonEmpty(tls?.ecdhCurves) ?? defaults.ecdhCurves ?? [], ECDH_CURVES)
  const least = set(tls?.minProtocolVersion) ?? set(defaults.minProtocolVersion)
  const most = set(tls?.maxProtocolVersion)
  return {
    name: `${server.gatewayName}/${port.name}`,
    serverNames: serverNames(server),
    mode,
    certificates: names,
    clientCertificates,
    minVersion: least === undefined ? 'TLSv1.2' : VERSIONS[least],
    maxVersion: most === undefined ? 'TLSv1.3' : VERSIONS[most],
    ...(cipherSuites === '' ? {} : { cipherSuites }),
    ...(ecdhCurves === '' ? {} : { ecdhCurves }),
    routeTable: server.routeTable,
  }
}

/** Limits that leave nothing over: the handshake of every client fails. */
export function versionProblems({ server, gateway, pointer }: PlacedServer, plan: TlsServerPlan): Problem[] {
  if (plan.minVersion <= plan.maxVersion) return []
  const { minProtocolVersion = 'TLS_AUTO', maxProtocolVersion = 'TLS_AUTO' } = server.tls ?? {}
  return [
    problem('error', gateway, `${pointer}/tls/minProtocolVersion`, {
      code: 'gateway/tls-versions',
      message: `minProtocolVersion ${minProtocolVersion} is above maxProtocolVersion ${maxProtocolVersion}: every TLS handshake fails`,
    }),
  ]
}

function modeOf({ server: { tls } }: PlacedServer): TlsServerPlan['mode'] {
  switch (tls?.mode) {
    case 'MUTUAL':
    case 'OPTIONAL_MUTUAL':
    case 'ISTIO_MUTUAL':
      return tls.mode
    default:
      return 'SIMPLE'
  }
}

function set(protocol: TLSProtocol | undefined): Exclude<TLSProtocol, 'TLS_AUTO'> | undefined {
  return protocol === 'TLS_AUTO' ? undefined : protocol
}

function nonEmpty(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list
}

function known(names: readonly string[], all: readonly string[]): string {
  return [...new Set(names)].filter((name) => all.includes(name)).join(':')
}
