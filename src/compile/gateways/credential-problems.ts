/** Objects that credentials of a Gateway's servers name, and what can be wrong with such a name. */
import type { AcmeCertificatePlan } from '../../plan/acme.ts'
import type { Problem } from '../../plan/problem.ts'
import type { ConfigMap } from '../../resources/config-map.ts'
import type { Secret } from '../../resources/secret.ts'
import { type Entries, entriesOfConfigMap, entriesOfSecret } from '../credentials.ts'
import { nameOf, problem } from '../findings.ts'
import type { AcmeOrders, IssuedCertificate, IssuedCertificates } from './acme.ts'
import type { Credential } from './certificates.ts'
import type { GatewayServer } from './server.ts'

/** Where credentials may be found. */
export interface CredentialSources {
  readonly secrets: readonly Secret[]
  readonly configMaps: readonly ConfigMap[]
  /** What is ordered where there is no Secret. */
  readonly orders: AcmeOrders['orders']
  readonly issued: IssuedCertificates
}

export interface CredentialObjects {
  /** The gateway workload's: a bare credential name is looked up there, wherever the Gateway is. */
  readonly namespace: string
  /** Texts of a Secret by `NAMESPACE/NAME`; undefined: there is none. */
  secret(name: string): Entries | undefined
  /** The same of a ConfigMap. */
  configMap(name: string): Entries | undefined
  /** An order that takes the place of a Secret, by the Secret's `NAMESPACE/NAME`. */
  order(name: string): AcmeCertificatePlan | undefined
  /** What it got so far. */
  issued(name: string): IssuedCertificate | undefined
  /** `NAMESPACE/NAME` of a Secret of that name in whichever namespace. */
  elsewhere(name: string): string | undefined
}

export function credentialObjects(
  { secrets, configMaps, orders, issued }: CredentialSources,
  namespace: string,
): CredentialObjects {
  const secretsByName = new Map(secrets.map((secret) => [nameOf(secret), secret]))
  const configMapsByName = new Map(configMaps.map((configMap) => [nameOf(configMap), configMap]))
  return {
    namespace,
    secret: (name) => {
      const secret = secretsByName.get(name)
      return secret === undefined ? undefined : entriesOfSecret(secret)
    },
    configMap: (name) => {
      const configMap = configMapsByName.get(name)
      return configMap === undefined ? undefined : entriesOfConfigMap(configMap)
    },
    order: (name) => orders[name],
    issued: (name) => issued.get(name),
    elsewhere: (name) => {
      const found = secrets.find(({ metadata }) => metadata.name === name)
      return found === undefined ? undefined : nameOf(found)
    },
  }
}

export function refused(
  { gateway }: GatewayServer,
  { credential, pointer }: Credential,
  { namespace }: CredentialObjects,
): Problem {
  return problem('error', gateway, pointer, {
    code: 'gateway/credential-refused',
    istioCode: 'IST0101',
    message: `credential ${credential} cannot be used: a gateway reads Secrets of its own namespace, ${namespace}, only`,
    remedy: `Put the Secret into namespace ${namespace} and give its bare name.`,
  })
}

/** @param consequence What does not work, beginning with `so`. */
export function secretNotFound(
  { gateway }: GatewayServer,
  { credential, pointer }: Credential,
  objects: CredentialObjects,
  name: string,
  consequence: string,
): Problem {
  const other = objects.elsewhere(credential)
  const hint = other === undefined ? 'Create it' : `There is a Secret ${other}: create it`
  return problem('error', gateway, pointer, {
    code: 'gateway/secret-not-found',
    istioCode: 'IST0101',
    message: `Secret ${name} does not exist, ${consequence}`,
    remedy: `${hint} in the gateway's namespace.`,
  })
}

export function unusable(
  { gateway }: GatewayServer,
  { pointer }: Credential,
  message: string,
  consequence: string,
): Problem {
  return problem('error', gateway, pointer, {
    code: 'gateway/secret-unusable',
    istioCode: 'IST0161',
    message: `${message}, ${consequence}`,
  })
}
