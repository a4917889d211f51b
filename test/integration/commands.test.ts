/** The commands as processes: what they print, and how they end. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { after, before, test } from 'node:test'
import { ask, eventually, GATEWAY, routes, service, startUpstream } from '../support/live.ts'
import {
  answering,
  createWorkspace,
  GatewayProcess,
  ownPorts,
  portOf,
  runCommand,
  startGatewayProcess,
} from '../support/process.ts'

const upstream = await startUpstream((_req, res) => res.end('hello'))
const workspace = createWorkspace({
  'gateway.yaml': GATEWAY + answering('plain.test', 'plain'),
  'app.yaml':
    service('app', upstream.port) +
    routes('[{ name: first, match: [{ uri: { prefix: /api } }], route: [{ destination: { host: app.test } }] }]'),
})
let gateway: GatewayProcess

before(async () => {
  gateway = await startGatewayProcess({ workspace })
})
after(async () => {
  await workspace.remove()
  upstream.stop()
})

const withAdmin = (...args: string[]) => runCommand([...args, '--admin', gateway.ready.admin])

async function json<Body>(...args: string[]): Promise<Body> {
  const { code, stdout, stderr } = await withAdmin(...args, '--output', 'json')
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Body
}

test('run prints one line on standard output, with addresses that answer', async () => {
  assert.equal(gateway.stdout.trim().split('\n').length, 1)
  const { listeners, workers, generation } = gateway.ready
  assert.deepEqual(
    listeners.map(({ port }) => port),
    [80],
  )
  assert.deepEqual([workers, generation], [1, 1])
  assert.equal((await ask({ port: gateway.port(), path: '/api' })).body, 'hello')
  assert.equal((await ask({ port: gateway.statusPort, path: '/healthz/ready' })).status, 200)
  assert.equal((await gateway.status()).inStep, true)
})

test('listeners, routes, clusters and certs show what is loaded, for people and for programs', async () => {
  const tables: Record<string, RegExp> = {
    listeners: /127\.0\.0\.1:\d+.*http.*up/,
    routes: /app\.test.*\/api/,
    clusters: new RegExp(`app\\.test.*127\\.0\\.0\\.1:${upstream.port}`, 's'),
    certs: /./,
  }
  for (const [command, expected] of Object.entries(tables)) {
    const { code, stdout, stderr } = await withAdmin(command)
    assert.equal(code, 0, stderr)
    assert.match(stdout, expected)
  }
  const { listeners } = await json<{ listeners: { up: boolean }[] }>('listeners')
  assert.deepEqual(listeners[0]!.up, true)
  const found = await json<{ routes: { host: string; name: string }[] }>('routes', '--host', 'app.test')
  assert.deepEqual(
    found.routes.map(({ host, name }) => [host, name]),
    [['app.test', 'first']],
  )
  const { clusters } = await json<{ clusters: { endpoints: { address: string }[] }[] }>('clusters')
  assert.equal(clusters[0]!.endpoints[0]!.address, `127.0.0.1:${upstream.port}`)
  assert.deepEqual((await json<{ certificates: unknown[] }>('certs')).certificates, [])
})

test('explain says which rule takes a request, and which do not', async () => {
  const taken = await withAdmin('explain', 'GET', 'http://app.test/api/orders')
  assert.equal(taken.code, 0, taken.stderr)
  assert.match(taken.stdout, /first/)
  assert.match(taken.stdout, /app\.test/)
  const refused = await withAdmin('explain', 'GET', 'http://app.test/other')
  assert.match(refused.stdout, /404/)
  const byHeader = await withAdmin('explain', 'GET', 'http://somewhere.test/', '-H', 'host: plain.test')
  assert.match(byHeader.stdout, /200/)
})

test('status exits 0 while all is well, 1 when something is rejected, 2 when no gateway answers', async () => {
  const well = await withAdmin('status')
  assert.equal(well.code, 0, well.stdout)
  assert.match(well.stdout, /^in step/)
  workspace.write('bad.yaml', 'kind: [')
  await eventually(async () => assert.equal((await gateway.status()).rejected.length, 1))
  const bad = await withAdmin('status')
  assert.equal(bad.code, 1)
  assert.match(bad.stdout, /bad\.yaml:1: error: not YAML/)
  workspace.write('bad.yaml', '')
  const none = await runCommand(['status', '--admin', '127.0.0.1:1'])
  assert.equal(none.code, 2)
  assert.match(none.stderr, /no gateway answers at 127\.0\.0\.1:1/)
})

test('analyze exits 0, 1 or 2, and writes JSON for programs', async (context) => {
  const other = createWorkspace({ 'gateway.yaml': GATEWAY, 'good.yaml': answering('good.test', 'good') })
  context.after(() => other.remove())
  const good = await runCommand(['analyze', 'config'], other.root)
  assert.equal(good.code, 0, good.stdout)
  other.write('bad.yaml', answering('bad.test', 'bad').replace('status: 200', 'status: 2'))
  const bad = await runCommand(['analyze', 'config'], other.root)
  assert.equal(bad.code, 1)
  assert.match(bad.stdout, /config\/bad\.yaml:9: error: VirtualService default\/bad-test/)
  const asJson = await runCommand(['analyze', '--output', 'json', 'config'], other.root)
  assert.equal(asJson.code, 1)
  const { problems } = JSON.parse(asJson.stdout) as { problems: { origin: { source: string; line: number } }[] }
  assert.deepEqual(
    problems.map(({ origin }) => `${origin.source}:${origin.line}`),
    ['config/bad.yaml:9'],
  )
  const missing = await runCommand(['analyze', 'missing'], other.root)
  assert.equal(missing.code, 2)
  assert.match(missing.stdout + missing.stderr, /missing.*no such file or folder/)
})

test('version says which version of what', async () => {
  const { code, stdout } = await runCommand(['version'])
  assert.equal(code, 0)
  assert.match(stdout, /^sluice \d+\.\d+\.\d+ \(node \d+/)
})

test('an unknown flag or command exits 2 and names the nearest one', async () => {
  const cases: Record<string, [string[], RegExp]> = {
    flag: [['run', '--confg', 'x'], /--config/],
    command: [['analyse'], /analyze/],
    'flag of another command': [['routes', '--outptu', 'json'], /--output/],
  }
  for (const [args, expected] of Object.values(cases)) {
    const { code, stderr, stdout } = await runCommand(args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, expected)
    assert.equal(stdout, '')
  }
})

interface Curl {
  readonly url: string
  readonly headers: Record<string, string>
  /** `HOST:PORT` of a forward proxy; undefined: none. */
  readonly proxy: string | undefined
  readonly times: number
}

