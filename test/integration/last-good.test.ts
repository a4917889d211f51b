/** What a gateway serves that starts while its configuration is broken or out of reach. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { ask, eventually, GATEWAY } from '../support/live.ts'
import {
  answering,
  createWorkspace,
  type GatewayProcess,
  type RunOptions,
  startGatewayProcess,
  type Workspace,
} from '../support/process.ts'

const FILES = {
  'gateway.yaml': GATEWAY,
  'one.yaml': answering('one.test', 'one'),
  'two.yaml': answering('two.test', 'two'),
  'pair.yaml': answering('left.test', 'left') + answering('right.test', 'right'),
}

/** Where a gateway has run once and ended, with all files good. Tests work on copies. */
const template = createWorkspace(FILES)
const snapshotOf = (workspace: Workspace) => join(workspace.state, 'snapshot.json')

before(async () => {
  const gateway = await start(template)
  assert.equal((await gateway.stop()).code, 0)
})
after(async () => {
  await template.remove()
})

/** The path is relative, so that a copy of the folder is the same configuration. */
function start(workspace: Workspace, options: Partial<RunOptions> = {}): Promise<GatewayProcess> {
  return startGatewayProcess({ workspace, config: ['config'], ...options })
}

function copyOfTemplate(context: TestContext): Workspace {
  const workspace = createWorkspace()
  rmSync(workspace.root, { recursive: true })
  cpSync(template.root, workspace.root, { recursive: true })
  context.after(() => workspace.remove())
  return workspace
}

async function served(gateway: GatewayProcess, host: string): Promise<string> {
  const { status, body } = await ask({ port: gateway.port(), host })
  return status === 200 ? body : String(status)
}

async function servedAll(gateway: GatewayProcess): Promise<Record<string, string>> {
  const hosts = ['one', 'two', 'left', 'right']
  return Object.fromEntries(await Promise.all(hosts.map(async (name) => [name, await served(gateway, `${name}.test`)])))
}

const ALL = { one: 'one', two: 'two', left: 'left', right: 'right' }

test('the good versions are saved for their owner alone', () => {
  assert.equal(statSync(snapshotOf(template)).mode & 0o777, 0o600)
  assert.equal(statSync(template.state).mode & 0o777, 0o700)
})

test('broken files are served as they last were, and what was deleted does not come back', async (context) => {
  const workspace = copyOfTemplate(context)
  writeFileSync(join(workspace.config, 'one.yaml'), 'kind: [')
  unlinkSync(join(workspace.config, 'two.yaml'))
  // One object is of the wrong shape, and its neighbour is not there any more.
  writeFileSync(join(workspace.config, 'pair.yaml'), answering('left.test', 'left').replace("['left.test']", '7'))
  const gateway = await start(workspace)
  assert.deepEqual(await servedAll(gateway), { one: 'one', two: '404', left: 'left', right: '404' })

  const { rejected } = await gateway.status()
  const told = rejected.map(
    ({ source, problems }) => `${source}: ${problems[0]!.code} line ${problems[0]!.origin.line}`,
  )
  assert.deepEqual(told.sort(), ['config/one.yaml: yaml/syntax line 1', 'config/pair.yaml: schema/type line 6'])
  const logged = gateway.log().filter(({ level }) => level === 'error')
  assert.deepEqual(logged.map(({ source, line }) => `${String(source)}:${String(line)}`).sort(), [
    'config/one.yaml:1',
    'config/pair.yaml:6',
  ])

  workspace.write('one.yaml', answering('one.test', 'mended'))
  workspace.write('pair.yaml', answering('left.test', 'mended'))
  await eventually(async () => {
    assert.deepEqual(await servedAll(gateway), { one: 'mended', two: '404', left: 'mended', right: '404' })
  })
  assert.deepEqual((await gateway.status()).rejected, [])
})

