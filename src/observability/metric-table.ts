/**
 * Every metric of the gateway: name, help, type, labels, and what bounds the number of its series. The names of the
 * `istio_` ones are Istio's, so that dashboards made for a mesh show this gateway too
 * (`istio: standard metrics`, istio/proxy stats filter).
 */

export interface MetricDefinition {
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** How many series there can be. */
  readonly bound: string
}

/** Labels that tell who reports: the same for every request of a gateway. */
export const SOURCE_LABELS = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_app',
  'source_version',
  'source_cluster',
  'source_principal',
] as const

/** Labels that differ from request to request, in the order in which a series' values are listed. */
export const REQUEST_LABELS = [
  'destination_workload',
  'destination_workload_namespace',
  'destination_app',
  'destination_version',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_cluster',
  'destination_principal',
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const

/** The same of connections, which have no answers. */
export const TCP_LABELS = REQUEST_LABELS.filter(
  (label) => label !== 'response_code' && label !== 'grpc_response_status',
)

/** Upper bounds of Envoy's default histogram buckets; one more bucket takes what is above. */
export const BUCKET_BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
]

const REQUEST_BOUND = 'at most `maxSeries` label sets (600), and one more named "overflow"; idle ones go after 1 h'
const REQUEST = { labels: [...SOURCE_LABELS, ...REQUEST_LABELS], bound: REQUEST_BOUND } as const
const TCP = {
  labels: [...SOURCE_LABELS, ...TCP_LABELS],
  bound: 'at most `maxSeries` label sets (600) a worker, and one more named "overflow"',
} as const
const WORKER = { labels: ['worker'], bound: 'one a process' } as const
const EJECTION = { labels: ['reason'], bound: 'one a reason: three' } as const
const SINGLE = { labels: [], bound: 'one' } as const