/** A printed command line: curl with its headers, perhaps in a loop, perhaps through grep. */
function parseCurl(line: string): Curl {
  const loop = /^for i in ([\d ]+); do (.*); done$/.exec(line)
  const command = (loop?.[2] ?? line).replace(/ \| grep .*$/, '')
  const words = command.match(/'[^']*'|\S+/g)!.map((word) => word.replaceAll("'", ''))
  assert.equal(words[0], 'curl', line)
  const headers: Record<string, string> = {}
  for (const [index, word] of words.entries()) {
    if (word !== '-H') continue
    const [name, value] = words[index + 1]!.split(/: */)
    headers[name!] = value!
  }
  const times = loop?.[1]?.split(' ').length ?? 1
  return {
    url: `http://${words
      .at(-1)!
      .replace(/^http:\/\//, '')
      .replace('localhost', '127.0.0.1')}`,
    headers,
    proxy: words.includes('-x') ? words[words.indexOf('-x') + 1] : undefined,
    times,
  }
}

interface Fetched {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

async function fetchOne({ url, headers, proxy }: Curl): Promise<Fetched> {
  const req =
    proxy === undefined
      ? request(url, { headers: { host: 'localhost', ...headers }, agent: false })
      : request(`http://${proxy}`, { path: url, headers: { host: new URL(url).host, ...headers }, agent: false })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of res) body += String(chunk)
  return { status: res.statusCode!, headers: res.headers, body }
}

