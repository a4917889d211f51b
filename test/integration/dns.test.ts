/** Upstreams by name: a real resolver, a real DNS server, real requests. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { DnsWatcher, type Resolution, type Resolve, systemResolve } from '../../src/upstreams/dns.ts'
import { type DnsServer, startDnsServer } from '../support/dns-server.ts'
import { ask, eventually, GATEWAY, type LiveGateway, routes, startGateway } from '../support/live.ts'

const REFRESH_MS = 60_000
let dns: DnsServer
let port = 0

/** Two hosts with one port: each answers with its address. */
const hosts = ['127.0.0.1', '127.0.0.2']
const upstreams = hosts.map((host) => createServer((_req, res) => res.end(host)))

before(async () => {
  dns = await startDnsServer()
  for (const [index, upstream] of upstreams.entries()) {
    upstream.listen(port, hosts[index])
    await once(upstream, 'listening')
    port = (upstream.address() as AddressInfo).port
  }
})
after(() => {
  dns.stop()
  for (const upstream of upstreams) {
    upstream.close()
    upstream.closeAllConnections()
  }
})

const resolver = (families = { ipv4: true, ipv6: false }): Resolve =>
  systemResolve(REFRESH_MS, { servers: [dns.address], families: () => families })

function named(name: string, resolution: 'DNS' | 'DNS_ROUND_ROBIN' = 'DNS'): string {
  return `${GATEWAY}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: named }
spec:
  hosts: [${name}]
  ports: [{ number: ${port}, name: http, protocol: HTTP }]
  resolution: ${resolution}
---
${routes(`[{ route: [{ destination: { host: ${name} } }] }]`)}`
}

async function start(context: TestContext, yaml: string, resolve = resolver()): Promise<LiveGateway> {
  const gateway = await startGateway(yaml, { resolve })
  context.after(() => gateway.stop())
  return gateway
}

async function answers(gateway: LiveGateway, count: number): Promise<string[]> {
  const seen = new Set<string>()
  for (let i = 0; i < count; i++) {
    const { status, body } = await ask({ port: gateway.port() })
    seen.add(status === 200 ? body : String(status))
  }
  return [...seen].sort()
}

test('names are asked for by the kinds of addresses that can be reached, and the shortest life counts', async () => {
  dns.records.set('both.internal', [
    { address: '127.0.0.1', ttl: 300 },
    { address: '127.0.0.2', ttl: 20 },
    { address: 'fd00::1:2', ttl: 10 },
  ])
  const asked = (name: string) => dns.questions.filter((question) => question.startsWith(name)).sort()
  assert.deepEqual(await resolver()('both.internal'), { addresses: ['127.0.0.1', '127.0.0.2'], ttlMs: 20_000 })
  assert.deepEqual(asked('both.internal'), ['both.internal A'])
  const { addresses, ttlMs } = await resolver({ ipv4: true, ipv6: true })('both.internal')
  assert.deepEqual([addresses, ttlMs], [['127.0.0.1', '127.0.0.2', 'fd00::1:2'], 10_000])
  assert.deepEqual(asked('both.internal'), ['both.internal A', 'both.internal A', 'both.internal AAAA'])
  assert.deepEqual((await resolver({ ipv4: false, ipv6: true })('both.internal')).addresses, ['fd00::1:2'])
})

test('what is no name is not asked for, and localhost is what the system says', async () => {
  const before = dns.questions.length
  assert.deepEqual(await resolver()('127.0.0.9'), { addresses: ['127.0.0.9'], ttlMs: null })
  assert.deepEqual(await resolver()('::1'), { addresses: ['::1'], ttlMs: null })
  assert.deepEqual(await resolver()('localhost'), { addresses: ['127.0.0.1'], ttlMs: REFRESH_MS })
  assert.equal(dns.questions.length, before)
})

test('DNS: the first request waits for the first answer, and all addresses are used', async (context) => {
  dns.records.set('strict.internal', [
    { address: '127.0.0.1', ttl: 60 },
    { address: '127.0.0.2', ttl: 60 },
  ])
  dns.delayMs = 200
  context.after(() => (dns.delayMs = 0))
  const gateway = await start(context, named('strict.internal'))
  const began = performance.now()
  const first = await ask({ port: gateway.port() })
  assert.equal(first.status, 200)
  assert.ok(performance.now() - began > 50, 'the answer was not there yet')
  assert.deepEqual(await answers(gateway, 30), ['127.0.0.1', '127.0.0.2'])
  assert.equal(dns.questions.filter((question) => question.startsWith('strict.internal')).length, 1)
})

test('DNS_ROUND_ROBIN: one address is used', async (context) => {
  dns.records.set('logical.internal', [
    { address: '127.0.0.2', ttl: 60 },
    { address: '127.0.0.1', ttl: 60 },
  ])
  const gateway = await start(context, named('logical.internal', 'DNS_ROUND_ROBIN'))
  assert.deepEqual(await answers(gateway, 20), ['127.0.0.2'])
})

test('a name that does not exist has no endpoint: 503, until it does', async (context) => {
  const gateway = await start(context, named('late.internal'))
  assert.deepEqual(await ask({ port: gateway.port() }).then(({ status, body }) => [status, body]), [
    503,
    'no healthy upstream',
  ])
  dns.records.set('late.internal', [{ address: '127.0.0.1', ttl: 60 }])
  await eventually(async () => assert.deepEqual(await answers(gateway, 1), ['127.0.0.1']), 5000)
})