export const METRICS = {
  istio_requests_total: { ...REQUEST, type: 'counter', help: 'Requests that ended.' },
  istio_request_duration_milliseconds: {
    ...REQUEST,
    type: 'histogram',
    help: 'Time from the first byte received to the last byte sent, in milliseconds.',
  },
  istio_request_bytes: { ...REQUEST, type: 'histogram', help: 'Bytes of requests, headers included.' },
  istio_response_bytes: { ...REQUEST, type: 'histogram', help: 'Bytes of responses, headers included.' },
  istio_tcp_connections_opened_total: { ...TCP, type: 'counter', help: 'TCP connections that were passed on.' },
  istio_tcp_connections_closed_total: { ...TCP, type: 'counter', help: 'TCP connections that are over.' },
  istio_tcp_sent_bytes_total: { ...TCP, type: 'counter', help: 'Bytes sent to clients of TCP connections.' },
  istio_tcp_received_bytes_total: { ...TCP, type: 'counter', help: 'Bytes received from clients of TCP connections.' },
  istio_build: { labels: ['component', 'tag'], bound: 'one', type: 'gauge', help: 'Version of the gateway; always 1.' },

  sluice_config_generation: { ...SINGLE, type: 'gauge', help: 'Number of the configuration in force.' },
  sluice_config_rejected_objects: { ...SINGLE, type: 'gauge', help: 'Objects whose newest version is not in force.' },
  sluice_config_reloads_total: {
    labels: ['result'],
    bound: 'one a result',
    type: 'counter',
    help: 'Readings of the sources, by result.',
  },
  sluice_listener_up: {
    labels: ['port'],
    bound: 'one a listener',
    type: 'gauge',
    help: '1 where the listener of the port accepts connections, 0 where it could not be bound.',
  },
  sluice_security_policies: {
    labels: ['state'],
    bound: 'one a state: proven, loaded, failed',
    type: 'gauge',
    help: 'Security policies in force: proven ones were seen to refuse what they have to; failed ones do not.',
  },
  sluice_certificate_expiry_seconds: {
    labels: ['certificate'],
    bound: 'one a certificate of the configuration',
    type: 'gauge',
    help: 'Seconds until the certificate expires; below 0: it has expired.',
  },
  sluice_acme_orders_total: {
    labels: ['result'],
    bound: 'one a result: success, failure, deferred',
    type: 'counter',
    help: 'Orders of certificates by result; "deferred": a limit, of the authority or our own, asked to wait.',
  },
  envoy_http_rbac: {
    labels: ['authz_dry_run_action', 'authz_dry_run_result'],
    bound: 'four: allow and deny, allowed and denied',
    type: 'counter',
    help: 'Requests that AuthorizationPolicies on trial would have allowed or denied.',
  },
  sluice_jwks_age_seconds: {
    labels: ['uri'],
    bound: 'one an address of keys in the plan',
    type: 'gauge',
    help: 'Time since the keys in use were fetched; no series where there are none.',
  },
  sluice_jwks_fetches_total: {
    labels: ['uri', 'result'],
    bound: 'two an address of keys in the plan',
    type: 'counter',
    help: 'Fetches of the keys of token issuers, by result.',
  },
  sluice_downstream_connections_active: { ...SINGLE, type: 'gauge', help: 'Open connections from clients.' },
  sluice_downstream_http2_closed_total: {
    labels: ['reason'],
    bound: 'one a reason: four',
    type: 'counter',
    help: 'HTTP/2 connections that were closed for what their clients did, by reason.',
  },
  sluice_egress_tunnels_active: { ...SINGLE, type: 'gauge', help: 'Open tunnels of the forward proxy.' },
  sluice_egress_destinations_active: {
    ...SINGLE,
    type: 'gauge',
    help: 'Destinations that the forward proxy keeps names and connections for.',
  },
  sluice_egress_denied_total: {
    labels: ['reason'],
    bound: 'one a reason: ten',
    type: 'counter',
    help: 'Requests and tunnels that the forward proxy refused, by reason.',
  },
  sluice_upstream_connections_active: { ...SINGLE, type: 'gauge', help: 'Open connections to endpoints.' },
  sluice_upstream_ejections_active: {
    labels: ['cluster'],
    bound: 'clusters with an ejected endpoint, at most 100, and one more named "overflow"',
    type: 'gauge',
    help: 'Endpoints that outlier detection keeps out now; no series where there are none.',
  },
  sluice_upstream_ejections_total: {
    ...EJECTION,
    type: 'counter',
    help: 'Endpoints that outlier detection ejected, by reason.',
  },
  sluice_upstream_ejections_overflow_total: {
    ...EJECTION,
    type: 'counter',
    help: 'Endpoints that were not ejected because of maxEjectionPercent, by reason.',
  },
  sluice_upstream_overflow_total: {
    labels: ['kind'],
    bound: 'one a kind of limit: connections, pending, requests, retries',
    type: 'counter',
    help: 'Times that a limit of connectionPool was met, by kind; "connections" made requests wait.',
  },
  sluice_rate_limit_total: {
    labels: ['policy', 'rule', 'outcome'],
    bound: 'five outcomes a rule of the RateLimitPolicies',
    type: 'counter',
    help: 'Requests that a rule of a RateLimitPolicy counted, by what it decided.',
  },
  sluice_rate_limit_store_up: {
    ...SINGLE,
    type: 'gauge',
    help: '1 where every worker can use the store of the rate limits, 0 where one cannot; no series without a store.',
  },
  sluice_rate_limit_store_duration_seconds: {
    labels: [],
    bound: 'one',
    type: 'histogram',
    help: 'Time until the store of the rate limits answered, in seconds.',
  },
  sluice_rate_limit_store_errors_total: {
    labels: ['reason'],
    bound: 'one a reason: ten',
    type: 'counter',
    help: 'Times that the store of the rate limits failed for a rule, by reason.',
  },
  sluice_overload_shed_total: {
    labels: ['reason'],
    bound: 'one a reason: active_requests, event_loop_delay',
    type: 'counter',
    help: 'Requests that were refused because a worker had too much to do, by reason.',
  },
  sluice_access_log_dropped_total: {
    ...SINGLE,
    type: 'counter',
    help: 'Lines of the access log that could not be written.',
  },
  sluice_metrics_overflow_total: {
    ...SINGLE,
    type: 'counter',
    help: 'Requests counted in the series named "overflow" because there were too many label sets.',
  },

  process_resident_memory_bytes: { ...WORKER, type: 'gauge', help: 'Resident memory in bytes.' },
  process_cpu_seconds_total: { ...WORKER, type: 'counter', help: 'CPU time used, user and system, in seconds.' },
  nodejs_heap_size_used_bytes: { ...WORKER, type: 'gauge', help: 'JavaScript heap in use, in bytes.' },
  nodejs_eventloop_lag_mean_seconds: {
    ...WORKER,
    type: 'gauge',
    help: 'Mean delay of the event loop since the last scrape, in seconds.',
  },
  nodejs_eventloop_lag_p99_seconds: {
    ...WORKER,
    type: 'gauge',
    help: '99th percentile of the delay of the event loop since the last scrape, in seconds.',
  },
  nodejs_eventloop_lag_max_seconds: {
    ...WORKER,
    type: 'gauge',
    help: 'Longest delay of the event loop since the last scrape, in seconds.',
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricName = keyof typeof METRICS
