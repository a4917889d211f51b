/**
 * How plans and problems are written in golden files: as they are, but without what is the same nearly everywhere, so
 * that a reader sees what the case is about. `test/golden/README.md` says what is left out.
 */
import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { compile } from '../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../src/compile/options.ts'
import type { ClusterPlan } from '../../src/plan/cluster.ts'
import type { EgressHostPlan, EgressPlan, EgressScopePlan } from '../../src/plan/egress.ts'
import type { Plan } from '../../src/plan/plan.ts'
import type { Origin, Problem } from '../../src/plan/problem.ts'
import type { RoutePlan, VirtualHostPlan } from '../../src/plan/route.ts'
import { compileRetries } from '../../src/compile/routes/retries.ts'
import { EMPTY_SNAPSHOT } from '../../src/resources/snapshot.ts'

const CLUSTER_DEFAULTS: Partial<ClusterPlan> = {
  loadBalancer: 'least-request',
  protocol: 'http1',
  transport: { kind: 'plaintext' },
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 3_600_000,
  maxRequestsPerConnection: 0,
}

export function viewPlan(plan: Plan): unknown {
  const { mesh, policies, rateLimits, listeners, routeTables, clusters, certificates, acme, egress, egressHosts } = plan
  const { mesh: defaults, policies: noPolicies } = compile(EMPTY_SNAPSHOT, defaultCompileOptions()).plan
  const changed = without(mesh, defaults)
  return plain({
    ...(Object.keys(changed).length === 0 ? {} : { mesh: changed }),
    ...(isDeepStrictEqual(policies, noPolicies) ? {} : { policies: without(policies, noPolicies) }),
    ...(Object.keys(rateLimits).length === 0 ? {} : { rateLimits }),
    listeners,
    routeTables: mapValues(routeTables, ({ port, virtualHosts }) => ({
      port,
      virtualHosts: mapValues(virtualHosts, viewHost),
    })),
    clusters: mapValues(clusters, viewCluster),
    ...(Object.keys(certificates).length === 0 ? {} : { certificates: mapValues(certificates, viewCertificate) }),
    ...(egress === null ? {} : { egress: viewEgress(egress), egressHosts: mapValues(egressHosts, viewEgressHost) }),
    ...(acme === undefined ? {} : { acme }),
  })
}

function viewEgress({ scope, clients, ...rest }: EgressPlan): unknown {
  return {
    ...rest,
    ...(scope === null ? {} : { scope: viewScope(scope) }),
    ...(clients.length === 0
      ? {}
      : { clients: clients.map((client) => ({ ...client, scope: client.scope && viewScope(client.scope) })) }),
  }
}

function viewScope({ origin, ...rest }: EgressScopePlan): unknown {
  return { origin: viewOrigin(origin), ...rest }
}

function viewEgressHost({ host: _host, addresses, ports, ...rest }: EgressHostPlan): unknown {
  return {
    ...rest,
    ...(addresses.length === 0 ? {} : { addresses }),
    ports: ports.map(({ origin, cluster, ...port }) => ({
      ...port,
      origin: viewOrigin(origin),
      cluster: viewCluster(cluster),
    })),
  }
}

function viewHost({ requireTls, routes }: VirtualHostPlan): unknown {
  return { ...(requireTls ? { requireTls } : {}), routes: routes.map(viewRoute) }
}

function viewRoute({ name, origin, action, ...rest }: RoutePlan): unknown {
  return { ...(name === '' ? {} : { name }), origin: viewOrigin(origin), ...rest, action: viewAction(action) }
}

function viewAction(action: RoutePlan['action']): unknown {
  if (action.kind !== 'forward') return action
  const { timeoutMs, retry, ...rest } = action
  const isDefault = isDeepStrictEqual(retry, compileRetries(undefined))
  return { ...rest, ...(timeoutMs === null ? {} : { timeoutMs }), ...(isDefault ? {} : { retry }) }
}

function viewCluster(cluster: ClusterPlan): unknown {
  const { name: _name, host: _host, port: _port, subset: _subset, ...rest } = cluster
  return without(rest, CLUSTER_DEFAULTS)
}

function viewCertificate(certificate: object): unknown {
  const readable = Object.fromEntries(
    Object.entries(certificate).map(([key, value]) => [key, typeof value === 'string' ? nameCertificates(value) : value]),
  )
  return 'privateKey' in certificate ? { ...readable, privateKey: '[redacted]' } : readable
}

/** Certificates by their subjects, as nobody can read PEM. */
function nameCertificates(text: string): string {
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  return certificates === null ? text : certificates.map((pem) => new X509Certificate(pem).subject).join(', ')
}

export function viewProblems(problems: readonly Problem[]): unknown {
  return plain(problems.map(({ origin, ...rest }) => ({ origin: viewOrigin(origin), ...rest })))
}

/** `Kind namespace/name /pointer` */
function viewOrigin({ kind, namespace, name, pointer }: Origin): string {
  return `${kind} ${namespace}/${name}${pointer === undefined ? '' : ` ${pointer}`}`
}

function without(value: object, defaults: object): object {
  const known = new Map(Object.entries(defaults))
  return Object.fromEntries(
    Object.entries(value).filter(([key, own]) => !known.has(key) || !isDeepStrictEqual(own, known.get(key))),
  )
}

function mapValues<V>(record: Readonly<Record<string, V>>, view: (value: V) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, view(value)]))
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
