/**
 * What `credentialName` stands for: key pairs and certificate authorities in Secrets (or ConfigMaps).
 *
 * Source: istio: pilot/pkg/credentials/kube/secrets.go (keys and their order), pilot/pkg/model/credentials/resource.go
 * (names).
 */
import type { ConfigMap } from '../resources/config-map.ts'
import type { Secret } from '../resources/secret.ts'
import { listed } from './findings.ts'

/** Pairs of keys in a Secret, in the order in which they are tried. */
const KEY_PAIRS = [
  ['cert', 'key'],
  ['tls.crt', 'tls.key'],
] as const

/** The same for certificate authorities, each with the key of its revocation list. */
const AUTHORITIES = [
  ['cacert', 'crl'],
  ['ca.crt', 'ca.crl'],
] as const

/** A Secret of this name holds the authorities that belong to the key pair in the one without. */
export const CA_SUFFIX = '-cacert'

const CONFIG_MAP = 'configmap://'
const SECRET = 'kubernetes://'

/** Texts of a Secret or a ConfigMap by key. */
export type Entries = Readonly<Record<string, string>>

/**
 * @param namespace The gateway workload's: it reads Secrets of its own namespace, wherever the object is that names them.
 * @returns `NAMESPACE/NAME` of the Secret that a credential name stands for; undefined where a gateway may not read it.
 */
export function secretName(credential: string, namespace: string): string | undefined {
  if (!credential.includes('://')) return `${namespace}/${credential}`
  if (!credential.startsWith(SECRET)) return undefined
  const rest = credential.slice(SECRET.length)
  if (!rest.includes('/')) return `${namespace}/${rest}`
  return rest.startsWith(`${namespace}/`) ? rest : undefined
}

/** `NAMESPACE/NAME` of a ConfigMap; undefined where the credential is none. ConfigMaps hold authorities only. */
export function configMapName(credential: string): string | undefined {
  return credential.startsWith(CONFIG_MAP) ? credential.slice(CONFIG_MAP.length) : undefined
}

/** What the plan calls the authorities of a credential, whichever object they are found in. */
export function authorityName(credential: string, namespace: string): string {
  return `ca:${secretName(credential, namespace) ?? credential}`
}

export function entriesOfSecret({ spec: { data } }: Secret): Entries {
  return Object.fromEntries(
    Object.entries(data).map(([key, base64]) => [key, Buffer.from(base64, 'base64').toString('utf8')]),
  )
}

export function entriesOfConfigMap({ spec: { data } }: ConfigMap): Entries {
  return data ?? {}
}

/** PEM texts; or, as a text, why there are none. */
export function keyPairOf(entries: Entries): { certificateChain: string; privateKey: string } | string {
  for (const [certificateKey, privateKey] of KEY_PAIRS) {
    const [chain, key] = [entries[certificateKey], entries[privateKey]]
    if (chain === undefined || key === undefined) continue
    if (chain.trim() === '') return `its ${certificateKey} is empty`
    if (key.trim() === '') return `its ${privateKey} is empty`
    return { certificateChain: chain, privateKey: key }
  }
  return `it has neither ${KEY_PAIRS.map(listed).join(', nor ')}`
}

/** PEM texts; or, as a text, why there are none. */
export function authoritiesOf(entries: Entries): { caCertificates: string; crl?: string } | string {
  for (const [key, crlKey] of AUTHORITIES) {
    const caCertificates = entries[key]
    if (caCertificates === undefined) continue
    if (caCertificates.trim() === '') return `its ${key} is empty`
    const crl = entries[crlKey] ?? ''
    return crl.trim() === '' ? { caCertificates } : { caCertificates, crl }
  }
  return `it has neither ${AUTHORITIES.map(([key]) => key).join(' nor ')}`
}
