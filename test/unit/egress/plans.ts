/** Parts of a plan for tests of the forward proxy. */
import type { EgressHostPlan, EgressPortPlan, EgressProtocol } from '../../../src/plan/egress.ts'

export function portPlan(host: string, number: number, protocol: EgressProtocol = 'tls'): EgressPortPlan {
  return {
    number,
    protocol,
    origin: { kind: 'ServiceEntry', namespace: 'shop', name: 'entry' },
    pinned: false,
    cluster: {
      name: `outbound|${number}||${host}`,
      host,
      port: number,
      subset: '',
      service: { name: host, namespace: 'shop' },
      discovery: { kind: 'original-destination' },
      loadBalancer: 'least-request',
      protocol: 'http1',
      transport: { kind: 'plaintext' },
      connectTimeoutMs: 1000,
      idleTimeoutMs: null,
      maxRequestsPerConnection: 0,
    },
  }
}

export function hostPlan(host: string, ports: readonly number[] = [443]): EgressHostPlan {
  return { host, namespace: 'shop', addresses: [], ports: ports.map((number) => portPlan(host, number)) }
}
