import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemTimers } from '../../../src/lib/timers.ts'
import { parseObject } from '../../../src/resources/parse.ts'
import { createResourceStore } from '../../../src/resources/store.ts'
import { createSavedSnapshot } from '../../../src/sources/saved.ts'

const objects = [
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cert' }, stringData: { key: 'value' } },
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { a: 'b' } } },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { ports: [{ port: 80 }] },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'a' },
    endpoints: [{ addresses: ['10.0.0.1'] }],
  },
]

function setUp(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'saved-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'state', 'snapshot.json')
  const warnings: string[] = []
  const open = (quietMs = 5, ceilingMs = 1000) => {
    const store = createResourceStore()
    const log = { warn: (_: object, message: string) => void warnings.push(message) }
    return {
      store,
      saved: createSavedSnapshot({ path, store, timers: systemTimers(), log, timing: { quietMs, ceilingMs } }),
    }
  }
  return { folder, path, warnings, open }
}

test('what was in force is there after a restart that cannot read its configuration', async (context) => {
  const { path, open, warnings } = setUp(context)
  const first = open()
  first.store.apply([{ source: 'config/a.yaml', documents: objects.map(parseObject), complete: true }])
  first.saved.changed()
  await first.saved.close()
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const second = open()
  assert.equal(await second.saved.restore(() => true), 4)
  assert.deepEqual(second.store.snapshot(), first.store.snapshot())
  assert.deepEqual(warnings, [])
})

test('without a file there is nothing to restore, and nothing wrong', async (context) => {
  const { open, warnings } = setUp(context)
  assert.equal(await open().saved.restore(() => true), 0)
  assert.deepEqual(warnings, [])
})

const damaged = ['', '{', '[]', '{"format":2,"objects":[]}', '{"format":1}', 'null']
for (const text of damaged) {
  test(`a damaged file is a warning: ${JSON.stringify(text)}`, async (context) => {
    const { folder, warnings } = setUp(context)
    const path = join(folder, 'snapshot.json')
    writeFileSync(path, text)
    const store = createResourceStore()
    const saved = createSavedSnapshot({
      path,
      store,
      timers: systemTimers(),
      log: { warn: (_, message) => void warnings.push(message) },
    })
    assert.equal(await saved.restore(() => true), 0)
    assert.equal(warnings.length, 1)
  })
}

test('a version that is no longer valid is left out', async (context) => {
  const { folder, warnings } = setUp(context)
  const path = join(folder, 'snapshot.json')
  const good = { source: 'x', object: objects[2] }
  writeFileSync(
    path,
    JSON.stringify({
      format: 1,
      objects: [good, { source: 'x', object: { kind: 'Service' } }, 5, { source: 1, object: objects[1] }],
    }),
  )
  const store = createResourceStore()
  const saved = createSavedSnapshot({
    path,
    store,
    timers: systemTimers(),
    log: { warn: (_, message) => void warnings.push(message) },
  })
  assert.equal(await saved.restore(() => true), 1)
  assert.equal(store.snapshot().services.length, 1)
  assert.equal(warnings.length, 1)
})

test('changes are written after a quiet moment, or at the ceiling', async (context) => {
  const { path, open } = setUp(context)
  const { store, saved } = open(200, 60)
  store.apply([{ source: 'x', documents: objects.slice(2, 3).map(parseObject), complete: true }])
  saved.changed()
  for (let round = 0; round < 100 && !existsSync(path); round++) {
    await new Promise((done) => setTimeout(done, 10))
    saved.changed()
  }
  assert.match(readFileSync(path, 'utf8'), /"name":"a"/)
  await saved.close()
})

test('a folder that cannot be written to is a warning', async (context) => {
  const { folder, warnings } = setUp(context)
  writeFileSync(join(folder, 'file'), '')
  const store = createResourceStore()
  store.apply([{ source: 'x', documents: objects.map(parseObject), complete: true }])
  const saved = createSavedSnapshot({
    path: join(folder, 'file', 'snapshot.json'),
    store,
    timers: systemTimers(),
    log: { warn: (_, message) => void warnings.push(message) },
  })
  saved.changed()
  await saved.close()
  assert.equal(warnings.length, 1)
})
