/**
 * The text of `/stats/prometheus`: prom-client's registry over the metrics' table, its values read when it is asked.
 */
import { Registry, type Metric } from 'prom-client'
import type { CertificateExpiry } from './certificate-expiry.ts'
import type { MeshIdentity } from './mesh-identity.ts'
import {
  BUCKET_BOUNDS,
  METRICS,
  REQUEST_LABELS,
  TCP_LABELS,
  type MetricName,
  type SOURCE_LABELS,
} from './metric-table.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { MetricsAggregator, MetricsTotals } from './metrics-aggregator.ts'
import { type ProcessFacts, STORE_BUCKETS } from './metrics-snapshot.ts'
import type { RateLimitTotals } from './rate-limit-totals.ts'
import { LAYOUT } from './request-metrics.ts'
import { TCP_LAYOUT } from './tcp-metrics.ts'

/** What the process that reads the configuration knows. */
export interface GatewayFacts {
  /** For `istio_build`. */
  readonly version: string
  /** Number of the plan in force; 0: none yet. */
  readonly generation: number
  readonly rejectedObjects: number
  /** By result, for example `success`. */
  readonly reloads: Readonly<Record<string, number>>
  readonly listeners: readonly { readonly port: number; readonly up: boolean }[]
  readonly policies: readonly PolicyProof[]
  readonly certificates: readonly CertificateExpiry[]
  /** Orders of certificates by result; null: none are ever ordered. */
  readonly acmeOrders: Readonly<Record<string, number>> | null
  /** Milliseconds since 1970. */
  readonly now: number
  readonly keySets: readonly KeySetFacts[]
  /** The reading process' own figures, beside those of its workers. */
  readonly process: ProcessFacts | null
}

/** The keys of one issuer of tokens. */
export interface KeySetFacts {
  readonly uri: string
  /** Null: there are none. */
  readonly ageSeconds: number | null
  readonly successes: number
  readonly failures: number
}

export interface MetricsPageOptions {
  readonly identity: MeshIdentity
  readonly aggregator: MetricsAggregator
  readonly facts: () => GatewayFacts
  /** Has the workers report before a scrape is answered; a worker that does not is shown as it last reported. */
  readonly refresh?: () => Promise<void>
}

export interface MetricsPage {
  readonly contentType: string
  /** Scrapes that come while one is being made get the same text. */
  readonly text: () => Promise<string>
}

/** A sample as prom-client prints it. `sharedLabels` objects are printed once and remembered. */
interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
  readonly sharedLabels?: Readonly<Record<string, string>>
}

interface Scrape {
  readonly totals: MetricsTotals
  readonly facts: GatewayFacts
  readonly labelsOf: LabelsOf
  readonly tcpLabelsOf: LabelsOf
}

type LabelsOf = (series: { readonly labels: readonly string[] }) => Readonly<Record<string, string>>

export function createMetricsPage(options: MetricsPageOptions): MetricsPage {
  const registry = new Registry()
  const labelsOf = createLabelCache(options.identity, REQUEST_LABELS)
  const tcpLabelsOf = createLabelCache(options.identity, TCP_LABELS)
  let scrape: Scrape
  for (const [name, definition] of Object.entries(METRICS) as [MetricName, (typeof METRICS)[MetricName]][]) {
    const metric = {
      name,
      get: () => ({ name, help: definition.help, type: definition.type, values: SAMPLES[name](scrape) }),
    }
    // prom-client asks a metric for no more than its name and `get`; its types know only its own four classes.
    registry.registerMetric(metric as unknown as Metric)
  }
  let underway: Promise<string> | null = null
  const make = async (): Promise<string> => {
    await options.refresh?.()
    scrape = { totals: options.aggregator.totals(), facts: options.facts(), labelsOf, tcpLabelsOf }
    return registry.metrics()
  }
  const text = (): Promise<string> => {
    underway ??= make().finally(() => {
      underway = null
    })
    return underway
  }
  return { contentType: registry.contentType, text }
}

