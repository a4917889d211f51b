/**
 * Identities of workloads in a mesh: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
 *
 * Source: istio: pkg/spiffe/spiffe.go (`GenSpiffeURI`, `ExpandWithTrustDomains`), pilot/pkg/model/push_context.go
 * (`ServiceAccounts`).
 */
import type { MeshOptions } from '../options.ts'
import type { MeshService } from '../services/service.ts'

const SPIFFE = /^spiffe:\/\/[^/]+(\/ns\/[^/]+\/sa\/[^/]+)$/

/**
 * Names of which one has to be in the certificate of any endpoint of the service: its service accounts as far as they
 * are known, and the names that its ServiceEntry lists. Each identity counts in every alias of the trust domain.
 *
 * @returns Empty where nothing is known.
 */
export function identitiesOf(
  { namespace, endpoints, subjectAltNames }: MeshService,
  { trustDomain, trustDomainAliases }: Pick<MeshOptions, 'trustDomain' | 'trustDomainAliases'>,
): string[] {
  const accounts = [...endpoints.values()].flat().flatMap(({ serviceAccount }) => serviceAccount ?? [])
  const own = accounts.map((account) => identity(trustDomain, `/ns/${namespace}/sa/${account}`))
  const names = [...subjectAltNames, ...own]
  const aliased = names.flatMap((name) => {
    const path = SPIFFE.exec(name)?.[1]
    return path === undefined ? [] : trustDomainAliases.map((alias) => identity(alias, path))
  })
  return [...new Set([...names, ...aliased])].sort()
}

/** A trust domain that looks like an e-mail address is written as a host name. */
function identity(trustDomain: string, path: string): string {
  return `spiffe://${trustDomain.replaceAll('@', '.')}${path}`
}
