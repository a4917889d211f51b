/**
 * What a TLS server asks of its clients' certificates. Where what they are verified against is missing, no client is
 * let in.
 *
 * Source: istio: pilot/pkg/networking/core/listener.go (`BuildListenerTLSContext`), pilot/pkg/security/model/
 * authentication.go (`ApplyToCommonTLSContext`, `ApplyCustomSDSToServerCommonTLSContext`); semantics §1.6 and §1.7.
 */
import type { TrustPlan } from '../../plan/cluster.ts'
import type { CertificatePlan, ClientCertificateDemand } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ServerTLSSettings } from '../../resources/gateway.ts'
import { authoritiesOf, authorityName, CA_SUFFIX, configMapName, secretName } from '../credentials.ts'
import { listed, problem } from '../findings.ts'
import type { MeshOptions } from '../options.ts'
import { credentialsOf, type Credential } from './certificates.ts'
import { type CredentialObjects, refused, secretNotFound, unusable } from './credential-problems.ts'
import type { GatewayServer } from './server.ts'

export interface ClientCertificates {
  /** Null: clients are not asked for a certificate. */
  readonly demand: ClientCertificateDemand | null
  readonly certificates: readonly CertificatePlan[]
  readonly problems: readonly Problem[]
}

interface FoundTrust {
  readonly trust: TrustPlan
  readonly certificate?: CertificatePlan
  readonly failure?: Problem
}

/** Checks of a client's certificate, which have no effect where none is asked for. */
const CHECKS = ['subjectAltNames', 'verifyCertificateSpki', 'verifyCertificateHash', 'insecureSkipVerify'] as const

export function clientCertificatesOf(
  server: GatewayServer,
  objects: CredentialObjects,
  mesh: Pick<MeshOptions, 'trustDomain' | 'trustDomainAliases' | 'hasMeshIdentity'>,
): ClientCertificates {
  const { tls } = server.server
  switch (tls?.mode) {
    case 'ISTIO_MUTUAL':
      return {
        demand: meshDemand(tls, mesh),
        certificates: [],
        problems: mesh.hasMeshIdentity ? [] : [noIdentity(server)],
      }
    case 'MUTUAL':
    case 'OPTIONAL_MUTUAL': {
      const { trust, certificate, failure } = trustOf(server, tls, objects)
      const demand: ClientCertificateDemand = {
        required: tls.mode === 'MUTUAL',
        trust,
        subjectAltNames: tls.subjectAltNames ?? [],
        publicKeyHashes: tls.verifyCertificateSpki ?? [],
        certificateHashes: (tls.verifyCertificateHash ?? []).map(plainHash),
        trustDomains: null,
      }
      return {
        demand,
        certificates: certificate === undefined ? [] : [certificate],
        problems: failure === undefined ? [] : [failure],
      }
    }
    default:
      return { demand: null, certificates: [], problems: tls === undefined ? [] : withoutEffect(server, tls) }
  }
}

/** Whoever the mesh's own authority has signed for, in the mesh's own trust domain, or with one of the names. */
function meshDemand(
  { subjectAltNames = [] }: ServerTLSSettings,
  { trustDomain, trustDomainAliases }: Pick<MeshOptions, 'trustDomain' | 'trustDomainAliases'>,
): ClientCertificateDemand {
  return {
    required: true,
    trust: { kind: 'mesh' },
    subjectAltNames,
    publicKeyHashes: [],
    certificateHashes: [],
    trustDomains: subjectAltNames.length > 0 ? null : [...new Set([trustDomain, ...trustDomainAliases])],
  }
}

function noIdentity({ gateway, pointer, hosts }: GatewayServer): Problem {
  return problem('error', gateway, `${pointer}/tls/mode`, {
    code: 'gateway/no-mesh-identity',
    message: `ISTIO_MUTUAL presents the gateway's certificate of the mesh, and this gateway has none, so TLS handshakes for ${listed(hosts.map(({ host }) => host))} fail`,
    remedy: 'Set identity.provider.',
  })
}

function trustOf(server: GatewayServer, tls: ServerTLSSettings, objects: CredentialObjects): FoundTrust {
  if (tls.insecureSkipVerify === true) return { trust: { kind: 'none' } }
  const override = tls.caCertCredentialName
  if (override) {
    return fromObject(server, { credential: override, pointer: `${server.pointer}/tls/caCertCredentialName` }, objects)
  }
  const [credential] = credentialsOf(server)
  if (credential !== undefined) return fromObject(server, credential, objects)
  const path = tls.caCertificates || tls.tlsCertificates?.find(({ caCertificates }) => caCertificates)?.caCertificates
  return { trust: { kind: 'file', path: path ?? '', ...(tls.caCrl ? { crlPath: tls.caCrl } : {}) } }
}

/** `NAME-cacert` goes before `NAME`, so that who may replace the authorities need not see the key. */
function fromObject(server: GatewayServer, reference: Credential, objects: CredentialObjects): FoundTrust {
  const { credential } = reference
  const planName = authorityName(credential, objects.namespace)
  const trust: TrustPlan = { kind: 'certificate', name: planName }
  const consequence = `so no client certificate is accepted for ${listed(server.hosts.map(({ host }) => host))}`
  const configMap = configMapName(credential)
  const name = configMap ?? secretName(credential, objects.namespace)
  if (name === undefined) return { trust, failure: refused(server, reference, objects) }
  const own = configMap === undefined ? objects.secret(`${name}${CA_SUFFIX}`) : undefined
  const entries = configMap === undefined ? (own ?? objects.secret(name)) : objects.configMap(configMap)
  const object =
    configMap === undefined ? `Secret ${own === undefined ? name : `${name}${CA_SUFFIX}`}` : `ConfigMap ${name}`
  if (entries === undefined) {
    const failure =
      configMap === undefined
        ? secretNotFound(server, reference, objects, name, consequence)
        : unusable(server, reference, `${object} does not exist`, consequence)
    return { trust, failure }
  }
  const found = authoritiesOf(entries)
  if (typeof found === 'string') {
    const failure = unusable(server, reference, `${object} holds no certificate authority: ${found}`, consequence)
    return { trust, failure }
  }
  const certificate = { name: planName, ...found }
  if (found.caCertificates.includes('-----BEGIN CERTIFICATE-----')) return { trust, certificate }
  const flaw = `${object} holds no certificate authority: it is no PEM text`
  return { trust, certificate, failure: unusable(server, reference, flaw, consequence) }
}

function withoutEffect(server: GatewayServer, tls: ServerTLSSettings): Problem[] {
  if (tls.mode !== 'SIMPLE') return []
  return CHECKS.filter((field) => (Array.isArray(tls[field]) ? tls[field].length > 0 : tls[field] === true)).map(
    (field) =>
      problem('warning', server.gateway, `${server.pointer}/tls/${field}`, {
        code: 'gateway/no-effect',
        message: `SIMPLE asks clients for no certificate, so ${field} has no effect`,
        remedy: 'Use MUTUAL or OPTIONAL_MUTUAL.',
      }),
  )
}

/** With or without colons, in any letter case. */
function plainHash(hash: string): string {
  return hash.replaceAll(':', '').toLowerCase()
}
