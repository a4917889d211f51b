/**
 * Secrets and ConfigMaps that DestinationRules name. Clusters are compiled without them: a connection to a cluster
 * whose Secret is missing fails until it appears, and nothing else of the plan changes when it does.
 *
 * Source: istio: pilot/pkg/security/model/authentication.go (`ApplyCustomSDSToClientCommonTLSContext`),
 * pilot/pkg/xds/sds.go.
 */
import type { CertificatePlan } from '../../plan/listener.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ConfigMap } from '../../resources/config-map.ts'
import type { DestinationRule } from '../../resources/destination-rule.ts'
import type { Secret } from '../../resources/secret.ts'
import {
  authoritiesOf,
  authorityName,
  CA_SUFFIX,
  configMapName,
  entriesOfConfigMap,
  entriesOfSecret,
  type Entries,
  keyPairOf,
  secretName,
} from '../credentials.ts'
import { nameOf, problem } from '../findings.ts'

export interface CredentialReference {
  readonly use: 'key-pair' | 'authority'
  /** As the rule writes it. */
  readonly credential: string
  readonly rule: DestinationRule
  readonly pointer: string
  /** Whose connections need it. */
  readonly host: string
}

export interface Credentials {
  readonly certificates: Readonly<Record<string, CertificatePlan>>
  readonly problems: readonly Problem[]
}

/** @param namespace The gateway workload's, where its Secrets are. */
export function readCredentials(
  references: readonly CredentialReference[],
  allSecrets: readonly Secret[],
  allConfigMaps: readonly ConfigMap[],
  namespace: string,
): Credentials {
  const certificates: Record<string, CertificatePlan> = {}
  const problems: Problem[] = []
  if (references.length === 0) return { certificates, problems }
  const secrets = new Map(allSecrets.map((secret) => [nameOf(secret), secret]))
  const configMaps = new Map(allConfigMaps.map((configMap) => [nameOf(configMap), configMap]))
  for (const reference of references) {
    const found = read(reference, secrets, configMaps, namespace)
    if ('code' in found) problems.push(found)
    else certificates[found.name] = found
  }
  return { certificates, problems }
}

function read(
  reference: CredentialReference,
  secrets: ReadonlyMap<string, Secret>,
  configMaps: ReadonlyMap<string, ConfigMap>,
  namespace: string,
): CertificatePlan | Problem {
  const { use, credential } = reference
  const configMap = configMapName(credential)
  if (configMap !== undefined) {
    if (use === 'key-pair') return noKeyPair(reference)
    const entries = configMaps.get(configMap)
    if (entries === undefined) return notFound(reference, `ConfigMap ${configMap}`)
    return authority(reference, namespace, `ConfigMap ${configMap}`, entriesOfConfigMap(entries))
  }
  const name = secretName(credential, namespace)
  if (name === undefined) return refused(reference, namespace)
  const secret = secrets.get(name)
  if (use === 'key-pair') {
    if (secret === undefined) return notFound(reference, `Secret ${name}`)
    const pair = keyPairOf(entriesOfSecret(secret))
    return typeof pair === 'string'
      ? unusable(reference, `Secret ${name} holds no key pair: ${pair}`)
      : { name, ...pair }
  }
  const own = secrets.get(`${name}${CA_SUFFIX}`) ?? secret
  if (own === undefined) return notFound(reference, `Secret ${name}`)
  return authority(reference, namespace, `Secret ${nameOf(own)}`, entriesOfSecret(own))
}

function authority(
  reference: CredentialReference,
  namespace: string,
  object: string,
  entries: Entries,
): CertificatePlan | Problem {
  const found = authoritiesOf(entries)
  if (typeof found !== 'string') return { name: authorityName(reference.credential, namespace), ...found }
  return unusable(reference, `${object} holds no certificate authority: ${found}`)
}

function notFound(reference: CredentialReference, object: string): Problem {
  return failing(reference, {
    code: 'destination-rule/secret-not-found',
    istioCode: 'IST0101',
    message: `${object} does not exist`,
    remedy: 'Create it.',
  })
}

function refused(reference: CredentialReference, namespace: string): Problem {
  return failing(reference, {
    code: 'destination-rule/credential-refused',
    istioCode: 'IST0101',
    message: `credential ${reference.credential} cannot be used (a gateway reads Secrets of its own namespace, ${namespace}, only)`,
    remedy: `Put the Secret into namespace ${namespace} and give its bare name.`,
  })
}

function noKeyPair(reference: CredentialReference): Problem {
  return unusable(reference, `a ConfigMap holds no key pair, which tls mode MUTUAL needs`)
}

function unusable(reference: CredentialReference, message: string): Problem {
  return failing(reference, { code: 'destination-rule/secret-unusable', istioCode: 'IST0161', message })
}

function failing(
  { rule, pointer, host }: CredentialReference,
  finding: { code: string; istioCode: string; message: string; remedy?: string },
): Problem {
  return problem('error', rule, pointer, {
    ...finding,
    message: `${finding.message}, so TLS handshakes with ${host} fail`,
  })
}
