/** A small plan with everything in it that must not be printed, and the model around it. */
import type { AdminModel } from '../../../src/admin/model.ts'
import type { Plan } from '../../../src/plan/plan.ts'
import type { Problem } from '../../../src/plan/problem.ts'
import type { RoutePlan } from '../../../src/plan/route.ts'
import { CERTIFICATE, PRIVATE_KEY } from './certificate.ts'
import { meshPlan } from '../../support/mesh-plan.ts'

export const SECRETS = ['hunter2', 'c2VjcmV0OnNlY3JldA', 'session-of-alice', 'PRIVATE KEY', PRIVATE_KEY.split('\n')[1]!]

function route(name: string, path: string, cluster: string): RoutePlan {
  return {
    name,
    origin: {
      kind: 'VirtualService',
      namespace: 'shop',
      name: 'shop',
      pointer: '/spec/http/0',
      source: 'shop.yaml',
      line: 7,
    },
    match: {
      path: { kind: 'prefix', prefix: path, ignoreCase: false },
      headers: [{ name: 'cookie', match: { kind: 'exact', value: 'session-of-alice' }, invert: false }],
    },
    action: { kind: 'forward', destinations: [{ cluster, weight: 1 }], timeoutMs: 15_000, retry: null },
    requestHeaders: {
      remove: ['authorization', 'x-debug'],
      set: [
        ['authorization', 'Basic c2VjcmV0OnNlY3JldA'],
        ['x-plain', 'visible'],
      ],
      add: [],
    },
  }
}

const CLUSTER = 'outbound|80||shop.mesh.test'

export const PLAN: Plan = {
  mesh: meshPlan(),
  rateLimits: {},
  policies: {
    jwt: [],
    authorization: { custom: [], audit: [], deny: [], allow: null, dryRun: { deny: [], allow: null } },
    authorizationPolicies: [],
  },
  listeners: {
    '80': { kind: 'http', name: '80', port: 80, routeTable: 'http.80' },
    '443': {
      kind: 'tls',
      name: '443',
      port: 443,
      servers: [
        {
          name: 'istio-system/edge/https',
          serverNames: ['shop.test'],
          mode: 'SIMPLE',
          clientCertificates: null,
          certificates: ['istio-system/shop-cert'],
          minVersion: 'TLSv1.2',
          maxVersion: 'TLSv1.3',
          routeTable: 'https.443.https',
        },
      ],
    },
  },
  routeTables: {
    'http.80': {
      name: 'http.80',
      port: 80,
      virtualHosts: {
        'shop.test': { host: 'shop.test', requireTls: false, routes: [route('main', '/', CLUSTER)] },
        '*.test': { host: '*.test', requireTls: false, routes: [route('wild', '/', CLUSTER)] },
        '*.eu.test': { host: '*.eu.test', requireTls: false, routes: [route('europe', '/', CLUSTER)] },
      },
    },
    'https.443.https': {
      name: 'https.443.https',
      port: 443,
      virtualHosts: {
        'shop.test': {
          host: 'shop.test',
          requireTls: false,
          routes: [route('first', '/a', CLUSTER), route('second', '/', CLUSTER)],
        },
      },
    },
  },
  clusters: {
    [CLUSTER]: {
      name: CLUSTER,
      host: 'shop.mesh.test',
      port: 80,
      subset: '',
      service: { name: 'shop', namespace: 'shop' },
      discovery: {
        kind: 'static',
        endpoints: [
          { address: '10.0.0.1', port: 8080, weight: 1 },
          { address: '2001:db8::1', port: 8080, weight: 2 },
        ],
      },
      loadBalancer: 'least-request',
      protocol: 'http1',
      transport: { kind: 'plaintext' },
      connectTimeoutMs: 10_000,
      idleTimeoutMs: null,
      maxRequestsPerConnection: 0,
    },
  },
  egress: null,
  egressHosts: {},
  certificates: {
    'istio-system/shop-cert': {
      name: 'istio-system/shop-cert',
      certificateChain: CERTIFICATE,
      privateKey: PRIVATE_KEY,
    },
    'istio-system/broken': {
      name: 'istio-system/broken',
      certificateChain: PRIVATE_KEY,
      privateKey: PRIVATE_KEY,
    },
  },
}

export const PROBLEMS: readonly Problem[] = [
  {
    code: 'route/regex',
    severity: 'error',
    origin: {
      kind: 'VirtualService',
      namespace: 'shop',
      name: 'broken-routes',
      pointer: '/spec/http/0',
      source: 'shop.yaml',
      line: 40,
    },
    message: 'not a regular expression',
  },
  {
    code: 'route/unknown-service',
    severity: 'warning',
    origin: { kind: 'VirtualService', namespace: 'shop', name: 'shop' },
    message: 'there is no service b <img src=x onerror=alert(1)>',
  },
]

export interface TestModel extends AdminModel {
  readonly calls: string[]
}

export function makeModel(changes: Partial<AdminModel> = {}): TestModel {
  const calls: string[] = []
  let level = 'info'
  return {
    calls,
    version: '1.2.3',
    plan: () => PLAN,
    meshCertificate: () => null,
    orderedCertificates: () => [],
    certificateProblems: () => [],
    generation: () => ({ number: 7, text: '7-9f86d081' }),
    problems: () => PROBLEMS,
    sources: () => [{ name: 'https://user:hunter2@config.test/', objects: 9, readAt: 0, error: null }],
    workers: () => [
      { id: 1, pid: 100, generation: 7, restarts: 0, problem: null },
      { id: 2, pid: 101, generation: 7, restarts: 1, problem: null },
    ],
    policies: () => [
      {
        kind: 'AuthorizationPolicy',
        namespace: 'istio-system',
        name: 'deny',
        state: 'proven',
        because: 'ns[istio-system]-policy[deny]-rule[0] refused a request',
      },
    ],
    listenerStates: () => [
      { name: '80', port: 80, address: '0.0.0.0:8080', error: null },
      { name: '443', port: 443, address: '0.0.0.0:8443', error: 'EADDRINUSE' },
    ],
    clusterStats: async () => [
      { name: CLUSTER, endpoints: [endpointStats('10.0.0.1:8080', 3)] },
      { name: CLUSTER, endpoints: [endpointStats('10.0.0.1:8080', 4)] },
    ],
    isReady: () => true,
    metricsText: async () => 'istio_build 1\n',
    metricsContentType: 'text/plain; version=0.0.4; charset=utf-8',
    logLevel: () => level,
    setLogLevel(next) {
      level = next
      calls.push(`level ${next}`)
    },
    drain() {
      calls.push('drain')
    },
    ...changes,
  }
}

function endpointStats(address: string, requests: number) {
  return { address, weight: 1, connections: 1, active: 1, requests, connectFailures: 0 }
}
