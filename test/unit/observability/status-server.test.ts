import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth } from '../../../src/observability/health.ts'
import { createLogger, parseLogLevel } from '../../../src/observability/logger.ts'
import { createStatusServer } from '../../../src/observability/status-server.ts'

test('the status port tells readiness, liveness and metrics, and nothing else', async () => {
  const health = createHealth()
  const errors: Error[] = []
  let metrics = async () => 'istio_build 1\n'
  const server = createStatusServer({
    isReady: health.isReady,
    isLive: health.isLive,
    metricsText: () => metrics(),
    metricsContentType: 'text/plain; version=0.0.4; charset=utf-8',
    onError: (error) => errors.push(error),
  })
  const address = await server.listen(0, '127.0.0.1')
  assert.match(address, /^127\.0\.0\.1:\d+$/)
  const ask = (path: string, init?: RequestInit) => fetch(`http://${address}${path}`, init)
  try {
    assert.equal((await ask('/healthz/ready')).status, 503)
    assert.equal((await ask('/healthz/live')).status, 200)
    health.markReady()
    assert.equal((await ask('/healthz/ready')).status, 200)
    assert.equal((await ask('/healthz/ready?x=1', { method: 'HEAD' })).status, 200)
    health.markDraining()
    health.markReady()
    assert.equal((await ask('/healthz/ready')).status, 503)

    const scrape = await ask('/stats/prometheus')
    assert.equal(scrape.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(await scrape.text(), 'istio_build 1\n')
    metrics = async () => {
      throw new Error('a secret reason')
    }
    const failed = await ask('/stats/prometheus')
    assert.equal(failed.status, 500)
    assert.doesNotMatch(await failed.text(), /secret/)
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['a secret reason'],
    )

    assert.equal((await ask('/config_dump')).status, 404)
    assert.equal((await ask('/healthz/ready', { method: 'POST' })).status, 405)
  } finally {
    await server.close()
  }
})

test('a status port that is taken is an error', async () => {
  const options = {
    isReady: () => true,
    isLive: () => true,
    metricsText: async () => '',
    metricsContentType: '',
    onError: () => {},
  }
  const first = createStatusServer(options)
  const port = Number((await first.listen(0, '127.0.0.1')).split(':')[1])
  await assert.rejects(createStatusServer(options).listen(port, '127.0.0.1'), { code: 'EADDRINUSE' })
  await first.close()
})

test('the log is JSON lines with time, level as text and message; its level can be changed while it runs', () => {
  const lines: string[] = []
  const log = createLogger({ fields: { worker: 1 }, destination: { write: (line) => lines.push(line) } })
  log.debug('not shown')
  log.warn({ port: 80 }, 'careful')
  log.level = 'debug'
  log.debug('shown')
  const [first, second, ...more] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(more.length, 0)
  assert.match(String(first?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual({ ...first, time: '' }, { level: 'warn', time: '', worker: 1, port: 80, msg: 'careful' })
  assert.equal(second?.['level'], 'debug')
})

test('log levels are known by their names and by Envoy’s', () => {
  assert.equal(parseLogLevel('INFO'), 'info')
  assert.equal(parseLogLevel('warning'), 'warn')
  assert.equal(parseLogLevel('off'), 'silent')
  assert.equal(parseLogLevel('loud'), null)
  assert.equal(parseLogLevel('constructor'), null)
})
