import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Answer,
  ask,
  GATEWAY,
  type LiveGateway,
  routes,
  service,
  startGateway,
  startUpstream,
} from '../support/live.ts'

/** A policy whose rules are given as YAML in flow style. */
function limits(rules: string, spec = '', name = 'limits'): string {
  return `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: ${name} }
spec: { ${spec} rules: ${rules} }
---
`
}

const ROUTES = routes(
  '[{ name: a, match: [{ uri: { prefix: /a } }], route: [{ destination: { host: a.test } }] }, { name: rest, route: [{ destination: { host: a.test } }] }]',
)

async function gatewayWith(yaml: string, answer: Record<string, string> = {}) {
  const asked: string[][] = []
  const upstream = await startUpstream((req, res) => {
    asked.push(req.rawHeaders)
    res.writeHead(200, answer).end('up')
  })
  const base = GATEWAY + service('a', upstream.port) + ROUTES
  const gateway = await startGateway(base + yaml)
  return {
    gateway,
    asked,
    ask: (path = '/', headers: Record<string, string> = {}): Promise<Answer> =>
      ask({ port: gateway.port(), path, headers }),
    apply: (text: string) => gateway.apply(base + text),
    async stop() {
      await gateway.stop()
      upstream.stop()
    },
  }
}

async function statuses(count: number, send: () => Promise<Answer>): Promise<number[]> {
  const all: number[] = []
  for (let i = 0; i < count; i++) all.push((await send()).status)
  return all
}

function outcomes(gateway: LiveGateway, policy: string, rule: string) {
  const rules = gateway.plane.stats().metrics.rateLimits?.rules ?? []
  return rules.find((each) => each.policy === policy && each.rule === rule)?.outcomes
}

test('a change of a limit begins new buckets, a change elsewhere in the policy does not', async () => {
  const rule = (name: string, requests: number, more = '') =>
    `{ name: ${name}, match: [{ uri: { prefix: /${name} } }], limit: { requests: ${requests}, per: 60s } ${more} }`
  const live = await gatewayWith(limits(`[${rule('one', 1)}, ${rule('two', 1)}]`))
  assert.deepEqual(await statuses(2, () => live.ask('/one')), [200, 429])
  assert.deepEqual(await statuses(2, () => live.ask('/two')), [200, 429])
  await live.apply(limits(`[${rule('one', 1, ', status: 503, body: later')}, ${rule('two', 2)}]`))
  const refused = await live.ask('/one')
  assert.deepEqual([refused.status, refused.body], [503, 'later'])
  assert.deepEqual(await statuses(3, () => live.ask('/two')), [200, 200, 429])
  assert.equal(outcomes(live.gateway, 'default/limits', 'one')?.['over_limit'], 2)
  await live.apply('')
  assert.deepEqual(await statuses(2, () => live.ask('/one')), [200, 200])
  assert.equal(outcomes(live.gateway, 'default/limits', 'one'), undefined)
  await live.stop()
})

test('the cost that an upstream tells is counted, and a client cannot tell one', async () => {
  const live = await gatewayWith(
    limits('[{ name: cost, limit: { requests: 10, per: 60s }, hits: { header: X-Cost } }]'),
    { 'x-cost': '4' },
  )
  const answers = []
  for (let i = 0; i < 4; i++) answers.push(await live.ask('/', { 'x-cost': '0' }))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 429],
  )
  // Told before the answer's own cost was known.
  assert.deepEqual(
    answers.map(({ headers }) => headers['x-ratelimit-remaining']),
    ['9', '5', '1', '0'],
  )
  assert.ok(live.asked.every((headers) => !headers.some((name) => name.toLowerCase() === 'x-cost')))
  await live.stop()
})

test('an upstream that tells a cost of nothing gives the hit back', async () => {
  const live = await gatewayWith(limits('[{ limit: { requests: 1, per: 60s }, hits: { header: x-cost } }]'), {
    'x-cost': '0',
  })
  assert.deepEqual(await statuses(5, () => live.ask()), [200, 200, 200, 200, 200])
  await live.stop()
})

