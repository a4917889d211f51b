/** Worker processes: they share ports, are replaced, drain and end. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { createLogger } from '../../src/observability/logger.ts'
import { createMetricsAggregator } from '../../src/observability/metrics-aggregator.ts'
import type { ApplyMessage } from '../../src/workers/messages.ts'
import { WorkerPool } from '../../src/workers/pool.ts'
import { ask, DATA_PLANE_SETTINGS, eventually, GATEWAY, routes, service, startUpstream } from '../support/live.ts'
import { meshPlan } from '../support/mesh-plan.ts'
import {
  answering,
  createWorkspace,
  type GatewayProcess,
  type RunOptions,
  spawnGateway,
  startGatewayProcess,
  type Workspace,
} from '../support/process.ts'

/** When nothing is in flight there is nothing to wait for. */
const PROMPT_MS = 1000

/** Answers when it is told to. */
const held: (() => void)[] = []
const slow = await startUpstream((_req, res) => {
  res.write('begun, ')
  held.push(() => res.end('ended'))
})
after(() => slow.stop())

const SLOW_ROUTE =
  service('slow', slow.port) + routes('[{ route: [{ destination: { host: slow.test } }] }]', 'slow.test')

async function start(
  context: TestContext,
  files: Record<string, string>,
  options: Partial<RunOptions> = {},
): Promise<{ gateway: GatewayProcess; workspace: Workspace }> {
  const workspace = createWorkspace({ 'gateway.yaml': GATEWAY, ...files })
  context.after(() => workspace.remove())
  const gateway = await startGatewayProcess({ workspace, ...options })
  return { gateway, workspace }
}

/** A request to the upstream that waits, of which the first bytes of the answer are there. */
async function inFlight(gateway: GatewayProcess, agent?: Agent, port = gateway.port()): Promise<IncomingMessage> {
  const waiting = held.length
  const req = request({ port, host: '127.0.0.1', headers: { host: 'slow.test' }, agent: agent ?? false })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  await eventually(() => assert.equal(held.length, waiting + 1))
  return res
}

async function textOf(res: IncomingMessage): Promise<string> {
  let text = ''
  res.setEncoding('utf8')
  for await (const chunk of res) text += String(chunk)
  return text
}

/** A request on a kept-alive connection. @returns The `connection` header of the answer. */
async function askOn(agent: Agent, port: number, host: string): Promise<string | undefined> {
  const req = request({ port, host: '127.0.0.1', headers: { host }, agent })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  res.resume()
  await once(res, 'end')
  return res.headers.connection
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    await once(socket, 'connect')
    return false
  } catch {
    return true
  } finally {
    socket.destroy()
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('the generation is in the response header, the access log, the metrics and the status of every worker', async (context) => {
  const log = join(mkdtempSync(join(tmpdir(), 'sluice-log-')), 'access.log')
  context.after(() => rmSync(join(log, '..'), { recursive: true }))
  const settings = `generationHeader: x-generation\nmesh: { accessLogFile: ${log}, accessLogEncoding: JSON }\n`
  const files = { 'sluice.yaml': settings, 'app.yaml': answering('app.test', 'one') }
  const { gateway, workspace } = await start(context, files, { workers: 2 })
  const check = async (number: number) => {
    const { configuration, generation, workers } = await gateway.status()
    assert.match(configuration, new RegExp(`^${number}-[0-9a-f]{8}$`))
    assert.equal(generation, number)
    assert.deepEqual(
      workers.map((worker) => worker.generation),
      [number, number],
    )
    assert.equal((await gateway.metrics()).get('sluice_config_generation'), number)
    const { headers } = await ask({ port: gateway.port() })
    assert.equal(headers['x-generation'], configuration)
    await eventually(() => {
      const line = readFileSync(log, 'utf8').trim().split('\n').at(-1)!
      assert.equal((JSON.parse(line) as Record<string, unknown>)['generation'], configuration)
    })
  }
  await check(1)
  workspace.write('app.yaml', answering('app.test', 'two'))
  await eventually(() => check(2))
})

test('a policy is told as proven once every worker has seen it refuse, and after each change anew', async (context) => {
  const policy = (path: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: guard, namespace: istio-system }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: ['${path}'], notPaths: [/b] } }] }] }
