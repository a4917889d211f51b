/** SPIFFE ids of workloads, as Istio forms them. Source: `istio: pkg/spiffe/spiffe.go`. */
import { IdentityProblem } from './problem.ts'

/** DNS subdomains of Kubernetes; trust domains may have `_` too. Nothing in it has to be escaped in a URI. */
const PIECE = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?$/

export interface Workload {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** @throws IdentityProblem of kind `wrong-identity` where a part cannot be in an id. */
export function spiffeId({ trustDomain, namespace, serviceAccount }: Workload): string {
  // As Istio does for the projects of a cloud that have an `@` in their names.
  const domain = trustDomain.replaceAll('@', '.')
  for (const piece of [domain, namespace, serviceAccount]) {
    if (!PIECE.test(piece)) throw new IdentityProblem('wrong-identity', `"${piece}" cannot be part of a SPIFFE id`)
  }
  return `spiffe://${domain}/ns/${namespace}/sa/${serviceAccount}`
}

/**
 * The service account that a Kubernetes token is for, without verifying it: whoever checks the token decides, this only
 * says what to expect.
 *
 * @returns Undefined where the text is no such token.
 */
export function serviceAccountOf(token: string): string | undefined {
  const payload = token.split('.')[1]
  if (payload === undefined) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const subject = typeof claims === 'object' && claims !== null && 'sub' in claims ? claims.sub : undefined
    return typeof subject === 'string' ? /^system:serviceaccount:[^:]+:([^:]+)$/.exec(subject)?.[1] : undefined
  } catch {
    return undefined
  }
}