test('a request that one rule refuses takes nothing from the others', async () => {
  const live = await gatewayWith(
    limits(
      '[{ name: wide, limit: { requests: 5, per: 60s } }, { name: narrow, match: [{ uri: { prefix: /n } }], limit: { requests: 1, per: 60s } }]',
    ),
  )
  assert.deepEqual(await statuses(4, () => live.ask('/n')), [200, 429, 429, 429])
  assert.deepEqual(await statuses(5, () => live.ask('/w')), [200, 200, 200, 200, 429])
  assert.deepEqual(outcomes(live.gateway, 'default/limits', 'wide'), {
    ok: 5,
    over_limit: 1,
    shadow_over_limit: 0,
    store_failed_allowed: 0,
    store_failed_denied: 0,
  })
  await live.stop()
})

test('a rule on trial counts what it would refuse, and does not show', async () => {
  const live = await gatewayWith(limits('[{ name: trial, limit: { requests: 1, per: 60s }, shadow: true }]'))
  const answers = [await live.ask(), await live.ask(), await live.ask()]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
  assert.equal(answers[0]!.headers['x-ratelimit-limit'], undefined)
  assert.equal(outcomes(live.gateway, 'default/limits', 'trial')?.['shadow_over_limit'], 2)
  await live.stop()
})

test('a gRPC client is told that the service is not available', async () => {
  const live = await gatewayWith(limits('[{ limit: { requests: 1, per: 60s } }]'))
  await live.ask()
  const refused = await live.ask('/', { 'content-type': 'application/grpc' })
  assert.deepEqual([refused.status, refused.headers['grpc-status']], [200, '14'])
  await live.stop()
})

test('the gateway shows its own limits in place of those of an upstream', async () => {
  const live = await gatewayWith(limits('[{ limit: { requests: 3, per: 60s } }]'), { 'x-ratelimit-remaining': '1' })
  assert.equal((await live.ask()).headers['x-ratelimit-remaining'], '2')
  await live.stop()
})

const AUTHORIZATION = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny, namespace: istio-system }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/a] } }] }] }
---
`

test('limits come before authorization policies, and each request is counted once', async () => {
  const live = await gatewayWith(AUTHORIZATION + limits('[{ name: r, limit: { requests: 3, per: 60s } }]'))
  assert.deepEqual(await statuses(2, () => live.ask('/a')), [403, 403])
  assert.deepEqual(await statuses(2, () => live.ask('/b')), [200, 429])
  assert.equal((await live.ask('/a')).status, 429)
  assert.equal(outcomes(live.gateway, 'default/limits', 'r')?.['ok'], 3)
  await live.stop()
})

test('a policy for a section of a VirtualService leaves the other sections alone', async () => {
  const live = await gatewayWith(
    AUTHORIZATION.replace('/a]', '/never]') +
      limits(
        '[{ limit: { requests: 1, per: 60s } }]',
        'targetRefs: [{ kind: VirtualService, name: app-test, sectionName: a }],',
      ),
  )
  assert.deepEqual(await statuses(2, () => live.ask('/a')), [200, 429])
  assert.deepEqual(await statuses(2, () => live.ask('/b')), [200, 200])
  await live.stop()
})

test('a sliding window admits no more after what would be the end of a fixed one', async () => {
  const live = await gatewayWith(limits('[{ limit: { requests: 2, per: 1s }, window: sliding }]'))
  const began = performance.now()
  assert.deepEqual(await statuses(3, () => live.ask()), [200, 200, 429])
  for (;;) {
    const { status } = await live.ask()
    if (status === 200) break
    assert.ok(performance.now() - began < 5000, 'nothing was admitted again')
  }
  assert.ok(performance.now() - began >= 1000)
  await live.stop()
})