`
  const files = { 'app.yaml': answering('app.test', 'one'), 'policy.yaml': policy('/a') }
  const { gateway, workspace } = await start(context, files, { workers: 2 })
  const states = async () => (await gateway.status()).policies.map(({ name, state }) => `${name} ${state}`)
  await eventually(async () => assert.deepEqual(await states(), ['guard proven']))
  assert.equal((await gateway.metrics()).get('sluice_security_policies{state="proven"}'), 1)
  workspace.write('policy.yaml', policy('/b'))
  await eventually(async () => assert.deepEqual(await states(), ['guard loaded']))
  await eventually(async () => {
    const [proof] = (await gateway.status()).policies
    assert.match(proof!.because, /no request could be made up/)
  })
})

test('a worker that dies is replaced; its neighbour serves on and no counter goes back', async (context) => {
  const { gateway } = await start(context, { 'app.yaml': answering('app.test', 'one') }, { workers: 2 })
  const port = gateway.port()
  const askMany = async (count: number) => {
    for (let i = 0; i < count; i++) assert.equal((await ask({ port })).body, 'one')
  }
  await askMany(40)
  const before = await gateway.metrics()
  const requests = [...before].filter(([name]) => name.startsWith('istio_requests_total'))
  assert.equal(
    requests.reduce((sum, [, value]) => sum + value, 0),
    40,
  )

  const [victim, neighbour] = (await gateway.status()).workers
  process.kill(victim!.pid!, 'SIGKILL')
  await eventually(() => assert.equal(isAlive(victim!.pid!), false))
  let last = before
  const noneGoesBack = async () => {
    const now = await gateway.metrics()
    for (const [name, value] of last) {
      const counts = /^(?:istio|sluice)_[a-z_]+(?:_total|_count|_sum|_bucket)\b/.test(name)
      if (counts) assert.ok((now.get(name) ?? 0) >= value, name)
    }
    last = now
  }
  await askMany(20)
  await noneGoesBack()
  await eventually(async () => {
    await askMany(1)
    await noneGoesBack()
    const { workers, inStep } = await gateway.status()
    assert.equal(inStep, true)
    assert.equal(workers[1]!.pid, neighbour!.pid)
    assert.notEqual(workers[0]!.pid, victim!.pid)
    assert.deepEqual(
      workers.map(({ generation, restarts }) => [generation, restarts]),
      [
        [1, 1],
        [1, 0],
      ],
    )
  }, 10_000)
  await askMany(40)
  await noneGoesBack()
  const told = gateway.log().find(({ msg }) => /worker ended/.test(String(msg)))
  assert.equal(told?.['signal'], 'SIGKILL')
})

test('a port that another program took while its worker was dead is opened once it is free', async (context) => {
  const { gateway } = await start(context, { 'app.yaml': answering('app.test', 'one') })
  const port = gateway.port()
  const thief = createServer((socket) => socket.end('mine'))
  context.after(() => thief.close())
  process.kill((await gateway.status()).workers[0]!.pid!, 'SIGKILL')
  // The next worker takes longer to start than this.
  await eventually(async () => {
    thief.listen(port, '127.0.0.1')
    await once(thief, 'listening')
  })
  await eventually(async () => {
    const { listenersDown, workers } = await gateway.status()
    assert.equal(workers[0]!.generation, 1)
    assert.match(listenersDown[0]!.errors.join(), /EADDRINUSE/)
  }, 10_000)
  thief.close()
  await eventually(async () => assert.equal((await ask({ port })).body, 'one'), 10_000)
  assert.equal((await gateway.status()).inStep, true)
})

test('a worker that could not apply an update is replaced while another serves, and says why otherwise', async (context) => {
  const good: ApplyMessage = {
    type: 'apply',
    update: { set: [['mesh', JSON.stringify(meshPlan())]], remove: [] },
    generation: 1,
    generationText: '1-good',
    bindings: {},
  }
  const bad = { ...good, generation: 2, update: { set: [['cluster/x', '{']] as const, remove: [] } }
  let current: ApplyMessage = good
  const pool = new WorkerPool({
    count: 2,
    settings: DATA_PLANE_SETTINGS,
    log: createLogger({ level: 'silent' }),
    current: () => current,
    metrics: createMetricsAggregator({ now: Date.now }),
    keySets: { all: () => [], newer: () => Promise.resolve(null) },
    identity: () => null,
    ticketKeys: () => ({ current: randomBytes(80), previous: null }),
    challenges: () => [],
  })
  context.after(() => pool.kill())
  const states = () => pool.states().map(({ generation, problem }) => [generation, problem])
  await eventually(() =>
    assert.deepEqual(states(), [
      [1, null],
      [1, null],
    ]),
  )
  const pids = pool.states().map(({ pid }) => pid)
  current = { ...good, generation: 2 }
  await assert.rejects(pool.apply(bad), /worker \d: .*JSON/)
  // Both could not: the first ends while the other serves, and the other when the first is whole again.
  await eventually(() => {
    assert.deepEqual(states(), [
      [2, null],
      [2, null],
    ])
    assert.ok(pool.states().every(({ pid }) => pid !== null && !pids.includes(pid)))
  })
  // Where the fault is in the plan, one stays that serves what it can.
  current = { ...bad, generation: 3 }
  await assert.rejects(pool.apply(current), /JSON/)
  await eventually(() => assert.ok(pool.states().every(({ problem }) => problem !== null && /JSON/.test(problem))))
  assert.ok(pool.states().some(({ generation }) => generation === 2))
})

test('SIGTERM: what is in flight finishes, nothing new is accepted, and the exit code is 0', async (context) => {
  const { gateway } = await start(context, { 'slow.yaml': SLOW_ROUTE, 'app.yaml': answering('app.test', 'one') })
  const port = gateway.port()
  const [idle, busy] = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true, maxSockets: 1 })]
  context.after(() => [idle, busy].forEach((agent) => agent.destroy()))
  assert.equal(await askOn(idle, port, 'app.test'), undefined)
  const res = await inFlight(gateway, busy)

  gateway.signal('SIGTERM')
  await eventually(async () => {
    assert.equal((await ask({ port: gateway.statusPort, path: '/healthz/ready' })).status, 503)
    assert.equal(await isRefused(port), true)
  })
  assert.equal((await ask({ port: gateway.statusPort, path: '/healthz/live' })).status, 200)
  await eventually(() => assert.equal(Object.keys(idle.freeSockets).length, 0))
  assert.equal(gateway.child.exitCode, null)
  // The request that waits for its turn on the same connection is served as well, and told that it is the last one.
  const next = askOn(busy, port, 'app.test')
  held.at(-1)!()
  assert.equal(await textOf(res), 'begun, ended')
  await next.then(
    (connection) => assert.equal(connection, 'close'),
    // Unless the connection was closed before it was sent.
    (error: NodeJS.ErrnoException) => assert.match(error.code ?? '', /ECONNRESET|ECONNREFUSED/),
  )
  assert.deepEqual(await gateway.untilExit(), { code: 0, signal: null })
})

test('a request that comes on a kept connection while others are in flight is answered with connection: close', async (context) => {
  const { gateway } = await start(context, { 'slow.yaml': SLOW_ROUTE })
  const first = await inFlight(gateway)
  // A head that is half there when the drain begins is no idle connection.
  const socket = connect({ port: gateway.port(), host: '127.0.0.1' })
  socket.setEncoding('latin1')
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.write('GET / HTTP/1.1\r\nHost: none.test\r\n')
  await eventually(async () => {
    assert.equal((await gateway.metrics()).get('sluice_downstream_connections_active'), 2)
  })
  gateway.signal('SIGTERM')
  await eventually(async () => assert.equal(await isRefused(gateway.port()), true))
  socket.write('\r\n')
  await once(socket, 'close')
  assert.match(text, /^HTTP\/1.1 404 /)
  assert.match(text, /\r\nconnection: close\r\n/i)
  held.at(-1)!()
  assert.equal(await textOf(first), 'begun, ended')
  assert.deepEqual(await gateway.untilExit(), { code: 0, signal: null })
})

test('a second SIGTERM does not wait for what is in flight', async (context) => {
  const { gateway } = await start(context, { 'slow.yaml': SLOW_ROUTE }, { workers: 2 })
  const res = await inFlight(gateway)
  gateway.signal('SIGTERM')
  await eventually(async () => assert.equal(await isRefused(gateway.port()), true))
  const began = performance.now()
  gateway.signal('SIGTERM')
  await gateway.untilExit()
  assert.ok(performance.now() - began < PROMPT_MS)
  await assert.rejects(textOf(res))
})

test('requests in flight on a port that is no longer configured finish, also while the gateway ends', async (context) => {
  const second = GATEWAY.replaceAll('name: gw', 'name: second').replace('number: 80', 'number: 81')
  const { gateway, workspace } = await start(
    context,
    {
      'second.yaml': second,
      'slow.yaml': SLOW_ROUTE.replace('istio-system/gw', 'istio-system/gw, istio-system/second'),
    },
    { args: ['--listen', '81=127.0.0.1:0'] },
  )
  const port = gateway.port(81)
  const [one, two] = [await inFlight(gateway, undefined, port), await inFlight(gateway, undefined, port)]
  workspace.write('second.yaml', '')
  await eventually(async () => assert.equal(await isRefused(port), true))
  held.at(-2)!()
  assert.equal(await textOf(one), 'begun, ended')
  gateway.signal('SIGTERM')
  await eventually(async () => assert.equal(await isRefused(gateway.port()), true))
  held.at(-1)!()
  assert.equal(await textOf(two), 'begun, ended')
  assert.deepEqual(await gateway.untilExit(), { code: 0, signal: null })
})

test('SIGHUP opens a log file anew that was renamed', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const log = join(folder, 'access.log')
  const files = { 'sluice.yaml': `mesh: { accessLogFile: ${log} }\n`, 'app.yaml': answering('app.test', 'one') }
  const { gateway } = await start(context, files, { workers: 2 })
  const askFor = async (path: string, file: string) => {
    await ask({ port: gateway.port(), path })
    await eventually(() => assert.match(readFileSync(file, 'utf8'), new RegExp(`GET ${path} `)))
  }
  await askFor('/before', log)
  renameSync(log, `${log}.1`)
  await askFor('/between', `${log}.1`)
  gateway.signal('SIGHUP')
  await eventually(() => assert.equal(readFileSync(log, 'utf8'), ''))
  for (let i = 0; i < 10; i++) await askFor(`/after-${i}`, log)
  assert.doesNotMatch(readFileSync(`${log}.1`, 'utf8'), /after/)
})

const ends: Record<string, { installed: boolean; traffic: boolean }> = {
  'without traffic it ends at once': { installed: true, traffic: false },
  'after traffic of kept-alive clients it ends at once, though it never ran here before': {
    installed: false,
    traffic: true,
  },
}

for (const [name, { installed, traffic }] of Object.entries(ends)) {
  test(name, async (context) => {
    // After an installation nothing of what Node compiles is saved yet, and it must not be saved while ending.
    const cache = mkdtempSync(join(tmpdir(), 'sluice-cache-'))
    context.after(() => rmSync(cache, { recursive: true }))
    const env = installed ? {} : { NODE_COMPILE_CACHE: cache }
    const { gateway } = await start(context, { 'app.yaml': answering('app.test', 'one') }, { workers: 2, env })
    const agents = Array.from({ length: traffic ? 20 : 0 }, () => new Agent({ keepAlive: true }))
    context.after(() => agents.forEach((agent) => agent.destroy()))
    for (const agent of agents) {
      for (let i = 0; i < 5; i++) await askOn(agent, gateway.port(), 'app.test')
      await askOn(agent, gateway.statusPort, '127.0.0.1')
      await askOn(agent, gateway.adminPort, `127.0.0.1:${gateway.adminPort}`)
    }
    const began = performance.now()
    gateway.signal('SIGTERM')
    assert.deepEqual(await gateway.untilExit(), { code: 0, signal: null })
    const took = performance.now() - began
    assert.ok(took < PROMPT_MS, `${Math.round(took)} ms`)
  })
}

test('workers end when the primary is killed', async (context) => {
  const { gateway } = await start(context, { 'app.yaml': answering('app.test', 'one') }, { workers: 2 })
  const pids = (await gateway.status()).workers.map(({ pid }) => pid!)
  gateway.signal('SIGKILL')
  await eventually(() => assert.deepEqual(pids.filter(isAlive), []))
})

test('a gateway that cannot bind its own ports says why and ends, workers too', async (context) => {
  const taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  context.after(() => taken.close())
  const { port } = taken.address() as { port: number }
  const workspace = createWorkspace({ 'gateway.yaml': GATEWAY })
  context.after(() => workspace.remove())
  const gateway = spawnGateway({ workspace, workers: 2, args: ['--admin', `127.0.0.1:${port}`] })
  assert.deepEqual(await gateway.untilExit(), { code: 2, signal: null })
  assert.match(gateway.stderr, new RegExp(`the admin port 127.0.0.1:${port} cannot be bound: it is taken`))
  assert.match(gateway.stderr, /--admin/)
})