/** Samples of every metric; the type has it that none is forgotten. */
const SAMPLES: Readonly<Record<MetricName, (scrape: Scrape) => readonly Sample[]>> = {
  istio_requests_total: ({ totals, labelsOf }) =>
    totals.series.map((series) => ({
      value: series.values[LAYOUT.requests]!,
      labels: {},
      sharedLabels: labelsOf(series),
    })),
  istio_request_duration_milliseconds: histogram(
    'istio_request_duration_milliseconds',
    LAYOUT.durationSum,
    LAYOUT.duration,
  ),
  istio_request_bytes: histogram('istio_request_bytes', LAYOUT.requestBytesSum, LAYOUT.requestBytes),
  istio_response_bytes: histogram('istio_response_bytes', LAYOUT.responseBytesSum, LAYOUT.responseBytes),
  istio_tcp_connections_opened_total: tcp(TCP_LAYOUT.opened),
  istio_tcp_connections_closed_total: tcp(TCP_LAYOUT.closed),
  istio_tcp_sent_bytes_total: tcp(TCP_LAYOUT.sent),
  istio_tcp_received_bytes_total: tcp(TCP_LAYOUT.received),
  istio_build: ({ facts }) => [{ value: 1, labels: { component: 'proxy', tag: facts.version } }],

  sluice_config_generation: ({ facts }) => single(facts.generation),
  sluice_config_rejected_objects: ({ facts }) => single(facts.rejectedObjects),
  sluice_config_reloads_total: ({ facts }) => labelled('result', facts.reloads),
  sluice_listener_up: ({ facts }) => facts.listeners.map(({ port, up }) => ({ value: up ? 1 : 0, labels: { port } })),
  sluice_security_policies: ({ facts }) =>
    (['proven', 'loaded', 'failed'] as const).map((state) => ({
      value: facts.policies.filter((policy) => policy.state === state).length,
      labels: { state },
    })),
  sluice_certificate_expiry_seconds: ({ facts }) =>
    facts.certificates.map(({ name, notAfter }) => ({
      value: Math.round((notAfter - facts.now) / 1000),
      labels: { certificate: name },
    })),
  sluice_acme_orders_total: ({ facts }) => labelled('result', facts.acmeOrders ?? {}),
  envoy_http_rbac: ({ totals }) =>
    Object.entries(totals.dryRun).map(([name, value]) => {
      const [action = '', result = ''] = name.split(' ')
      return { value, labels: { authz_dry_run_action: action, authz_dry_run_result: result } }
    }),
  sluice_jwks_age_seconds: ({ facts }) =>
    facts.keySets.flatMap(({ uri, ageSeconds }) =>
      ageSeconds === null ? [] : [{ value: ageSeconds, labels: { uri } }],
    ),
  sluice_jwks_fetches_total: ({ facts }) =>
    facts.keySets.flatMap(({ uri, successes, failures }) => [
      { value: successes, labels: { uri, result: 'success' } },
      { value: failures, labels: { uri, result: 'failure' } },
    ]),
  sluice_downstream_connections_active: ({ totals }) => single(totals.downstreamConnections),
  sluice_downstream_http2_closed_total: ({ totals }) => labelled('reason', totals.http2),
  sluice_egress_tunnels_active: ({ totals }) => (totals.egress === null ? [] : single(totals.egress.tunnels)),
  sluice_egress_destinations_active: ({ totals }) => (totals.egress === null ? [] : single(totals.egress.destinations)),
  sluice_egress_denied_total: ({ totals }) => (totals.egress === null ? [] : labelled('reason', totals.egress.denied)),
  sluice_upstream_connections_active: ({ totals }) => single(totals.upstreamConnections),
  sluice_upstream_ejections_active: ({ totals }) =>
    Array.from(totals.upstream.ejected, ([cluster, value]) => ({ value, labels: { cluster } })),
  sluice_upstream_ejections_total: ({ totals }) => labelled('reason', totals.upstream.ejections),
  sluice_upstream_ejections_overflow_total: ({ totals }) => labelled('reason', totals.upstream.ejectionsOverflow),
  sluice_upstream_overflow_total: ({ totals }) => labelled('kind', totals.upstream.overflow),
  sluice_rate_limit_total: ({ totals }) =>
    totals.rateLimits.rules.flatMap(({ policy, rule, outcomes }) =>
      Object.entries(outcomes).map(([outcome, value]) => ({ value, labels: { policy, rule, outcome } })),
    ),
  sluice_rate_limit_store_up: ({ totals: { rateLimits } }) =>
    rateLimits.workersWithStore === 0
      ? []
      : single(rateLimits.workersWithStoreUp === rateLimits.workersWithStore ? 1 : 0),
  sluice_rate_limit_store_duration_seconds: ({ totals: { rateLimits } }) =>
    rateLimits.workersWithStore === 0 ? [] : storeDurations(rateLimits),
  sluice_rate_limit_store_errors_total: ({ totals }) => labelled('reason', totals.rateLimits.storeErrors),
  sluice_overload_shed_total: ({ totals }) => labelled('reason', totals.shed),
  sluice_access_log_dropped_total: ({ totals }) => single(totals.accessLogDropped),
  sluice_metrics_overflow_total: ({ totals }) => single(totals.overflowed),

  process_resident_memory_bytes: perProcess((facts) => facts.residentMemoryBytes),
  process_cpu_seconds_total: perProcess((facts) => facts.cpuSeconds),
  nodejs_heap_size_used_bytes: perProcess((facts) => facts.heapUsedBytes),
  nodejs_eventloop_lag_mean_seconds: perProcess((facts) => facts.eventLoopDelay.mean),
  nodejs_eventloop_lag_p99_seconds: perProcess((facts) => facts.eventLoopDelay.p99),
  nodejs_eventloop_lag_max_seconds: perProcess((facts) => facts.eventLoopDelay.max),
}

