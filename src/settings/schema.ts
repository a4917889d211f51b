/**
 * The schema of `sluice.yaml`: every setting once, with its unit, default, range and meaning. The resolved type, the
 * reference page, the environment variables and the flags' defaults follow from it. Settings are read once, at the
 * start: a change of any of them needs a restart.
 */
import type { Static } from 'typebox'
import { acmeSchema } from './acme.ts'
import {
  choice,
  duration,
  durationOrOff,
  flag,
  group,
  optionalText,
  text,
  textMap,
  texts,
  whole,
  wholeOrOff,
} from './fields.ts'
import { egressSchema } from './egress.ts'
import { identitySchema } from './identity.ts'
import { meshSchema } from './mesh.ts'
import { redisSchema } from './redis.ts'
import {
  addressBlocks,
  flagOrAuto,
  headerNameOrOff,
  listenAddress,
  portBindings,
  ports,
  workerCount,
} from './special.ts'

/** Most worker processes: far beyond what one machine has cores for. */
const MOST_WORKERS = 256

const KIB = 1024
const MIB = 1024 * KIB

const downstream = group('Limits on what clients may send and how long they may take.', {
  maxRequestHeadersKb: whole('Header section of a request, its request line included; more is answered 431.', 60, {
    least: 1,
    most: 8192,
    unit: 'KiB',
  }),
  maxRequestHeaders: whole('Header lines of a request; more is answered 431.', 100, { least: 1, most: 10_000 }),
  headersTimeout: durationOrOff(
    'From the first byte of a request to the end of its headers; later is answered 408. It is what ends connections that send a byte now and then.',
    { ms: 60_000, text: '60s' },
  ),
  requestTimeout: durationOrOff(
    'From the first byte of a request to the end of its body; later is answered 408. Uploads take what they take, so it is off.',
    { ms: null, text: 'off' },
  ),
  idleTimeout: duration(
    'A kept-alive connection without a request is closed after this long. It should be longer than that of a load balancer in front, which else sends requests into a connection that is being closed.',
    3_600_000,
    '1h',
    { ms: 1000, text: '1s' },
  ),
  http2MaxConcurrentStreams: whole('Streams of an HTTP/2 connection at a time; more are refused.', 100, {
    least: 1,
    most: 100_000,
  }),
  http2StreamWindowKb: whole(
    'What may be under way of the body of one HTTP/2 request: a client far away needs more to be fast, and each stream may make the gateway keep as much.',
    256,
    { least: 64, most: 16_384, unit: 'KiB' },
  ),
  http2ResetsPerSecond: whole(
    'Streams of an HTTP/2 connection that its client may reset in a second, on average; ten times as many at once. A connection with more is closed.',
    50,
    { least: 1, most: 100_000 },
  ),
  http10: flag('Accepts HTTP/1.0 requests, as `PILOT_HTTP10` does; otherwise they are answered 426.', false),
  misdirected: choice(
    "The answer to an HTTP/2 request on a TLS connection to one server of a port for a host of another one, where the connection's certificate covers that host too: browsers share connections in this way. With `MISDIRECTED` (421) they ask again on a connection of its own; `NOT_FOUND` (404) is Istio's answer.",
    ['MISDIRECTED', 'NOT_FOUND'],
    'MISDIRECTED',
  ),
  proxyProtocol: group('Clients behind a load balancer that writes PROXY protocol headers.', {
    ports: ports(
      'Ports of Gateway servers whose connections have to begin with a PROXY header, version 1 or 2; those without are closed. All ports where `mesh.defaultConfig.gatewayTopology.proxyProtocol` is given.',
    ),
    trustedSources: addressBlocks(
      'Where such connections come from. Those from elsewhere are taken as they are, and a PROXY header in front of them is not believed. Empty: from everywhere.',
    ),
  }),
  maxConnections: wholeOrOff('Open connections of one worker on one listener; more are accepted and closed at once.', {
    least: 1,
    most: 1_000_000,
  }),
})

const upstream = group('Limits towards upstreams.', {
  idleTimeout: durationOrOff(
    'A kept-alive connection to an upstream without a request is closed after this long, where its DestinationRule does not say.',
    { ms: 3_600_000, text: '1h' },
  ),
  requestBufferBytes: whole(
    'Bytes of a request body that are kept so that it can be sent again or mirrored. A longer body is neither retried nor mirrored.',
    MIB,
    { least: 0, most: 1024 * MIB, unit: 'bytes' },
  ),
})

const jwt = group('Verifying the JSON Web Tokens that RequestAuthentications ask for.', {
  staleKeysMaxAge: duration(
    'Keys of an issuer that could not be fetched again for this long are no longer used: every token of the issuer is then refused. Until then the last ones are, also after a restart.',
    86_400_000,
    '24h',
    { ms: 60_000, text: '1m' },
  ),
})

