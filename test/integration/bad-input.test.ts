/** Everything that can be wrong with what a gateway is given: it says so with place and remedy, and serves the rest. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { ask, eventually, GATEWAY, routes } from '../support/live.ts'
import {
  answering,
  createWorkspace,
  type GatewayProcess,
  runCommand,
  spawnGateway,
  startGatewayProcess,
  type StatusBody,
} from '../support/process.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

const SECRET = `
apiVersion: v1
kind: Secret
metadata: { name: garbage, namespace: istio-system }
type: kubernetes.io/tls
data: { tls.crt: ${base64('no certificate')}, tls.key: ${base64('no key')} }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: tls, namespace: istio-system }
spec:
  servers:
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: ['*']
    tls: { mode: SIMPLE, credentialName: garbage }
`

const FILES = {
  'sluice.yaml': 'mesh: { accessLogFile: /dev/stdout, accessLogEncoding: JSON }\n',
  'gateway.yaml': GATEWAY + answering('good.test', 'good'),
  'garbled.yaml': `${answering('before.test', 'before')}kind: [\n---${answering('after.test', 'after')}`,
  'mistyped.yaml':
    answering('first.test', 'first') +
    answering('bad.test', 'bad').replace('status: 200', 'status: often') +
    answering('last.test', 'last'),
  'twice-a.yaml': answering('twice.test', 'first', 'twice'),
  'twice-b.yaml': answering('twice.test', 'second', 'twice'),
  'lost.yaml': answering('lost.test', 'lost').replace('istio-system/gw', 'istio-system/gone'),
  'nowhere.yaml': routes('[{ route: [{ destination: { host: nowhere.internal } }] }]', 'nowhere.test'),
  'taken.yaml': GATEWAY.replaceAll('name: gw', 'name: taken').replace('number: 80', 'number: 81'),
  'secret.yaml': SECRET,
}

const workspace = createWorkspace(FILES)
const taken = createServer()
let takenPort = 0
let gateway: GatewayProcess
let status: StatusBody

before(async () => {
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  takenPort = (taken.address() as { port: number }).port
  const at = (name: string) => join(workspace.root, name)
  symlinkSync('circle-2', at('circle-1'))
  symlinkSync('circle-1', at('circle-2'))
  writeFileSync(at('notes.txt'), 'not a resource\n')
  mkdirSync(at('empty'))
  execFileSync('mkfifo', [at('pipe'), at('config/pipe.yaml')])
  writeFileSync(at('config/huge.yaml'), '')
  truncateSync(at('config/huge.yaml'), 65 * 1024 * 1024)
  symlinkSync('.', at('config/itself'))
  mkdirSync(at('config/folder.yaml'))
  writeFileSync(at('config/folder.yaml/inside.yaml'), answering('inside.test', 'inside'))
  gateway = await startGatewayProcess({
    workspace,
    config: ['./config/', 'missing', 'circle-1', 'notes.txt', 'pipe', 'empty'],
    args: ['--listen', `81=127.0.0.1:${takenPort}`, '--listen', '443=127.0.0.1:0'],
  })
  status = await gateway.status()
})
after(async () => {
  await workspace.remove()
  taken.close()
})

async function served(host: string): Promise<string> {
  const { status: code, body } = await ask({ port: gateway.port(), host })
  return code === 200 ? body : String(code)
}

interface Expected {
  readonly source: string
  readonly line?: number
  readonly pointer?: string
  readonly message: RegExp
  readonly remedy?: RegExp
}

/** What `/status` and the log say of a source. Each problem is in the log once. */
function assertTold(severity: 'error' | 'warn', { source, line, pointer, message, remedy }: Expected): void {
  const problems = severity === 'error' ? status.rejected.flatMap((each) => each.problems) : status.warnings
  const found = problems.filter(({ origin }) => origin.source === source && (!pointer || origin.pointer === pointer))
  assert.equal(found.length, 1, `${source}: ${JSON.stringify(found)}`)
  const [problem] = found
  assert.match(problem!.message, message)
  if (remedy !== undefined) assert.match(problem!.remedy ?? problem!.message, remedy)
  if (line !== undefined) assert.equal(problem!.origin.line, line)
  const logged = gateway
    .log()
    .filter((entry) => entry['source'] === source && (!pointer || entry['pointer'] === pointer))
    .filter((entry) => entry['level'] === severity)
  assert.equal(logged.length, 1, `${source} in the log`)
  assert.match(String(logged[0]!['msg']), message)
  const place = `${source}${line === undefined ? '' : `:${line}`}: `
  assert.ok(String(logged[0]!['msg']).startsWith(place), String(logged[0]!['msg']))
}