function tcp(index: number): (scrape: Scrape) => readonly Sample[] {
  return ({ totals, tcpLabelsOf }) =>
    totals.tcp.map((series) => ({ value: series.values[index]!, labels: {}, sharedLabels: tcpLabelsOf(series) }))
}

function single(value: number): readonly Sample[] {
  return [{ value, labels: {} }]
}

function labelled(label: string, values: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(values).map(([name, value]) => ({ value, labels: { [label]: name } }))
}

function perProcess(figure: (facts: ProcessFacts) => number): (scrape: Scrape) => readonly Sample[] {
  return ({ totals, facts }) => {
    const samples: Sample[] = []
    if (facts.process !== null) samples.push({ value: figure(facts.process), labels: { worker: 'primary' } })
    for (const [worker, own] of totals.processes) samples.push({ value: figure(own), labels: { worker } })
    return samples
  }
}

/** Prometheus' buckets hold everything up to their bound; ours only what is above the one before. */
function histogram(name: string, sum: number, first: number): (scrape: Scrape) => readonly Sample[] {
  return ({ totals, labelsOf }) => {
    const samples: Sample[] = []
    for (const series of totals.series) {
      const sharedLabels = labelsOf(series)
      let below = 0
      for (let bucket = 0; bucket <= BUCKET_BOUNDS.length; bucket += 1) {
        below += series.values[first + bucket]!
        const le = BUCKET_BOUNDS[bucket] ?? '+Inf'
        samples.push({ metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: below })
      }
      samples.push({ metricName: `${name}_sum`, labels: {}, sharedLabels, value: series.values[sum]! })
      samples.push({ metricName: `${name}_count`, labels: {}, sharedLabels, value: below })
    }
    return samples
  }
}

function storeDurations({ storeDurations: counts, storeSeconds }: RateLimitTotals): readonly Sample[] {
  const name = 'sluice_rate_limit_store_duration_seconds'
  const samples: Sample[] = []
  let below = 0
  for (let bucket = 0; bucket <= STORE_BUCKETS.length; bucket += 1) {
    below += counts[bucket] ?? 0
    samples.push({ metricName: `${name}_bucket`, labels: { le: STORE_BUCKETS[bucket] ?? '+Inf' }, value: below })
  }
  samples.push({ metricName: `${name}_sum`, labels: {}, value: storeSeconds })
  samples.push({ metricName: `${name}_count`, labels: {}, value: below })
  return samples
}

/** All labels of a series as one object, the same at every scrape: prom-client remembers its text by that object. */
function createLabelCache(identity: MeshIdentity, names: readonly string[]): LabelsOf {
  // As long as the series itself.
  const cache = new WeakMap<object, Readonly<Record<string, string>>>()
  const source = sourceLabels(identity)
  return (series) => {
    let labels = cache.get(series)
    if (labels === undefined) {
      labels = {
        ...source,
        ...Object.fromEntries(names.map((name, index) => [name, series.labels[index]!])),
      }
      cache.set(series, labels)
    }
    return labels
  }
}

function sourceLabels(identity: MeshIdentity): Record<(typeof SOURCE_LABELS)[number], string> {
  return {
    reporter: 'source',
    source_workload: identity.workload,
    source_canonical_service: identity.canonicalService,
    source_canonical_revision: identity.canonicalRevision,
    source_workload_namespace: identity.namespace,
    source_app: identity.app,
    source_version: identity.version,
    source_cluster: identity.cluster,
    source_principal: identity.principal,
  }
}
