import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemTimers } from '../../../src/lib/timers.ts'
import { createResourceStore, type ResourceStore } from '../../../src/resources/store.ts'
import { createFileSource, type FileSource, type FileTiming } from '../../../src/sources/files/file-source.ts'

const service = (name: string, port = 80) =>
  `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  ports:\n  - port: ${port}\n`
const broken = (name: string) => service(name).replace('port: 80', 'port: http')

interface Fixture {
  readonly folder: string
  readonly store: ResourceStore
  readonly source: FileSource
  readonly changes: () => number
  readonly put: (name: string, text: string) => void
  /** `name=port` of the Services in force. */
  readonly services: () => string[]
  readonly problems: () => string[]
  /** Waits until the Services in force are these. */
  readonly become: (...services: string[]) => Promise<void>
}

/** A poll that never comes unless a test asks for it: what it sees, events told. */
const EVENTS_ONLY: Partial<FileTiming> = { pollMs: 600_000, graceMs: 40 }

async function setUp(
  context: TestContext,
  files: Readonly<Record<string, string>>,
  { paths = [''], timing = EVENTS_ONLY }: { paths?: string[]; timing?: Partial<FileTiming> } = {},
): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'file-source-'))
  const put = (name: string, text: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  for (const [name, text] of Object.entries(files)) put(name, text)
  const store = createResourceStore()
  let changes = 0
  const source = createFileSource({
    paths: paths.map((path) => join(folder, path)),
    store,
    timers: systemTimers(),
    timing,
    log: { info: () => undefined, warn: () => undefined },
    onChange: () => changes++,
  })
  await source.start()
  context.after(async () => {
    await source.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const services = () =>
    store.snapshot().services.map(({ metadata, spec }) => `${metadata.name}=${spec.ports?.[0]?.port}`)
  return {
    folder,
    store,
    source,
    changes: () => changes,
    put,
    services,
    problems: () =>
      [...source.problems(), ...store.problems()].map(
        ({ severity, code, origin }) =>
          `${severity} ${code} ${origin.source?.slice(folder.length + 1)}:${origin.line ?? ''}`,
      ),
    async become(...expected) {
      for (let round = 0; round < 300; round++) {
        if (services().join() === expected.join()) return
        await new Promise((done) => setTimeout(done, 10))
      }
      assert.deepEqual(services(), expected)
    },
  }
}

test('files of a folder and its folders are read, by their endings', async (context) => {
  const { services, problems } = await setUp(context, {
    'a.yaml': service('a'),
    'deep/er/b.yml': service('b'),
    'c.json': JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'c' },
      spec: { ports: [{ port: 80 }] },
    }),
    'README.md': 'no: [yaml',
    'sluice.yaml': 'workers: 2',
    '.hidden.yaml': 'no: [yaml',
    '.git/d.yaml': 'no: [yaml',
    'e.yaml~': 'no: [yaml',
    '.f.yaml.swp': 'no: [yaml',
  })
  assert.deepEqual(services(), ['a=80', 'b=80', 'c=80'])
  assert.deepEqual(problems(), [])
})

test('a problem names its file and line', async (context) => {
  const { problems } = await setUp(context, { 'a.yaml': `${service('a')}---\n${broken('b')}---\nx: [\n` })
  assert.deepEqual(problems(), ['error yaml/syntax a.yaml:18', 'error schema/type a.yaml:15'])
})

test('a missing path and an empty folder say what to do', async (context) => {
  const { problems, source } = await setUp(context, { 'empty/.keep': '' }, { paths: ['missing', 'empty'] })
  assert.deepEqual(problems(), ['error files/missing missing:', 'warning files/empty empty:'])
  assert.equal(source.isPartial(), true)
  assert.ok(source.problems().every(({ remedy }) => remedy !== undefined))
})

test('an unreadable file is a problem and not the end', async (context) => {
  if (process.getuid?.() === 0) return context.skip('root reads everything')
  const { folder, source, services, problems } = await setUp(context, {
    'a.yaml': service('a'),
    'b.yaml': service('b'),
  })
  chmodSync(join(folder, 'a.yaml'), 0)
  await source.rescan()
  assert.deepEqual(services(), ['a=80', 'b=80'])
  assert.deepEqual(problems(), ['error files/unreadable a.yaml:'])
})

