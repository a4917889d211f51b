import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask, eventually, GATEWAY, routes, service, startGateway, startUpstream } from '../support/live.ts'

test('requests beyond maxActiveRequests are answered at once, and the others end as they would', async (t) => {
  const held: (() => void)[] = []
  const upstream = await startUpstream((_req, res) => void held.push(() => res.end('up')))
  t.after(() => upstream.stop())
  const gateway = await startGateway(
    GATEWAY + service('a', upstream.port) + routes('[{ route: [{ destination: { host: a.test } }] }]'),
    { settings: { overload: { maxActiveRequests: 2, maxEventLoopDelayMs: 0 } } },
  )
  t.after(() => gateway.stop())
  const send = () => ask({ port: gateway.port() })
  const first = [send(), send()]
  await eventually(() => assert.equal(held.length, 2))
  const refused = await send()
  assert.deepEqual([refused.status, refused.body, refused.headers['retry-after']], [503, 'envoy overloaded', '1'])
  assert.equal(held.length, 2)
  for (const release of held.splice(0)) release()
  for (const answer of await Promise.all(first)) assert.equal(answer.status, 200)
  const later = send()
  await eventually(() => assert.equal(held.length, 1))
  held[0]!()
  assert.equal((await later).status, 200)
  const { metrics } = gateway.plane.stats()
  assert.deepEqual(metrics.shed, { active_requests: 1, event_loop_delay: 0 })
})
