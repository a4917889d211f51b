/**
 * Random edits of the configuration while clients go on asking. SLUICE_TEST_EDITS and SLUICE_TEST_SEED choose how many
 * and which; a failure names the seed.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ChangingHost, seededRandom, type World } from '../support/changing-hosts.ts'
import { ask, eventually, GATEWAY, routes, service, startUpstream } from '../support/live.ts'
import { answering, createWorkspace, type GatewayProcess, startGatewayProcess } from '../support/process.ts'

const EDITS = Number(process.env['SLUICE_TEST_EDITS'] ?? 300)
const SEED = Number(process.env['SLUICE_TEST_SEED'] ?? 20_260_711)
const HOSTS = 18
const CLIENTS = 6
const WORKERS = 2
/** Mean pause of a client between two requests: a few hundred requests a second altogether. */
const PAUSE_MS = 12
/** Longest until an edit is served everywhere, on a busy machine. */
const SETTLE_LIMIT_MS = 15_000

const SETTINGS = 'generationHeader: x-generation\n'
const BARRIER = 'barrier.test'
const CONTROL = 'control.test'

/** Answers with its name and a digest of what it was sent; `?wait=ms` makes it slow, `?size=bytes` talkative. */
async function startNamedUpstream(name: string): Promise<number> {
  const upstream = await startUpstream((req, res) => {
    const digest = createHash('sha256')
    req.on('data', (chunk: Buffer) => digest.update(chunk))
    req.on('end', () => {
      const { searchParams } = new URL(req.url!, 'http://upstream')
      const filler = 'f'.repeat(Number(searchParams.get('size') ?? 0))
      setTimeout(
        () => {
          res.setHeader('x-from', name)
          res.setHeader('x-digest', digest.digest('hex'))
          res.write(filler.slice(0, filler.length / 2))
          res.end(filler.slice(filler.length / 2))
        },
        Number(searchParams.get('wait') ?? 0),
      )
    })
  })
  after(() => upstream.stop())
  return upstream.port
}

interface Outcome {
  readonly answer: string
  readonly generation: string
}

interface Tally {
  requests: number
  readonly failures: string[]
  /** By generation and host: what the generation answers there, whichever worker is asked. */
  readonly byGeneration: Map<string, string>
  /** Connections that clients have opened. */
  connections: number
  /** Answers that announced the end of their connection. */
  announced: number
}

/** One client on one kept-alive connection, until it is told to stop. */
async function runClient(
  port: number,
  hosts: readonly ChangingHost[],
  random: () => number,
  tally: Tally,
  stop: AbortSignal,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let newest = 0
  const fail = (text: string) => {
    if (tally.failures.length < 20) tally.failures.push(text)
  }
  while (!stop.aborted) {
    const changing = random() < 0.8 ? hosts[Math.floor(random() * hosts.length)]! : null
    const began = performance.now()
    const host = changing?.host ?? CONTROL
    try {
      const { answer, generation } = await exchange(port, host, agent, random, tally)
      tally.requests++
      const number = Number.parseInt(generation)
      if (number < newest) fail(`${host}: generation ${generation} after ${newest} on the same connection`)
      newest = number
      if (changing === null) {
        if (answer !== '200 rule control from a') fail(`${host} answered ${answer}`)
      } else if (!changing.allows(answer, began, performance.now())) {
        fail(`${host} answered "${answer}" in generation ${generation}, and not ${changing.describe()}`)
      }
      const key = `${generation} ${host}`
      const rule = answer.replace(/ from .*/, '')
      const known = tally.byGeneration.get(key)
      if (known !== undefined && known !== rule) fail(`${host}: both "${known}" and "${rule}" in ${generation}`)
      tally.byGeneration.set(key, rule)
    } catch (error) {
      fail(`${host}: ${(error as Error).message}`)
    }
    await wait(random() * 2 * PAUSE_MS)
  }
  agent.destroy()
}

/** One request with or without a body. @throws Where it fails, or is not answered in full with what was asked for. */
async function exchange(
  port: number,
  host: string,
  agent: Agent,
  random: () => number,
  tally: Tally,
): Promise<Outcome> {
  const size = random() < 0.3 ? Math.floor(random() * 100_000) : 0
  const pause = random() < 0.1 ? Math.floor(random() * 60) : 0
  const body = random() < 0.4 ? Buffer.alloc(Math.floor(random() ** 3 * 200_000), String(random())) : null
  const chunked = body !== null && random() < 0.5
  const req = request({
    port,
    host: '127.0.0.1',
    agent,
    path: `/?size=${size}&wait=${pause}`,
    method: body === null ? 'GET' : 'POST',
    headers: { host, ...(body === null || chunked ? {} : { 'content-length': body.length }) },
  })
  req.once('socket', () => (tally.connections += req.reusedSocket ? 0 : 1))
  if (body === null || !chunked) req.end(body ?? undefined)
  else {
    req.write(body.subarray(0, body.length / 2))
    setImmediate(() => req.end(body.subarray(body.length / 2)))
  }
  const [res] = (await once(req, 'response', { signal: AbortSignal.timeout(20_000) })) as [IncomingMessage]
  let text = ''
  res.setEncoding('latin1')
  for await (const chunk of res) text += String(chunk)
  const from = res.headers['x-from']
  if (from !== undefined) {
    const digest = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    if (res.headers['x-digest'] !== digest) throw new Error('the request did not arrive as it was sent')
    if (text.length !== size) throw new Error(`${text.length} bytes came of ${size}`)
  }
  // The gateway does not wait for the rest of a body that it has no use for.
  if (res.headers.connection === 'close') {
    tally.announced++
    if (body === null || from !== undefined) throw new Error('the connection was closed')
  }
  const { statusCode } = res
  const rule = from === undefined ? text : `rule ${String(res.headers['x-rule'])} from ${String(from)}`
  return {
    answer: statusCode === 200 ? `200 ${rule}` : String(statusCode),
    generation: String(res.headers['x-generation']),
  }
}

