/** Four gateway processes with one Redis admit what one limit admits: no more in any window, and hardly less. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { answering, createWorkspace, type GatewayProcess, startGatewayProcess } from '../../support/process.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { skipWithout } from '../../support/requirements.ts'
import { GATEWAY } from '../../support/live.ts'

const GATEWAYS = 4
const LIMIT = 40
const WINDOW_MS = 400
const WINDOWS = 10

const POLICY = `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: exact, namespace: istio-system }
spec: { rules: [{ name: all, limit: { requests: ${LIMIT}, per: ${WINDOW_MS}ms }, whenStoreFails: deny }] }
`

/** Sends one request after the other, and notes what was left at each that was admitted. */
async function drive(gateway: GatewayProcess, until: number, note: (remaining: number) => void): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let sent = 0
  while (performance.now() < until) {
    const req = request({ port: gateway.port(), host: '127.0.0.1', headers: { host: 'app.test' }, agent })
    req.end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    res.resume()
    await once(res, 'end')
    sent++
    if (res.statusCode === 200) note(Number(res.headers['x-ratelimit-remaining']))
    // Ten times the limit is enough; the rest of the machine is the gateways'.
    await delay((GATEWAYS * 2 * WINDOW_MS) / (LIMIT * 12))
  }
  agent.destroy()
  return sent
}

test(
  'four gateway processes with one Redis admit the limit in each window',
  { skip: skipWithout('redis-server') },
  async (t) => {
    const redis = await RedisServer.start()
    t.after(() => redis.stop())
    const gateways = await Promise.all(
      Array.from({ length: GATEWAYS }, () => {
        const workspace = createWorkspace({ 'all.yaml': GATEWAY + answering('app.test', 'up') + POLICY })
        t.after(() => workspace.remove())
        return startGatewayProcess({
          workspace,
          workers: 1,
          args: ['--redis', redis.url],
          // A store that is only slow here and there must not be taken for a dead one: this is about counting.
          env: { SLUICE_REDIS_TIMEOUT: '5s' },
        })
      }),
    )
    const left: number[] = []
    const until = performance.now() + WINDOW_MS * WINDOWS
    const sent = await Promise.all(
      gateways.flatMap((gateway) => [1, 2].map(() => drive(gateway, until, (remaining) => left.push(remaining)))),
    )
    // A window admits one request with each number of hits left. So nothing was admitted twice in a window if no number
    // came more often than there were windows, which the first hits of all windows count.
    const times = new Map<number, number>()
    for (const remaining of left) times.set(remaining, (times.get(remaining) ?? 0) + 1)
    const windows = times.get(LIMIT - 1) ?? 0
    assert.ok(windows >= 2 && windows <= WINDOWS + 1, `${windows} windows`)
    for (const [remaining, count] of times) {
      assert.ok(count <= windows, `${count} requests had ${remaining} left in ${windows} windows`)
    }
    const offered = sent.reduce((sum, count) => sum + count, 0)
    // The last window may have had no time to fill, and a machine that cannot offer the limit cannot fill any.
    const full = Math.min(LIMIT * (windows - 1), offered)
    t.diagnostic(`${offered} sent, ${left.length} admitted in ${windows} windows of ${LIMIT}`)
    assert.ok(left.length <= LIMIT * windows, `${left.length} admitted in ${windows} windows`)
    assert.ok(left.length >= 0.99 * full, `${left.length} admitted in ${windows} windows, ${offered} sent`)
  },
)