test('what is good is served', async () => {
  assert.equal(await served('good.test'), 'good')
  assert.equal(await served('inside.test'), 'inside')
  assert.equal(status.sources[0]!.name, './config/')
  assert.equal(status.sources[0]!.error, null)
  assert.ok(status.sources[0]!.objects >= 10)
})

test('a document that is no YAML costs no other document of its file', async () => {
  assert.deepEqual([await served('before.test'), await served('after.test')], ['before', 'after'])
  assertTold('error', { source: 'config/garbled.yaml', line: 12, message: /not YAML/ })
})

test('an object with a field of the wrong type is left out, with line and field', async () => {
  const answers = [await served('first.test'), await served('bad.test'), await served('last.test')]
  assert.deepEqual(answers, ['first', '404', 'last'])
  assertTold('error', {
    source: 'config/mistyped.yaml',
    line: 19,
    pointer: '/spec/http/0/directResponse/status',
    message: /number.*"often"/,
  })
})

test('of two objects with the same name the first one is served, and the second is told where that is', async () => {
  assert.equal(await served('twice.test'), 'first')
  assertTold('error', {
    source: 'config/twice-b.yaml',
    line: 2,
    message: /config\/twice-a\.yaml:2 already has this object/,
    remedy: /Rename or remove/,
  })
})

test('a VirtualService that names no known Gateway is told so', async () => {
  assert.equal(await served('lost.test'), '404')
  const { rejected, warnings } = status
  const told = [...rejected.flatMap(({ problems }) => problems), ...warnings]
  const problem = told.find(({ message }) => /Gateway istio-system\/gone does not exist/.test(message))
  assert.ok(problem !== undefined)
})

test('a route to no known service answers 503 with the flag NC, and a warning says so before', async () => {
  assert.equal(await served('nowhere.test'), '503')
  assertTold('warn', { source: 'config/nowhere.yaml', line: 5, message: /no service has the host nowhere\.internal/ })
  await eventually(() => assert.match(gateway.stdout, /"response_code":503,"response_flags":"NC".*"nowhere\.test"/))
})

test('configured paths that cannot be read are told of one by one', () => {
  const errors = Object.fromEntries(status.sources.map(({ name, error }) => [name, error]))
  assert.deepEqual(errors, {
    './config/': null,
    missing: 'there is no such file or folder',
    'circle-1': 'it is a symbolic link that leads back to itself',
    'notes.txt': null,
    pipe: 'it is neither a file nor a folder',
    empty: null,
  })
  assertTold('error', { source: 'missing', message: /no such file/, remedy: /Create missing/ })
  assertTold('error', { source: 'circle-1', message: /leads back to itself/ })
  assertTold('error', { source: 'notes.txt', line: 1, message: /expected an object with apiVersion and kind/ })
  assertTold('error', { source: 'pipe', message: /neither a file nor a folder/ })
  assertTold('warn', { source: 'empty', message: /no resources in this folder/, remedy: /\.yaml/ })
  assert.equal(status.inStep, false)
})

test('a file that is too large or no file is told of, and the rest of its folder is read', () => {
  assertTold('error', { source: 'config/huge.yaml', message: /larger than 64 MiB/ })
  assertTold('error', { source: 'config/pipe.yaml', message: /neither a file nor a folder/ })
})

test('a certificate that is none closes its own server, and says why', async () => {
  assertTold('error', {
    source: 'config/secret.yaml',
    line: 6,
    pointer: '/data',
    message: /"tls.crt" and "tls.key" are no key pair: there is no PEM/,
  })
  const pointer = '/spec/servers/0/tls/credentialName'
  assertTold('error', { source: 'config/secret.yaml', line: 15, pointer, message: /so TLS handshakes for \* fail/ })
  const socket = connect({ port: gateway.port(443), host: '127.0.0.1', servername: 'good.test' })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  assert.match(error.code ?? '', /ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR/)
  await eventually(() => {
    const log = gateway.log().find(({ msg }) => msg === 'TLS handshakes with this server are refused')
    assert.equal(log?.['server'], 'istio-system/tls/https')
    assert.match(String(log?.['reason']), /istio-system\/garbage/)
  })
  assert.equal(await served('good.test'), 'good')
})