test('a folder that is missing is served as it last was, until it is back', async (context) => {
  const workspace = copyOfTemplate(context)
  renameSync(workspace.config, `${workspace.config}-away`)
  const gateway = await start(workspace)
  assert.deepEqual(await servedAll(gateway), ALL)
  const { sources, inStep } = await gateway.status()
  assert.match(sources[0]!.error ?? '', /there is no such file or folder/)
  assert.equal(sources[0]!.objects, 5)
  assert.equal(inStep, false)
  assert.ok(gateway.log().some(({ level, code }) => level === 'error' && code === 'files/missing'))

  unlinkSync(join(`${workspace.config}-away`, 'two.yaml'))
  renameSync(`${workspace.config}-away`, workspace.config)
  await eventually(async () => {
    assert.deepEqual(await servedAll(gateway), { ...ALL, two: '404' })
    assert.equal((await gateway.status()).inStep, true)
  })
})

test('a folder that was never read serves nothing and waits', async (context) => {
  const workspace = createWorkspace()
  context.after(() => workspace.remove())
  rmSync(workspace.config, { recursive: true })
  const gateway = await start(workspace)
  assert.deepEqual(gateway.ready.listeners, [])
  assert.match((await gateway.status()).sources[0]!.error ?? '', /there is no such file or folder/)
})

for (const [how, damage] of Object.entries<(text: string) => string>({
  'cut off': (text) => text.slice(0, text.length / 2),
  'of another program': () => '{"format":"other"}',
})) {
  test(`a saved snapshot that is ${how} is told of and not used`, async (context) => {
    const workspace = copyOfTemplate(context)
    writeFileSync(snapshotOf(workspace), damage(readFileSync(snapshotOf(workspace), 'utf8')))
    writeFileSync(join(workspace.config, 'one.yaml'), 'kind: [')
    const gateway = await start(workspace)
    assert.deepEqual(await servedAll(gateway), { ...ALL, one: '404' })
    assert.ok(gateway.log().some(({ level, msg }) => level === 'warn' && /damaged and not used/.test(String(msg))))
    await gateway.stop()
    assert.equal(statSync(snapshotOf(workspace)).mode & 0o777, 0o600)
    assert.equal(JSON.parse(readFileSync(snapshotOf(workspace), 'utf8')).format, 1)
  })
}

test('one object of the saved snapshot that cannot be used costs no other', async (context) => {
  const workspace = copyOfTemplate(context)
  const text = readFileSync(snapshotOf(workspace), 'utf8')
  writeFileSync(snapshotOf(workspace), text.replace('"hosts":["two.test"]', '"hosts":7'))
  renameSync(workspace.config, `${workspace.config}-away`)
  const gateway = await start(workspace)
  assert.deepEqual(await servedAll(gateway), { ...ALL, two: '404' })
  assert.ok(gateway.log().some(({ level, lost }) => level === 'warn' && lost === 1))
})

test('a state folder that cannot be written is told of, and everything is served', async (context) => {
  const workspace = copyOfTemplate(context)
  const state = join(workspace.root, 'taken')
  writeFileSync(state, 'a file in the way')
  const gateway = await start(workspace, { state })
  assert.deepEqual(await servedAll(gateway), ALL)
  workspace.write('one.yaml', answering('one.test', 'changed'))
  await eventually(async () => assert.equal(await served(gateway, 'one.test'), 'changed'))
  assert.equal((await gateway.stop()).code, 0)
  assert.ok(gateway.log().some(({ level, msg }) => level === 'warn' && /cannot save/.test(String(msg))))
  assert.equal(readFileSync(state, 'utf8'), 'a file in the way')
})

test('what was served before a crash is served after it', async (context) => {
  const workspace = copyOfTemplate(context)
  chmodSync(snapshotOf(workspace), 0o644)
  const gateway = await start(workspace)
  workspace.write('one.yaml', answering('one.test', 'newer'))
  await eventually(() => assert.match(readFileSync(snapshotOf(workspace), 'utf8'), /newer/), 10_000)
  assert.equal(statSync(snapshotOf(workspace)).mode & 0o777, 0o600)
  gateway.signal('SIGKILL')
  await gateway.untilExit()
  assert.equal(existsSync(snapshotOf(workspace)), true)
  renameSync(workspace.config, `${workspace.config}-away`)
  const again = await start(workspace)
  assert.deepEqual(await servedAll(again), { ...ALL, one: 'newer' })
})
