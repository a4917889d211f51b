import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createFileKeySetCache } from '../../../src/tokens/key-set-cache.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return join(path, 'key-sets')
}

test('createFileKeySetCache: gives back what was written, to the source it was written for', async (t) => {
  const path = folder(t)
  const cache = createFileKeySetCache(path)
  assert.equal(cache.read('uri https://a.test/'), undefined)
  await cache.write('uri https://a.test/', { text: '{"keys":[]}', fetchedAt: 5 })
  assert.deepEqual(createFileKeySetCache(path).read('uri https://a.test/'), { text: '{"keys":[]}', fetchedAt: 5 })
  assert.equal(cache.read('uri https://b.test/'), undefined)
})

test('createFileKeySetCache: only its owner may read or write the files', async (t) => {
  const path = folder(t)
  await createFileKeySetCache(path).write('a', { text: '', fetchedAt: 5 })
  const [file] = readdirSync(path)
  assert.equal(statSync(join(path, file!)).mode & 0o777, 0o600)
  assert.equal(statSync(path).mode & 0o777, 0o700)
})

test('createFileKeySetCache: a file that is broken is as good as none', async (t) => {
  const path = folder(t)
  const cache = createFileKeySetCache(path)
  await cache.write('a', { text: 'x', fetchedAt: 5 })
  const file = join(path, readdirSync(path)[0]!)
  for (const content of ['', '{', 'null', '{"source":"b","text":"x","fetchedAt":5}', '{"source":"a","text":1}']) {
    writeFileSync(file, content)
    assert.equal(cache.read('a'), undefined, content)
  }
})