test('a file is given by its own path', async (context) => {
  const { put, services, become } = await setUp(
    context,
    { 'a.yaml': service('a'), 'b.yaml': service('b') },
    { paths: ['a.yaml'] },
  )
  assert.deepEqual(services(), ['a=80'])
  put('a.yaml', service('a', 81))
  await become('a=81')
})

test('a path that comes first counts first', async (context) => {
  const { services, problems } = await setUp(
    context,
    { 'z/a.yaml': service('a', 1), 'b/a.yaml': service('a', 2) },
    { paths: ['z', 'b'] },
  )
  assert.deepEqual(services(), ['a=1'])
  assert.deepEqual(problems(), ['error resource/duplicate b/a.yaml:1'])
})

test('a changed file is read again, a new one is read, a deleted one is gone', async (context) => {
  const { folder, put, become, changes } = await setUp(context, { 'a.yaml': service('a') })
  put('a.yaml', service('a', 81))
  await become('a=81')
  put('b.yaml', service('b'))
  await become('a=81', 'b=80')
  unlinkSync(join(folder, 'a.yaml'))
  await become('b=80')
  assert.ok(changes() >= 3)
})

test('a save by renaming is one change', async (context) => {
  const { folder, put, become } = await setUp(context, { 'a.yaml': service('a') })
  put('.a.yaml.tmp', service('a', 81))
  renameSync(join(folder, '.a.yaml.tmp'), join(folder, 'a.yaml'))
  await become('a=81')
})

test('a file that is renamed keeps its objects, without a moment of two', async (context) => {
  const { folder, store, changes, become } = await setUp(context, { 'a.yaml': service('a') })
  const before = changes()
  renameSync(join(folder, 'a.yaml'), join(folder, 'b.yaml'))
  for (let round = 0; round < 300 && changes() === before; round++) await new Promise((done) => setTimeout(done, 5))
  await become('a=80')
  assert.deepEqual(store.problems(), [])
  assert.equal(store.sources().length, 1)
})

test('a file that is empty for a moment while it is saved loses nothing', async (context) => {
  const { put, store, become } = await setUp(context, { 'a.yaml': service('a') })
  const seen = new Set<number>()
  const watcher = setInterval(() => seen.add(store.snapshot().services.length), 1)
  put('a.yaml', '')
  await new Promise((done) => setTimeout(done, 30))
  put('a.yaml', service('a', 81))
  await become('a=81')
  clearInterval(watcher)
  assert.deepEqual([...seen], [1])
})

test('a file that stays empty has no objects', async (context) => {
  const { put, become } = await setUp(context, { 'a.yaml': service('a'), 'b.yaml': service('b') })
  put('a.yaml', '')
  await become('b=80')
})

test('a file that is no longer YAML keeps what it held, and recovers', async (context) => {
  const { put, become, services, problems, changes } = await setUp(context, {
    'a.yaml': service('a'),
    'b.yaml': service('b'),
  })
  const before = changes()
  put('a.yaml', 'a: [\n')
  for (let round = 0; round < 300 && changes() === before; round++) await new Promise((done) => setTimeout(done, 5))
  assert.deepEqual(services(), ['a=80', 'b=80'])
  assert.deepEqual(problems(), ['error yaml/syntax a.yaml:2'])
  put('a.yaml', service('a', 81))
  await become('a=81', 'b=80')
  assert.deepEqual(problems(), [])
})

test('a broken document leaves the last good version of its object, and of its neighbours the new ones', async (context) => {
  const { put, become, services } = await setUp(context, { 'a.yaml': `${service('a')}---\n${service('b')}` })
  put('a.yaml', `${broken('a')}---\n${service('b', 81)}`)
  await become('a=80', 'b=81')
  put('a.yaml', `x: }\n---\n${service('b', 82)}`)
  await become('a=80', 'b=82')
  put('a.yaml', service('b', 83))
  await become('b=83')
  assert.deepEqual(services(), ['b=83'])
})

