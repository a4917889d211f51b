/** Decision 0004: counting one request, by prom-client with all of Istio's labels and by our own table. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Counter, Histogram, Registry } from 'prom-client'
import { Exchange } from '../../src/exchange/exchange.ts'
import { BUCKET_BOUNDS, REQUEST_LABELS, SOURCE_LABELS } from '../../src/observability/metric-table.ts'
import { createRequestMetrics } from '../../src/observability/request-metrics.ts'
import { nanosPerCall, printTable } from './measure.ts'
import { meshPlan } from '../../test/support/mesh-plan.ts'

const registers = [new Registry()]
const labelNames = [...SOURCE_LABELS, ...REQUEST_LABELS]
const labels = Object.fromEntries(labelNames.map((name) => [name, `value-of-${name}`]))
const counter = new Counter({ name: 'requests_total', help: 'x', labelNames, registers })
const histograms = ['duration', 'request_bytes', 'response_bytes'].map(
  (name) => new Histogram({ name, help: 'x', labelNames, registers, buckets: BUCKET_BOUNDS.filter(Number.isFinite) }),
)

const metrics = createRequestMetrics({ now: Date.now })
const req = new IncomingMessage(new Socket())
const mesh = meshPlan()
const exchange = new Exchange(
  req,
  new ServerResponse(req),
  { port: 80, tls: false, routeTable: '', draining: false },
  { mesh, generation: '1', generationHeader: null },
  0,
  0,
)
exchange.status = 200
exchange.upstream.serviceHost = 'shop.default.svc.cluster.local'

const nanos = nanosPerCall({
  'prom-client: one counter and three histograms': () => {
    counter.inc(labels)
    for (const histogram of histograms) histogram.observe(labels, 12)
  },
  'our own table: the same': () => {
    metrics.record(exchange, 12)
  },
})
printTable(['counted by', 'ns a request'], Object.entries(nanos))