/**
 * Resolves when every worker serves all that was written before. Files are looked at in the order of their changes, but
 * for those that are suddenly gone or empty, which get a second look: the second mark comes after that one.
 */
async function untilServed(gateway: GatewayProcess, write: (text: string) => void, round: number): Promise<void> {
  for (const mark of ['first', 'second']) await untilMarked(gateway, write, `${mark} mark of round ${round}`)
}

async function untilMarked(gateway: GatewayProcess, write: (text: string) => void, mark: string): Promise<void> {
  write(answering(BARRIER, mark))
  let generation = 0
  await eventually(async () => {
    const { body, headers } = await ask({ port: gateway.port(), host: BARRIER })
    assert.equal(body, mark)
    generation = Number.parseInt(String(headers['x-generation']))
  }, SETTLE_LIMIT_MS)
  await eventually(async () => {
    for (const worker of (await gateway.status()).workers) assert.ok(worker.generation >= generation)
  }, SETTLE_LIMIT_MS)
}

test(`${EDITS} random edits under load fail and misroute no request`, { timeout: 600_000 }, async (context) => {
  const random = seededRandom(SEED)
  const upstreams = new Map<string, number>()
  for (const name of ['a', 'b', 'c']) upstreams.set(name, await startNamedUpstream(name))
  const workspace = createWorkspace({
    'sluice.yaml': SETTINGS,
    'gateway.yaml': GATEWAY,
    'control.yaml':
      service('control', upstreams.get('a')!) +
      routes(
        '[{ route: [{ destination: { host: control.test } }], headers: { response: { set: { x-rule: control } } } }]',
        CONTROL,
      ),
  })
  context.after(() => workspace.remove())
  const world: World = { folder: workspace.config, random, upstreams, nextVersion: 1 }
  const hosts = Array.from({ length: HOSTS }, (_, index) => new ChangingHost(world, index))
  const gateway = await startGatewayProcess({ workspace, workers: WORKERS })
  const barrier = (text: string) => workspace.write('barrier.yaml', text)
  await untilServed(gateway, barrier, 0)

  const tally: Tally = { requests: 0, failures: [], byGeneration: new Map(), connections: 0, announced: 0 }
  const stop = new AbortController()
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    runClient(gateway.port(), hosts, seededRandom(SEED + index + 1), tally, stop.signal),
  )
  const began = performance.now()
  try {
    let edits = 0
    for (let round = 1; edits < EDITS && tally.failures.length === 0; round++) {
      for (let left = Math.ceil(random() * 25); left > 0; left--, edits++) {
        await hosts[Math.floor(random() * HOSTS)]!.edit()
        await wait(random() * 6)
      }
      await untilServed(gateway, barrier, round)
      for (const host of hosts) host.confirm(performance.now())
    }
    for (const host of hosts) await host.mend()
    await untilServed(gateway, barrier, -1)
    for (const host of hosts) host.confirm(performance.now())
    await wait(10 * PAUSE_MS)
  } finally {
    stop.abort()
    await Promise.all(clients)
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  const { number } = await generationOf(gateway)
  context.diagnostic(
    `${tally.requests} requests on ${tally.connections} connections, ${number} generations, ${tally.failures.length} failures in ${seconds} s`,
  )
  assert.deepEqual(tally.failures, [], `seed ${SEED}`)
  assert.ok(tally.connections <= CLIENTS + tally.announced, 'a reload closes no connection')
  assert.ok(tally.requests > EDITS, 'clients were asking all the time')

  const fresh = await startGatewayProcess({ workspace, state: `${workspace.root}/other-state` })
  const [old, anew] = [await fresh.admin('/config_dump'), await gateway.admin('/config_dump')]
  assert.deepEqual(old['plan'], anew['plan'], 'a gateway that starts now has the same plan')
  assert.equal((await generationOf(fresh)).hash, (await generationOf(gateway)).hash)
  assert.deepEqual((await fresh.status()).rejected, (await gateway.status()).rejected)
})

async function generationOf(gateway: GatewayProcess): Promise<{ number: string; hash: string }> {
  const [number, hash] = (await gateway.status()).configuration.split('-')
  return { number: number!, hash: hash! }
}
