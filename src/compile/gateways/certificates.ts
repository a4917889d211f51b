/**
 * What a TLS server presents: key pairs from Secrets in the gateway workload's namespace, or from files.
 *
 * Source: istio: pilot/pkg/security/model/authentication.go (which field wins).
 */
import type { CertificatePlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import { keyPairOf, secretName } from '../credentials.ts'
import { listed, problem } from '../findings.ts'
import { type CredentialObjects, refused, secretNotFound, unusable } from './credential-problems.ts'
import type { GatewayServer } from './server.ts'

/** Istio takes one pair for each kind of key, RSA and ECDSA, and no more. */
const MAX_CERTIFICATES = 2

export interface Certificates {
  /** Names for the server; one that has no certificate makes its handshakes fail until it has. */
  readonly names: readonly string[]
  readonly certificates: readonly CertificatePlan[]
  readonly problems: readonly Problem[]
}

/** One credential that a server names, with its place in the server. */
export interface Credential {
  readonly credential: string
  readonly pointer: string
}

const NONE: Certificates = { names: [], certificates: [], problems: [] }

export function certificatesOf(server: GatewayServer, objects: CredentialObjects): Certificates {
  // The gateway's own certificate of the mesh, which is no entry of the plan.
  if (server.server.tls?.mode === 'ISTIO_MUTUAL') return NONE
  const credentials = credentialsOf(server)
  if (credentials.length > 0) {
    const found = credentials.map((credential) => fromSecret(server, credential, objects))
    return {
      names: found.map(({ name }) => name),
      certificates: found.flatMap(({ certificate }) => certificate ?? []),
      problems: found.flatMap(({ failure }) => failure ?? []),
    }
  }
  const certificates = fromFiles(server)
  if (certificates.length > 0) return { names: certificates.map(({ name }) => name), certificates, problems: [] }
  const missing = problem('error', server.gateway, `${server.pointer}/tls`, {
    code: 'gateway/no-certificate',
    message: 'the server names no certificate, so every TLS handshake with it fails',
    remedy: 'Set credentialName, or serverCertificate and privateKey.',
  })
  return { ...NONE, problems: [missing] }
}

/** Secrets that hold the server's key pairs; none where those are files. */
export function credentialsOf({ server: { tls }, pointer }: GatewayServer): Credential[] {
  const single = tls?.credentialName
    ? [{ credential: tls.credentialName, pointer: `${pointer}/tls/credentialName` }]
    : []
  const several = (tls?.credentialNames ?? []).map((credential, i) => ({
    credential,
    pointer: `${pointer}/tls/credentialNames/${i}`,
  }))
  return [...single, ...several].slice(0, MAX_CERTIFICATES)
}

function fromFiles({ server: { tls } }: GatewayServer): CertificatePlan[] {
  return [tls, ...(tls?.tlsCertificates ?? [])].slice(0, MAX_CERTIFICATES + 1).flatMap((pair) =>
    pair?.serverCertificate && pair.privateKey
      ? [
          {
            name: `file:${pair.serverCertificate}`,
            certificateFile: pair.serverCertificate,
            privateKeyFile: pair.privateKey,
          },
        ]
      : [],
  )
}

interface Found {
  readonly name: string
  readonly certificate?: CertificatePlan
  readonly failure?: Problem
}

function fromSecret(server: GatewayServer, reference: Credential, objects: CredentialObjects): Found {
  const { credential } = reference
  const name = secretName(credential, objects.namespace)
  if (name === undefined) return { name: credential, failure: refused(server, reference, objects) }
  const entries = objects.secret(name)
  const consequence = `so TLS handshakes for ${listed(server.hosts.map(({ host }) => host))} fail`
  if (entries === undefined) {
    return (
      ordered(server, reference, objects, name, consequence) ?? {
        name,
        failure: secretNotFound(server, reference, objects, name, consequence),
      }
    )
  }
  const pair = keyPairOf(entries)
  if (typeof pair === 'string') {
    return { name, failure: unusable(server, reference, `Secret ${name} holds no key pair: ${pair}`, consequence) }
  }
  const certificate = { name, ...pair }
  const flaw = notPem(pair)
  if (flaw === '') return { name, certificate }
  // It stays in the plan: where a good one is in use, that one stays.
  return {
    name,
    certificate,
    failure: unusable(server, reference, `Secret ${name} holds no key pair: ${flaw}`, consequence),
  }
}

/** What an authority has issued in the place of a Secret, or will. */
function ordered(
  { gateway }: GatewayServer,
  { pointer }: Credential,
  objects: CredentialObjects,
  name: string,
  consequence: string,
): Found | undefined {
  const order = objects.order(name)
  const issued = objects.issued(name)
  if (order === undefined) return undefined
  if (issued !== undefined) {
    const { certificateChain, privateKey } = issued
    return { name, certificate: { name, certificateChain, privateKey } }
  }
  const failure = problem('warning', gateway, pointer, {
    code: 'gateway/certificate-pending',
    message: `${name} has not been issued by ${order.issuer} yet, ${consequence}`,
  })
  return { name, failure }
}

/** Whether a pair fits is checked where the Secret is read; here is told what does not even look like one. */
function notPem({ certificateChain, privateKey }: { certificateChain: string; privateKey: string }): string {
  if (!certificateChain.includes('-----BEGIN CERTIFICATE-----')) return 'its certificate is no PEM text'
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(privateKey) ? '' : 'its key is no PEM text'
}
