/**
 * Where a TLS server's key pairs come from: Secrets in the gateway workload's namespace, or files.
 *
 * Source: istio: pilot/pkg/security/model/authentication.go (which field wins).
 */
import type { CertificatePlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import type { Secret } from '../../resources/secret.ts'
import { entriesOfSecret, keyPairOf, secretName } from '../credentials.ts'
import { listed, nameOf, problem } from '../findings.ts'
import type { GatewayServer } from './server.ts'

/** Istio takes one pair for each kind of key, RSA and ECDSA, and no more. */
const MAX_CERTIFICATES = 2

export interface Certificates {
  /** Names for the server; one that has no certificate makes its handshakes fail until it has. */
  readonly names: readonly string[]
  readonly certificates: readonly CertificatePlan[]
  readonly problems: readonly Problem[]
}

/**
 * @param secrets By `NAMESPACE/NAME`.
 * @param namespace The gateway workload's: a bare credential name is looked up there, wherever the Gateway is.
 */
export function certificatesOf(
  server: GatewayServer,
  secrets: ReadonlyMap<string, Secret>,
  namespace: string,
): Certificates {
  const { tls } = server.server
  const single = tls?.credentialName ? [{ credential: tls.credentialName, pointer: '/tls/credentialName' }] : []
  const several = (tls?.credentialNames ?? []).map((credential, i) => ({
    credential,
    pointer: `/tls/credentialNames/${i}`,
  }))
  const credentials = [...single, ...several].slice(0, MAX_CERTIFICATES)
  if (credentials.length > 0) {
    const found = credentials.map(({ credential, pointer }) =>
      fromSecret(server, credential, `${server.pointer}${pointer}`, secrets, namespace),
    )
    return {
      names: found.map(({ name }) => name),
      certificates: found.flatMap(({ certificate }) => certificate ?? []),
      problems: found.flatMap(({ failure }) => failure ?? []),
    }
  }
  const certificates = fromFiles(server)
  if (certificates.length > 0) return { names: certificates.map(({ name }) => name), certificates, problems: [] }
  return {
    names: [],
    certificates: [],
    problems: [
      problem('error', server.gateway, `${server.pointer}/tls`, {
        code: 'gateway/no-certificate',
        message: 'the server names no certificate, so every TLS handshake with it fails',
        remedy: 'Set credentialName, or serverCertificate and privateKey.',
      }),
    ],
  }
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

function fromSecret(
  server: GatewayServer,
  credential: string,
  pointer: string,
  secrets: ReadonlyMap<string, Secret>,
  namespace: string,
): Found {
  const name = secretName(credential, namespace)
  const refuse = (code: string, istioCode: string, message: string, remedy: string): Found => ({
    name: name ?? credential,
    failure: problem('error', server.gateway, pointer, { code, istioCode, message, remedy }),
  })
  if (name === undefined) {
    return refuse(
      'gateway/credential-refused',
      'IST0101',
      `credential ${credential} cannot be used: a gateway reads Secrets of its own namespace, ${namespace}, only`,
      `Put the Secret into namespace ${namespace} and give its bare name.`,
    )
  }
  const secret = secrets.get(name)
  if (secret === undefined) {
    const elsewhere = [...secrets.values()].find(({ metadata }) => metadata.name === credential)
    const hint = elsewhere === undefined ? `Create it` : `There is a Secret ${nameOf(elsewhere)}: create it`
    return refuse(
      'gateway/secret-not-found',
      'IST0101',
      `Secret ${name} does not exist, so TLS handshakes for ${listed(server.hosts.map(({ host }) => host))} fail`,
      `${hint} in the gateway's namespace.`,
    )
  }
  const pair = keyPairOf(entriesOfSecret(secret))
  if (typeof pair === 'string') {
    return refuse(
      'gateway/secret-unusable',
      'IST0161',
      `Secret ${name} holds no key pair: ${pair}`,
      'Create it as kubernetes.io/tls.',
    )
  }
  return { name, certificate: { name, ...pair } }
}
