/**
 * `tls` of a traffic policy, and mutual TLS inside the mesh where there is none: how a cluster's connections are
 * secured. What cannot be secured as it is asked for is refused, never sent in a weaker way.
 *
 * Source: istio: pilot/pkg/networking/core/cluster_tls.go; for what ALPN says inside the mesh
 * pilot/pkg/xds/filters/filters.go (`Alpn`).
 */
import type { ClientCertificatePlan, ClusterPlan, TlsTransport, TransportPlan, TrustPlan } from '../../plan/cluster.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ClientTLSSettings, DestinationRule } from '../../resources/destination-rule.ts'
import { authorityName, secretName } from '../credentials.ts'
import { problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import { type MeshService, type ServiceEndpoint, TLS_MODE_LABEL } from '../services/service.ts'
import type { CredentialReference } from './credentials.ts'
import type { Piece } from './destination-rules.ts'
import { identitiesOf } from './identities.ts'
import type { PeerMtls } from './peer-mtls.ts'

type Protocol = ClusterPlan['protocol']

/** What a sidecar is told of the protocol inside, the mesh's mark, and the plain name. */
const MESH_ALPN: Readonly<Record<'http1' | 'http2', readonly string[]>> = {
  http1: ['istio-http/1.1', 'istio', 'http/1.1'],
  http2: ['istio-h2', 'istio', 'h2'],
}

const PLAIN_ALPN: Readonly<Record<'http1' | 'http2', readonly string[]>> = { http1: ['http/1.1'], http2: ['h2'] }

/** `caCertificates` with this value means what the machine trusts. */
const SYSTEM = 'system'

export interface TransportParts {
  readonly service: MeshService
  readonly port: number
  readonly subset: string
  readonly protocol: Protocol
  readonly tls: Piece<ClientTLSSettings> | undefined
  readonly endpoints: readonly ServiceEndpoint[]
  readonly peers: PeerMtls
  readonly options: CompileOptions
}

export interface Transport {
  readonly plan: TransportPlan
  /** Objects that the plan names, which need not exist yet. */
  readonly credentials: readonly CredentialReference[]
  readonly problems: readonly Problem[]
}

export function compileTransport(parts: TransportParts): Transport {
  const { tls } = parts
  if (tls === undefined) return automatic(parts)
  switch (tls.value.mode ?? 'DISABLE') {
    case 'DISABLE':
      return bare({ kind: 'plaintext' })
    case 'ISTIO_MUTUAL':
      return bare({ kind: 'tls', tls: meshTls(parts, tls.value) })
    case 'SIMPLE':
      return originate(parts, tls, 'SIMPLE')
    case 'MUTUAL':
      return originate(parts, tls, 'MUTUAL')
  }
}

function bare(plan: TransportPlan): Transport {
  return { plan, credentials: [], problems: [] }
}

/**
 * Without a `tls` block the mesh's mutual TLS is used towards the endpoints that are known to take it. A gateway that
 * was given no identity cannot: it stays with plain text, which their sidecars take unless they are strict.
 */
function automatic(parts: TransportParts): Transport {
  const { service, endpoints, peers, options } = parts
  const isTaken = endpoints.some(({ labels }) => labels[TLS_MODE_LABEL] === 'istio')
  if (!isTaken || service.external || !options.mesh.enableAutoMtls || peers.isOffIn(service.namespace)) {
    return bare({ kind: 'plaintext' })
  }
  if (options.mesh.hasMeshIdentity) return bare({ kind: 'auto-mtls', tls: meshTls(parts, {}) })
  const problem: Problem = {
    code: 'service/no-mesh-identity',
    severity: 'warning',
    origin: service.origin,
    message: `endpoints of ${service.host} take the mesh's mutual TLS, and this gateway has no identity in the mesh: requests go to them in plain text, which they refuse where PeerAuthentication is STRICT`,
    remedy: 'Set identity.provider, or a DestinationRule with the tls mode that is meant',
  }
  return { ...bare({ kind: 'plaintext' }), problems: [problem] }
}

function meshTls(
  { service, port, subset, protocol, options }: TransportParts,
  { sni, subjectAltNames = [] }: ClientTLSSettings,
): TlsTransport {
  return {
    mode: 'ISTIO_MUTUAL',
    sni: sni || `outbound_.${port}_.${subset}_.${service.host}`,
    trust: { kind: 'mesh' },
    subjectAltNames: subjectAltNames.length > 0 ? subjectAltNames : identitiesOf(service, options.mesh),
    clientCertificate: { kind: 'mesh' },
    ...alpnOf(MESH_ALPN, protocol),
    minVersion: options.mesh.meshMTLS.minProtocolVersion === 'TLSV1_3' ? 'TLSv1.3' : 'TLSv1.2',
  }
}

function alpnOf({ http1, http2 }: typeof MESH_ALPN, protocol: Protocol): Pick<TlsTransport, 'alpn' | 'http2Alpn'> {
  if (protocol === 'client') return { alpn: http1, http2Alpn: http2 }
  return { alpn: protocol === 'http2' ? http2 : http1 }
}

/** TLS as any client would begin it. */
function originate(
  { service, protocol, options: { gateway } }: TransportParts,
  { value, rule, pointer }: Piece<ClientTLSSettings>,
  mode: 'SIMPLE' | 'MUTUAL',
): Transport {
  const { credentialName: credential = '', insecureSkipVerify = false, subjectAltNames = [], sni } = value
  const credentials: CredentialReference[] = []
  const refer = (use: CredentialReference['use']) => {
    credentials.push({ use, credential, rule, pointer: `${pointer}/credentialName`, host: service.host })
  }
  if (isRevocationWithoutAuthority(value)) return refuseRevocation(rule, `${pointer}/caCrl`)
  const trust = trustOf(value, gateway.namespace)
  const clientCertificate = mode === 'SIMPLE' ? null : clientCertificateOf(value, gateway.namespace)
  if (clientCertificate?.kind === 'certificate') refer('key-pair')
  if (trust.kind === 'certificate') refer('authority')
  const names = subjectAltNames.length > 0 ? subjectAltNames : service.subjectAltNames
  const tls: TlsTransport = {
    mode,
    sni: sni || null,
    trust,
    subjectAltNames: insecureSkipVerify ? [] : names,
    clientCertificate,
    ...alpnOf(PLAIN_ALPN, protocol),
    minVersion: 'TLSv1.2',
  }
  return { plan: { kind: 'tls', tls }, credentials, problems: [] }
}

function trustOf(tls: ClientTLSSettings, namespace: string): TrustPlan {
  const { insecureSkipVerify, credentialName, caCertificates, caCrl } = tls
  if (insecureSkipVerify === true) return { kind: 'none' }
  if (credentialName) return { kind: 'certificate', name: authorityName(credentialName, namespace) }
  if (!caCertificates || caCertificates === SYSTEM) return { kind: 'system' }
  return { kind: 'file', path: caCertificates, ...(caCrl ? { crlPath: caCrl } : {}) }
}

function clientCertificateOf(
  { credentialName, clientCertificate = '', privateKey = '' }: ClientTLSSettings,
  namespace: string,
): ClientCertificatePlan {
  if (credentialName) return { kind: 'certificate', name: secretName(credentialName, namespace) ?? credentialName }
  return { kind: 'file', certificatePath: clientCertificate, keyPath: privateKey }
}

/**
 * A revocation list is checked for every authority of a chain, so it needs authorities whose list it is: beside those
 * of the machine it would either refuse everybody or be ignored. With `credentialName` it is in the Secret.
 */
function isRevocationWithoutAuthority(tls: ClientTLSSettings): boolean {
  return Boolean(tls.caCrl) && !tls.credentialName && trustOf(tls, '').kind === 'system'
}

function refuseRevocation(rule: DestinationRule, pointer: string): Transport {
  const reason = 'caCrl without caCertificates'
  const found = problem('error', rule, pointer, {
    code: 'destination-rule/revocation-list',
    message: `${reason} cannot be honoured: requests to this destination are refused`,
    remedy: 'Name the file of the authorities whose list it is in caCertificates.',
  })
  return { plan: { kind: 'unsupported', reason }, credentials: [], problems: [found] }
}
