import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const LAUNCHER = join(import.meta.dirname, '../../../src/cli/sluice.js')

test('the launcher runs the sources as they are', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, 'version'], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.equal(stderr, '')
  assert.match(stdout, /^sluice \d/)
  assert.equal(status, 0)
})

test('the launcher passes exit codes on', () => {
  const { status } = spawnSync(process.execPath, [LAUNCHER, 'serve'], { encoding: 'utf8', timeout: 30_000 })
  assert.equal(status, 2)
})

test('a Node that is too old gets a sentence, and exit code 2', () => {
  const folder = mkdtempSync(join(tmpdir(), 'launcher-'))
  try {
    const disguise = join(folder, 'old.cjs')
    writeFileSync(
      disguise,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })\n",
    )
    const { status, stderr } = spawnSync(process.execPath, ['--require', disguise, LAUNCHER, 'version'], {
      encoding: 'utf8',
      timeout: 30_000,
    })
    assert.match(stderr, /^sluice needs Node 24\.11 or newer, and this is 20\.1\.0\. /)
    assert.equal(status, 2)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the least version of the launcher is that of package.json', () => {
  const root = join(import.meta.dirname, '../../..')
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } }
  const [, major, minor] = /LEAST = \[(\d+), (\d+)\]/.exec(readFileSync(LAUNCHER, 'utf8')) ?? []
  assert.equal(engines.node, `>=${major}.${minor}`)
})