/** What the demo promises, by the beginning of what it says. */
const PROMISES: Record<string, (answers: readonly Fetched[]) => void> = {
  'nine of ten answers': (answers) => {
    assert.equal(answers.length, 10)
    for (const { body } of answers) assert.match(body, /"version":"v[12]"/)
    assert.ok(answers.some(({ body }) => body.includes('"version":"v1"')))
  },
  'with this header always v2': ([answer]) => assert.match(answer!.body, /"version":"v2"/),
  'change the weights': ([answer]) => {
    assert.equal(answer!.status, 200)
    assert.match(String(answer!.headers['x-sluice-generation']), /^\d+-[0-9a-f]+$/)
    assert.match(answer!.body, /version/)
  },
  'one of two endpoints always fails': ([answer]) => {
    assert.equal(answer!.status, 200)
    assert.match(answer!.body, /"x-envoy-attempt-count":"[123]"/)
  },
  'the upstream takes 3 s': ([answer]) => assert.equal(answer!.status, 504),
  'a fault for whoever asks': ([answer]) => assert.equal(answer!.status, 503),
  'a redirect': ([answer]) => {
    assert.equal(answer!.status, 301)
    assert.match(String(answer!.headers.location), /\/orders$/)
  },
  'the forward proxy lets through': ([answer]) => {
    assert.equal(answer!.status, 200)
    assert.match(answer!.body, /version/)
  },
  '… and nothing else': ([answer]) => {
    assert.equal(answer!.status, 403)
    assert.match(answer!.body, /egress to example\.com:80 is not allowed/)
  },
  'every order is copied': ([answer]) => assert.ok((JSON.parse(answer!.body) as { copies: number }).copies >= 10),
}

test('every line that the demo prints gives what it promises', { timeout: 120_000 }, async (context) => {
  const place = createWorkspace()
  context.after(() => place.remove())
  let demo: GatewayProcess | undefined
  // Its upstreams have fixed ports: somebody else may be running it at this moment.
  await eventually(async () => {
    demo = new GatewayProcess(['demo', ...ownPorts(place.state)], {}, place.root)
    place.processes.add(demo)
    await demo.untilReady()
  }, 60_000)
  const running = demo!
  await eventually(() => assert.match(running.stdout, /Ctrl-C ends it/))

  const trials = [...running.stdout.matchAll(/^# (.*)\n((?:[^#\n].*\n)+)/gm)]
  assert.equal(trials.length, Object.keys(PROMISES).length)
  for (const [, what, commands] of trials) {
    const promise = Object.entries(PROMISES).find(([beginning]) => what!.startsWith(beginning))
    assert.ok(promise !== undefined, `nobody knows what this promises: ${what}`)
    for (const line of commands!.trim().split('\n')) {
      const curl = parseCurl(line)
      await eventually(async () => {
        const answers: Fetched[] = []
        for (let i = 0; i < curl.times; i++) answers.push(await fetchOne(curl))
        promise[1](answers)
      })
    }
  }

  const others = running.stdout
    .split('npx sluice ')
    .slice(1)
    .map((text) => text.split('\n')[0]!.replace(/[,.] *$/, ''))
  assert.ok(others.length >= 3)
  for (const command of others) {
    const { code, stderr } = await runCommand([...command.split(' '), '--admin', running.ready.admin])
    assert.equal(code, 0, `${command}: ${stderr}`)
  }
  assert.notEqual(portOf(running.ready.admin), 15_000)
  assert.equal((await running.stop()).code, 0)
})