test('new folders are watched, and folders may go and come back', async (context) => {
  const { folder, put, become } = await setUp(context, { 'a.yaml': service('a') })
  put('new/deep/b.yaml', service('b'))
  await become('a=80', 'b=80')
  put('new/deep/b.yaml', service('b', 81))
  await become('a=80', 'b=81')
  rmSync(join(folder, 'new'), { recursive: true })
  await become('a=80')
  put('new/c.yaml', service('c'))
  await become('a=80', 'c=80')
})

test('a configured folder that is gone keeps what it held until it is back', async (context) => {
  const { folder, put, become, services, problems, changes } = await setUp(
    context,
    { 'config/a.yaml': service('a') },
    { paths: ['config'] },
  )
  const before = changes()
  renameSync(join(folder, 'config'), join(folder, 'away'))
  for (let round = 0; round < 300 && changes() === before; round++) await new Promise((done) => setTimeout(done, 5))
  assert.deepEqual(services(), ['a=80'])
  assert.deepEqual(problems(), ['error files/missing config:'])
  put('config/b.yaml', service('b'))
  await become('b=80')
  assert.deepEqual(problems(), [])
})

test('files that are swapped by a symbolic link, as Kubernetes does, change together', async (context) => {
  const { folder, put, become, source } = await setUp(context, {}, { paths: ['mount'] })
  put('mount/..1/a.yaml', service('a', 1))
  symlinkSync('..1', join(folder, 'mount/..data'))
  symlinkSync('..data/a.yaml', join(folder, 'mount/a.yaml'))
  await become('a=1')
  put('mount/..2/a.yaml', service('a', 2))
  symlinkSync('..2', join(folder, 'mount/..data_tmp'))
  renameSync(join(folder, 'mount/..data_tmp'), join(folder, 'mount/..data'))
  await become('a=2')
  assert.equal(source.isPartial(), false)
})

test('folders that lead into themselves end', async (context) => {
  const { folder, source, services } = await setUp(context, { 'a.yaml': service('a') })
  symlinkSync('.', join(folder, 'loop'))
  await source.rescan()
  assert.deepEqual(services(), ['a=80'])
})

test('a change that no event told of is found by looking', async (context) => {
  const { folder, put, become, source } = await setUp(
    context,
    { 'elsewhere/a.yaml': service('a'), 'config/.keep': '' },
    { paths: ['config'] },
  )
  symlinkSync('../elsewhere/a.yaml', join(folder, 'config/a.yaml'))
  await become('a=80')
  put('elsewhere/a.yaml', service('a', 81))
  await source.rescan()
  await become('a=81')
})

test('looking happens from time to time by itself', async (context) => {
  const { folder, put, become } = await setUp(
    context,
    { 'elsewhere/a.yaml': service('a'), 'config/.keep': '' },
    { paths: ['config'], timing: { pollMs: 50 } },
  )
  symlinkSync('../elsewhere/a.yaml', join(folder, 'config/a.yaml'))
  await become('a=80')
  put('elsewhere/a.yaml', service('a', 81))
  await become('a=81')
})

test('many files at once are one change, or few', async (context) => {
  const { put, become, changes } = await setUp(context, { 'a.yaml': service('a') })
  const names = Array.from({ length: 200 }, (_, index) => `n${String(index).padStart(3, '0')}`)
  for (const name of names) put(`${name}.yaml`, service(name))
  await become('a=80', ...names.map((name) => `${name}=80`))
  assert.ok(changes() < 20, `${changes()}`)
})

test('after close nothing changes any more', async (context) => {
  const { put, source, services } = await setUp(context, { 'a.yaml': service('a') })
  await source.close()
  put('a.yaml', service('a', 81))
  await new Promise((done) => setTimeout(done, 80))
  assert.deepEqual(services(), ['a=80'])
})

test('a file that is too large is not read', async (context) => {
  const { folder, source, services, problems } = await setUp(context, { 'a.yaml': service('a') })
  writeFileSync(join(folder, 'b.yaml'), '')
  truncateSync(join(folder, 'b.yaml'), 65 * 1024 * 1024)
  await source.rescan()
  assert.deepEqual(services(), ['a=80'])
  assert.deepEqual(problems(), ['error files/too-large b.yaml:'])
})
