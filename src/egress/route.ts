/** The route of everything that goes to one destination through the forward proxy. */
import type { RetryPolicy } from '../plan/route.ts'
import type { ForwardRoute } from '../routing/compiled-route.ts'
import type { AllowedPort } from './allowlist.ts'

/** As a route of Istio's without `retries`, but only where nothing can have reached the destination. */
const RETRY: RetryPolicy = {
  attempts: 2,
  conditions: ['connect-failure', 'refused-stream'],
  statusCodes: [],
  perTryTimeoutMs: null,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: true,
}

/** What tells strangers about the inside: nothing beyond this proxy needs it. */
const INSIDE = [
  'x-envoy-attempt-count',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-external-address',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-proto',
]

/** RFC 9110 §7.6.3: a proxy says that it was there, by a name of its choice. */
const VIA = '1.1 sluice'

/** @param cluster Name of the destination's cluster. @param entry Null: nothing lists it. */
export function egressRoute(cluster: string, entry: AllowedPort | null): ForwardRoute {
  const { origin } = entry?.port ?? { origin: { kind: 'Settings', namespace: '', name: 'outboundTrafficPolicy' } }
  return {
    name: entry === null ? 'allow_any' : `egress/${origin.namespace}/${origin.name}`,
    origin,
    match: { path: { kind: 'any' } },
    action: { kind: 'forward', destinations: [{ cluster, weight: 1 }], timeoutMs: null, retry: RETRY },
    requestHeaders: { remove: INSIDE, set: [], add: [['via', VIA]] },
  }
}