test('a port that is taken is told of while the others serve, and bound by itself once it is free', async () => {
  assert.deepEqual(
    status.listenersDown.map(({ port }) => port),
    [81],
  )
  assert.match(status.listenersDown[0]!.errors[0]!, new RegExp(`127.0.0.1:${takenPort} is taken by another program`))
  assert.match(status.listenersDown[0]!.errors[0]!, /--listen 81=/)
  const logged = gateway.log().filter(({ msg }) => msg === 'port cannot be bound')
  assert.equal(logged.length, 1)
  assert.equal(logged[0]!['listener'], '81')
  assert.equal((await gateway.metrics()).get('sluice_listener_up{port="81"}'), 0)

  taken.close()
  await eventually(async () => assert.deepEqual((await gateway.status()).listenersDown, []), 10_000)
  assert.equal((await ask({ port: takenPort, host: 'good.test' })).status, 404)
  workspace.write('taken.yaml', FILES['taken.yaml'] + answering('late.test', 'late').replace('/gw', '/taken'))
  await eventually(async () => assert.equal((await ask({ port: takenPort, host: 'late.test' })).body, 'late'))
  assert.equal((await gateway.metrics()).get('sluice_listener_up{port="81"}'), 1)
})

test('what is mended is no longer told of', async () => {
  workspace.write('garbled.yaml', answering('before.test', 'mended'))
  workspace.write('mistyped.yaml', answering('bad.test', 'mended'))
  for (const name of ['twice-b.yaml', 'huge.yaml', 'pipe.yaml']) unlinkSync(join(workspace.config, name))
  await eventually(async () => {
    assert.deepEqual([await served('before.test'), await served('bad.test')], ['mended', 'mended'])
    const { rejected } = await gateway.status()
    const sources = rejected.map(({ source }) => source).filter((source) => source?.startsWith('config/'))
    assert.deepEqual([...new Set(sources)], ['config/secret.yaml', 'config/lost.yaml'])
  }, 10_000)
})

const settings: Record<string, { text: string; says: RegExp[] }> = {
  'an unknown setting': { text: 'workers: 1\nworkerz: 2\n', says: [/sluice\.yaml:2/, /workerz/, /workers/] },
  'a setting of the wrong type': {
    text: 'downstream:\n  idleTimeout: soon\n',
    says: [/sluice\.yaml:2/, /idleTimeout/, /soon/],
  },
  'settings that are no YAML': { text: 'mesh: [\n', says: [/sluice\.yaml:\d/, /not YAML/] },
}

for (const [name, { text, says }] of Object.entries(settings)) {
  test(`${name}: the gateway does not start, names the place and exits 2`, async (context) => {
    const other = createWorkspace({ 'sluice.yaml': text })
    context.after(() => other.remove())
    const { code, stderr, stdout } = await runCommand(['run', '--config', 'config'], other.root)
    assert.equal(code, 2)
    assert.equal(stdout, '')
    for (const said of says) assert.match(stderr, said)
    assert.doesNotMatch(stderr, /\n\s+at /)
  })
}

test('a settings file that is asked for must be there', async () => {
  const { code, stderr } = await runCommand(['run', '--settings', 'nowhere.yaml'], workspace.root)
  assert.equal(code, 2)
  assert.match(stderr, /nowhere\.yaml.*no such file/)
})

test('an empty folder is served: nothing listens, and resources that come are taken up', async (context) => {
  const other = createWorkspace()
  context.after(() => other.remove())
  const empty = await spawnGateway({ workspace: other }).untilReady()
  assert.deepEqual(empty.ready.listeners, [])
  assert.equal((await ask({ port: empty.statusPort, path: '/healthz/ready' })).status, 200)
  other.write('all.yaml', GATEWAY + answering('good.test', 'good'))
  await eventually(async () => {
    const { listeners } = await empty.admin<{ listeners: { address: string }[] }>('/listeners')
    const port = Number(/\d+$/.exec(listeners[0]!.address)![0])
    assert.equal((await ask({ port, host: 'good.test' })).body, 'good')
  })
})
