/**
 * Principals over the names of the local trust domain.
 *
 * Source: istio: pilot/pkg/security/trustdomain/bundle.go; semantics §5.8.
 */
import type { MeshOptions } from '../options.ts'

/** Stands for the local trust domain in a policy, whatever that is called. */
const LOCAL = 'cluster.local'

/** `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` */
const IDENTITY = /^([^/]+)(\/ns\/[^/]+\/sa\/[^/]+)$/

/** All spellings of a principal; other forms than a whole identity, and other trust domains, are only themselves. */
export function spellPrincipal(
  principal: string,
  { trustDomain, trustDomainAliases }: Pick<MeshOptions, 'trustDomain' | 'trustDomainAliases'>,
): string[] {
  const [, domain, rest] = IDENTITY.exec(principal) ?? []
  const domains = new Set([trustDomain, ...trustDomainAliases])
  if (domain === undefined || rest === undefined) return [principal]
  if (domain !== LOCAL && !covers(domains, domain)) return [principal]
  return [...domains].map((own) => own + rest)
}

/** Whether a trust domain, perhaps with a wildcard before it, may be one of these. */
function covers(domains: ReadonlySet<string>, domain: string): boolean {
  if (domain === '*') return false
  if (!domain.startsWith('*')) return domains.has(domain)
  return [...domains].some((own) => own.endsWith(domain.slice(1)))
}