const metrics = group('Bounds on the metrics page.', {
  maxSeries: whole(
    'Different sets of labels in the request metrics. Requests beyond that are counted in one more, whose labels say `overflow`, and in `sluice_metrics_overflow_total`.',
    600,
    { least: 10, most: 1_000_000 },
  ),
  idleExpiry: durationOrOff('A series that nothing was counted in for this long is taken away.', {
    ms: 3_600_000,
    text: '1h',
  }),
})

const overload = group(
  'What is refused (503, flag `OM`, `retry-after: 1`) so that the gateway itself stays able to work. Health checks and the admin API never are. See [rate-limits.md](rate-limits.md#overload).',
  {
    maxActiveRequests: wholeOrOff('Requests that one worker serves at a time on one listener.', {
      least: 1,
      most: 1_000_000,
    }),
    maxEventLoopDelay: durationOrOff(
      'While the event loop of a worker is later than this, it sheds a share of its requests: the more the later it is, up to 95 of 100. 100ms and more are sensible values.',
      { ms: null, text: 'off' },
    ),
  },
)

const rateLimits = group('Counting for RateLimitPolicies.', {
  maxBuckets: whole(
    'Buckets (different values of its `key`) that one rule counts in the memory of one worker. Beyond that the one that would end first makes room, and begins anew when it is asked for. A bucket takes about 150 bytes, with `window: sliding` up to 2 KiB.',
    100_000,
    { least: 1000, most: 10_000_000 },
  ),
})

export const settingsSchema = group('Everything that is not a resource.', {
  config: texts(
    'Files and folders of resources, watched. Relative paths start where the gateway was started.',
    ['./config'],
    {
      flag: '--config PATH',
    },
  ),
  listen: portBindings(
    "Binds a Gateway server's port to another local one.",
    'as root the port itself; else `80=8080`, `443=8443`',
    { flag: '--listen PORT=[HOST:]PORT' },
  ),
  address: optionalText("Address that listeners bind to, where the server's `bind` does not say.", '`::` with IPv4', {
    flag: '--address HOST',
  }),
  admin: listenAddress('Console and admin API.', { host: '127.0.0.1', port: 15_000 }, { flag: '--admin [HOST:]PORT' }),
  status: listenAddress(
    '`/healthz/ready`, `/healthz/live` and `/stats/prometheus`.',
    { host: '0.0.0.0', port: 15_021 },
    { flag: '--status [HOST:]PORT' },
  ),
  egress: egressSchema,
  workers: workerCount(
    'Worker processes that share every port.',
    MOST_WORKERS,
    '`auto` (one a core); 1 in `sluice demo`',
    {
      flag: '--workers N',
    },
  ),
  labels: textMap("This gateway's labels, for `Gateway.spec.selector`.", 'none: every Gateway is served', {
    flag: '--labels k=v,…',
  }),
  locality: optionalText(
    'Where this gateway runs, `region/zone/subzone`, for `localityLbSetting`.',
    'the labels `topology.kubernetes.io/region`, `topology.kubernetes.io/zone` and `topology.istio.io/subzone`',
  ),
  namespace: text("This gateway's namespace.", 'istio-system', { flag: '--namespace NS' }),
  clusterDomain: text('What Kubernetes service names end in (istiod: `DOMAIN_SUFFIX`).', 'cluster.local'),
  state: optionalText(
    'Folder of what has to outlive a restart, such as the last good version of every object.',
    '`$XDG_STATE_HOME/sluice` or `~/.local/state/sluice`, in it a folder for each set of `config` paths',
    { flag: '--state DIR' },
  ),
  kubernetes: flagOrAuto('Reads resources from the Kubernetes API as well.', '`auto` (inside a cluster)', {
    flag: '--kubernetes',
    served: false,
  }),
  logLevel: choice('Least severity of lines on standard error.', ['debug', 'info', 'warn', 'error'], 'info'),
  generationHeader: headerNameOrOff(
    'A response header with this name carries the generation of the plan that served the request.',
  ),
  shadowHostSuffix: flag('Adds `-shadow` to the Host of mirrored requests, as older releases of Istio did.', false),
  downstream,
  upstream,
  jwt,
  metrics,
  overload,
  rateLimits,
  redis: redisSchema,
  acme: acmeSchema,
  identity: identitySchema,
  mesh: meshSchema,
})

/** The settings as they are written in the schema, before those that depend on the machine are worked out. */
export type WrittenSettings = Static<typeof settingsSchema>
