/**
 * Host names as Istio compares them: lower case, `*` alone or in front of a suffix, short names completed with the
 * namespace of the object that wrote them.
 *
 * Source: istio: pkg/config/host/name.go, pilot/pkg/model/virtualservice.go (short names).
 */
import { covers } from '../lib/names.ts'

/** A name that a Kubernetes user may shorten: no dot, no wildcard, no IPv6 colon. */
function isShortName(host: string): boolean {
  return !host.includes('.') && !host.includes('*') && !host.includes(':')
}

/** `reviews` written in namespace `shop` → `reviews.shop.svc.cluster.local`; any other name only in lower case. */
export function fullHost(host: string, namespace: string, clusterDomain: string): string {
  const lower = host.toLowerCase()
  return isShortName(lower) ? `${lower}.${namespace}.svc.${clusterDomain}` : lower
}

/**
 * The names that both lists stand for, the narrower of each pair: `*.foo.com` and `a.foo.com` give `a.foo.com`,
 * whichever side it is on (istio: `host.Names.Intersection`).
 */
export function intersectHosts(left: readonly string[], right: readonly string[]): string[] {
  const result: string[] = []
  for (const a of left) {
    for (const b of right) {
      const narrower = covers(b, a) ? a : covers(a, b) ? b : undefined
      if (narrower !== undefined && !result.includes(narrower)) result.push(narrower)
    }
  }
  return result
}

/**
 * Finds the entry for a host: its exact name, else the longest wildcard that covers it, `*` last.
 *
 * @param entries Keyed by lower-case host, wildcards included.
 */
export function mostSpecific<V>(entries: ReadonlyMap<string, V>, host: string): V | undefined {
  const exact = entries.get(host)
  if (exact !== undefined) return exact
  // Every suffix is tried, not only those at dots: DestinationRules may hold partial wildcards such as `*foo.com`.
  for (let start = 1; start <= host.length; start++) {
    const found = entries.get(`*${host.slice(start)}`)
    if (found !== undefined) return found
  }
  return undefined
}
