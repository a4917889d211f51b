/** What clients notice when endpoints of a service fail: as little as their rules allow. */
import assert from 'node:assert/strict'
import { Agent, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { test } from 'node:test'
import { GATEWAY, routes, service, startGateway, startUpstream } from '../support/live.ts'

interface Outcome {
  readonly status: number
  readonly ms: number
  readonly at: number
}

/** `clients` clients ask one after the other until `until` resolves. */
async function load(port: number, clients: number, until: Promise<unknown>): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  let over = false
  void until.then(() => (over = true))
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (!over) {
        const began = performance.now()
        const req = request({ port, host: '127.0.0.1', path: '/', headers: { host: 'app.test' }, agent })
        req.end()
        const [res] = (await once(req, 'response')) as [IncomingMessage]
        res.resume()
        await once(res, 'end')
        outcomes.push({ status: res.statusCode!, ms: performance.now() - began, at: performance.now() })
      }
    }),
  )
  agent.destroy()
  return outcomes
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const policy = (text: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: pool }
spec: { host: pool.test, trafficPolicy: ${text} }
---
`

test('with one of three endpoints killed under load, no request that may be retried fails', async () => {
  const upstreams = await Promise.all(Array.from({ length: 3 }, () => startUpstream((_req, res) => res.end('ok'))))
  const gateway = await startGateway(
    GATEWAY +
      service('pool', ...upstreams.map(({ port }) => port)) +
      routes(
        '[{ route: [{ destination: { host: pool.test } }], retries: { attempts: 3, retryOn: "connect-failure,reset" } }]',
      ),
  )
  try {
    const outcomes = await load(
      gateway.port(),
      8,
      sleep(400).then(async () => {
        upstreams[1]!.stop()
        await sleep(800)
      }),
    )
    assert.ok(outcomes.length > 200, `${outcomes.length} requests`)
    assert.deepEqual(
      outcomes.filter(({ status }) => status !== 200),
      [],
    )
  } finally {
    await gateway.stop()
    for (const upstream of upstreams) upstream.stop()
  }
})

test('an endpoint that answers 500 is ejected: after one interval fewer than 1 % of the answers are errors', async () => {
  const good = await Promise.all(Array.from({ length: 2 }, () => startUpstream((_req, res) => res.end('ok'))))
  const bad = await startUpstream((_req, res) => res.writeHead(500).end('broken'))
  const intervalMs = 500
  const gateway = await startGateway(
    GATEWAY +
      service('pool', ...good.map(({ port }) => port), bad.port) +
      policy(`{ outlierDetection: { consecutive5xxErrors: 5, interval: ${intervalMs}ms, maxEjectionPercent: 50 } }`) +
      routes('[{ route: [{ destination: { host: pool.test } }] }]'),
  )
  try {
    const began = performance.now()
    const outcomes = await load(gateway.port(), 4, sleep(1500))
    const later = outcomes.filter(({ at }) => at - began > intervalMs)
    const errors = later.filter(({ status }) => status !== 200).length
    assert.ok(
      outcomes.some(({ status }) => status === 500),
      'the endpoint was never asked',
    )
    assert.ok(errors < later.length / 100, `${errors} errors in ${later.length} answers after the interval`)
    const [cluster] = gateway.plane.stats().clusters
    assert.equal(cluster!.endpoints.filter(({ ejectedUntil }) => typeof ejectedUntil === 'number').length, 1)
  } finally {
    await gateway.stop()
    for (const upstream of [...good, bad]) upstream.stop()
  }
})

test('an endpoint that hangs costs a request no more than the time of one try', async () => {
  const good = await Promise.all(Array.from({ length: 2 }, () => startUpstream((_req, res) => res.end('ok'))))
  const hanging = await startUpstream(() => {})
  const perTryMs = 250
  const gateway = await startGateway(
    GATEWAY +
      service('pool', ...good.map(({ port }) => port), hanging.port) +
      policy('{ loadBalancer: { simple: ROUND_ROBIN }, outlierDetection: { maxEjectionPercent: 50 } }') +
      routes(
        `[{ route: [{ destination: { host: pool.test } }], retries: { attempts: 2, perTryTimeout: ${perTryMs}ms, retryOn: "5xx" } }]`,
      ),
  )
  try {
    const outcomes = await load(gateway.port(), 4, sleep(2000))
    assert.deepEqual(
      outcomes.filter(({ status }) => status !== 200),
      [],
    )
    const times = outcomes.map(({ ms }) => ms).sort((a, b) => a - b)
    const p99 = times[Math.floor(times.length * 0.99)]!
    assert.ok(p99 < perTryMs * 1.2, `p99 is ${p99.toFixed(0)} ms of ${times.length} requests`)
  } finally {
    await gateway.stop()
    for (const upstream of [...good, hanging]) upstream.stop()
  }
})

test('with the limit of connections reached, requests beyond those that may wait are refused at once', async () => {
  const release: (() => void)[] = []
  const slow = await startUpstream((_req, res) => release.push(() => res.end('ok')))
  const gateway = await startGateway(
    GATEWAY +
      service('pool', slow.port) +
      policy('{ connectionPool: { tcp: { maxConnections: 2 }, http: { http1MaxPendingRequests: 3 } } }') +
      routes('[{ route: [{ destination: { host: pool.test } }] }]'),
  )
  try {
    const answers: number[] = []
    const agent = new Agent({ maxSockets: 20 })
    const asking = Array.from({ length: 10 }, async () => {
      const req = request({ port: gateway.port(), host: '127.0.0.1', headers: { host: 'app.test' }, agent })
      req.end()
      const [res] = (await once(req, 'response')) as [IncomingMessage]
      res.resume()
      answers.push(res.statusCode!)
      if (res.statusCode === 503) assert.equal(res.headers['x-envoy-overloaded'], 'true')
    })
    await sleep(300)
    assert.ok(
      answers.length >= 5 && !answers.some((status: number) => status !== 503),
      `${answers.length} refused at once`,
    )
    const waiting = asking.length - answers.length
    const end = performance.now() + 3000
    while (answers.length < asking.length && performance.now() < end) {
      release.splice(0).forEach((answer) => answer())
      await sleep(10)
    }
    await Promise.all(asking)
    assert.equal(answers.filter((status) => status === 200).length, waiting)
    agent.destroy()
  } finally {
    await gateway.stop()
    slow.stop()
  }
})
