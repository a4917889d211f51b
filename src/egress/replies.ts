/** What a client is told that does not get through: one table. */
import type { EgressDenial } from '../exchange/egress.ts'
import type { LocalReply } from '../exchange/local-reply.ts'

/** @param target `HOST:PORT`. */
export function deniedReply(target: string, why: EgressDenial): LocalReply {
  return {
    status: 403,
    body: `egress to ${target} is not allowed`,
    headers: ['x-sluice-denied', why],
    flag: 'UAEX',
    details: `egress_denied{${why}}`,
  }
}

export function badRequestReply(reason: string): LocalReply {
  return {
    status: 400,
    body: `bad proxy request: ${reason}`,
    headers: ['x-sluice-denied', 'bad-request'],
    flag: 'DPE',
    details: 'egress_denied{bad-request}',
    close: true,
  }
}

/** The name of an allowed host is not known to DNS, as Envoy's dynamic forward proxy says it. */
export const DNS_FAILURE: LocalReply = {
  status: 503,
  body: 'DNS resolution failure',
  flag: 'DF',
  details: 'dns_resolution_failure',
}

export const TOO_MANY_TUNNELS: LocalReply = {
  status: 503,
  body: 'too many tunnels',
  flag: 'UO',
  details: 'egress_tunnel_overflow',
}

/** A proxy asks for credentials by its own status and header (RFC 9110 §11.7.1). */
export function challenge(reply: LocalReply): LocalReply {
  return {
    ...reply,
    status: 407,
    headers: ['proxy-authenticate', 'Basic realm="sluice"', 'proxy-authenticate', 'Bearer realm="sluice"'],
  }
}
