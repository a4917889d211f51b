import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultCompileOptions } from '../../../src/compile/options.ts'
import { compileOptions } from '../../../src/settings/compile-options.ts'
import { variableOf } from '../../../src/settings/environment.ts'
import { loadSettings } from '../../../src/settings/load.ts'
import { leaves } from '../../../src/settings/read.ts'
import { formattedReference } from '../../../src/settings/reference.ts'

test('docs/settings.md is what the schema says', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/settings.md'), 'utf8')
  assert.equal(page, await formattedReference(), 'run: node_modules/.bin/node src/settings/reference.ts')
})

test('no two settings have the same variable', () => {
  const names = leaves()
    .map(variableOf)
    .filter((name) => name !== undefined)
  assert.equal(new Set(names).size, names.length)
})

test('names become variables the way people write them', () => {
  const names = new Map(leaves().map((leaf) => [leaf.path.join('.'), variableOf(leaf)]))
  assert.equal(names.get('downstream.maxRequestHeadersKb'), 'SLUICE_DOWNSTREAM_MAX_REQUEST_HEADERS_KB')
  assert.equal(names.get('downstream.http10'), 'SLUICE_DOWNSTREAM_HTTP10')
  assert.equal(names.get('redis.url'), 'SLUICE_REDIS')
  assert.equal(names.get('mesh.extensionProviders'), undefined)
})

test('a default that is written as text reads as the default', () => {
  for (const { path, field } of leaves()) {
    const written = /^`([^`]*)`$/.exec(field.setting.defaultText)?.[1]
    if (written === undefined || written === '""' || written.startsWith('[')) continue
    assert.deepEqual(field.setting.read(written, true), { ok: true, value: field.setting.default }, path.join('.'))
  }
})

test('default settings are the compiler’s defaults', async () => {
  const host = { env: {}, cwd: '/srv', cores: 1, root: false, home: '/home/op', readFile: () => undefined }
  const { settings } = await loadSettings({ values: {} }, host)
  const expected = defaultCompileOptions()
  const server = { disabled: false, value: 'istio-envoy' } // written out here, where users read it
  const mesh = { ...expected.mesh, proxyHeaders: { ...expected.mesh.proxyHeaders, server } }
  assert.deepEqual(compileOptions(settings), { ...expected, mesh })
})
