import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { analyzePaths } from '../../../src/cli/analyze-paths.ts'
import { formatProblem } from '../../../src/plan/problem.ts'
import { formatIssue } from '../../../src/settings/issue.ts'
import { loadSettings } from '../../../src/settings/load.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const EXAMPLES = join(ROOT, 'config', 'examples')

async function problemsOf(path: string): Promise<readonly string[]> {
  const host = { env: {}, cwd: ROOT, cores: 1, root: false, home: '/home/op', readFile: () => undefined }
  const { settings } = await loadSettings({ values: { config: [path] } }, host)
  const { problems, resources } = await analyzePaths(settings)
  assert.ok(resources > 0, 'there are resources')
  return problems.map(formatProblem)
}

test('the sample and all examples can be served together, and nothing is wrong with them', async () => {
  assert.deepEqual(await problemsOf(join(ROOT, 'config')), [])
})

for (const topic of readdirSync(EXAMPLES)) {
  test(`the example ${topic} can be served by itself, and begins with a comment that says what it shows`, async () => {
    assert.deepEqual(await problemsOf(join(EXAMPLES, topic)), [])
    const first = globSync('*.yaml', { cwd: join(EXAMPLES, topic) }).sort()[0]
    assert.match(readFileSync(join(EXAMPLES, topic, first ?? ''), 'utf8'), /^# \S/)
  })
}

test('the settings of the sample are settings', async () => {
  const text = readFileSync(join(ROOT, 'config', 'sluice.yaml'), 'utf8')
  const host = { env: {}, cwd: ROOT, cores: 1, root: false, home: '/home/op', readFile: () => text }
  const { issues } = await loadSettings({ values: {} }, host)
  assert.deepEqual(issues.map(formatIssue), [])
})