test(
  'no request waits for a later answer; while there is none the last addresses stay',
  { timeout: 60_000 },
  async (context) => {
    dns.records.set('moving.internal', [{ address: '127.0.0.1', ttl: 1 }])
    const gateway = await start(context, named('moving.internal'))
    assert.deepEqual(await answers(gateway, 3), ['127.0.0.1'])
    dns.records.set('moving.internal', 'failing')
    dns.delayMs = 1500
    context.after(() => (dns.delayMs = 0))
    const questions = () => dns.questions.filter((question) => question === 'moving.internal A').length
    const before = questions()
    let slowest = 0
    const began = performance.now()
    await eventually(async () => {
      const asked = performance.now()
      assert.deepEqual(await answers(gateway, 1), ['127.0.0.1'])
      slowest = Math.max(slowest, performance.now() - asked)
      assert.ok(questions() >= before + 2, 'asked again, and again after the failure')
    }, 15_000)
    assert.ok(performance.now() - began > 4500, 'not before five seconds, however short the life')
    assert.ok(slowest < 1000, `a request took ${slowest} ms`)
    dns.records.set('moving.internal', [{ address: '127.0.0.2', ttl: 60 }])
    await eventually(async () => assert.deepEqual(await answers(gateway, 1), ['127.0.0.2']), 15_000)
  },
)

interface Watched {
  readonly asked: () => number
  readonly changes: string[]
  readonly failures: string[]
  answer: Resolution | Error
  /** Lets time pass. */
  pass(ms: number): Promise<void>
}

/** A watcher whose time is the test's. */
async function watch(context: TestContext, answer: Resolution | Error): Promise<Watched> {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  let asked = 0
  const watched: Watched = {
    asked: () => asked,
    changes: [],
    failures: [],
    answer,
    async pass(ms) {
      context.mock.timers.tick(ms)
      for (let i = 0; i < 5; i++) await turn()
    },
  }
  const watcher = new DnsWatcher('name.test', {
    resolve: async () => {
      asked++
      if (watched.answer instanceof Error) throw watched.answer
      return watched.answer
    },
    refreshMs: REFRESH_MS,
    random: () => 0,
    onChange: (addresses) => watched.changes.push(addresses.join()),
    onFailure: (error) => watched.failures.push(error.message),
  })
  context.after(() => watcher.close())
  await watcher.ready
  return watched
}

const lives: Record<string, { ttlMs: number | null; everyMs: number }> = {
  'a record is asked for again when its life is over': { ttlMs: 30_000, everyMs: 30_000 },
  'a record without a life is asked for as often as dnsRefreshRate says': { ttlMs: null, everyMs: REFRESH_MS },
  'a record with no life at all is asked for every five seconds': { ttlMs: 0, everyMs: 5000 },
  'a record that lives for years is asked for once a day': { ttlMs: 2 ** 31 * 1000, everyMs: 86_400_000 },
}

for (const [name, { ttlMs, everyMs }] of Object.entries(lives)) {
  test(name, async (context) => {
    const watched = await watch(context, { addresses: ['192.0.2.1'], ttlMs })
    for (let round = 1; round < 4; round++) {
      await watched.pass(everyMs - 1)
      assert.equal(watched.asked(), round)
      await watched.pass(1)
      assert.equal(watched.asked(), round + 1)
    }
    assert.deepEqual(watched.changes, ['192.0.2.1'])
  })
}

test('after a failure a name is asked for ever more seldom, what was known stays, and it is told once', async (context) => {
  const watched = await watch(context, { addresses: ['192.0.2.1'], ttlMs: 10_000 })
  watched.answer = new Error('no answer')
  await watched.pass(10_000)
  assert.equal(watched.asked(), 2)
  for (const [index, afterMs] of [1000, 2000, 4000, 8000, 16_000, 32_000, REFRESH_MS, REFRESH_MS].entries()) {
    await watched.pass(afterMs - 1)
    assert.equal(watched.asked(), 2 + index)
    await watched.pass(1)
    assert.equal(watched.asked(), 3 + index)
  }
  assert.deepEqual([watched.changes, watched.failures], [['192.0.2.1'], ['no answer']])
  watched.answer = { addresses: ['192.0.2.2'], ttlMs: 10_000 }
  await watched.pass(REFRESH_MS)
  watched.answer = new Error('again')
  await watched.pass(10_000)
  assert.deepEqual(
    [watched.changes, watched.failures],
    [
      ['192.0.2.1', '192.0.2.2'],
      ['no answer', 'again'],
    ],
  )
})

test('the order of the addresses in an answer is no change', async (context) => {
  const watched = await watch(context, { addresses: ['192.0.2.1', '192.0.2.2'], ttlMs: 5000 })
  watched.answer = { addresses: ['192.0.2.2', '192.0.2.1'], ttlMs: 5000 }
  await watched.pass(5000)
  assert.deepEqual(watched.changes, ['192.0.2.1,192.0.2.2'])
  watched.answer = { addresses: ['192.0.2.2'], ttlMs: 5000 }
  await watched.pass(5000)
  assert.deepEqual(watched.changes, ['192.0.2.1,192.0.2.2', '192.0.2.2'])
})
