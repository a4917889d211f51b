/** What no single setting of `acme:` can say of itself: those that need, or exclude, each other. */
import type { Static } from 'typebox'
import { nearest } from '../lib/nearest.ts'
import type { acmeSchema } from './acme.ts'
import type { Redacted } from '../lib/redacted.ts'

/** Where and what. */
export interface Contradiction {
  readonly at: readonly string[]
  readonly message: string
  readonly remedy?: string
}

type Acme = Static<typeof acmeSchema>

/** @param hasRedis Whether there is a Redis to share. */
export function contradictionsOf({ defaultIssuer, storage, issuers }: Acme, hasRedis: boolean): Contradiction[] {
  const found: Contradiction[] = []
  const add = (at: readonly string[], message: string, remedy?: string) => {
    found.push({ at: ['acme', ...at], message, ...(remedy === undefined ? {} : { remedy }) })
  }
  if (defaultIssuer !== null && !Object.hasOwn(issuers, defaultIssuer)) {
    const near = nearest(defaultIssuer, Object.keys(issuers))
    add(
      ['defaultIssuer'],
      `there is no issuer "${defaultIssuer}" in acme.issuers.`,
      near === undefined ? undefined : `Did you mean "${near}"?`,
    )
  }
  if (storage === 'redis' && !hasRedis)
    add(['storage'], 'there is no redis.url, nor redis.sentinels.', 'Set it, or use files.')
  for (const [name, { eab, dns }] of Object.entries(issuers)) {
    const at = (...rest: string[]) => ['issuers', name, ...rest]
    if (isTwice(eab.hmacKey, eab.hmacKeyFile)) add(at('eab', 'hmacKeyFile'), 'hmacKey is set, too: one of the two.')
    const hasMac = eab.hmacKey !== null || eab.hmacKeyFile !== null
    if (eab.kid !== null && !hasMac) add(at('eab', 'kid'), 'needs hmacKey or hmacKeyFile.')
    if (eab.kid === null && hasMac) add(at('eab'), 'needs kid.')
    if (dns.server !== null && dns.hook !== null) add(at('dns', 'hook'), 'server is set, too: one of the two.')
    if (isTwice(dns.key, dns.keyFile)) add(at('dns', 'keyFile'), 'key is set, too: one of the two.')
    const hasKey = dns.key !== null || dns.keyFile !== null
    if (dns.keyName !== null && !hasKey) add(at('dns', 'keyName'), 'needs key or keyFile.')
    if (dns.keyName === null && hasKey) add(at('dns'), 'needs keyName: the name of the TSIG key.')
  }
  return found
}

function isTwice(secret: Redacted | null, file: string | null): boolean {
  return secret !== null && file !== null
}
