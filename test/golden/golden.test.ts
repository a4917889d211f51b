/** Runs the golden cases below this folder. `UPDATE_GOLDEN=1` writes plans and problems anew: review them. */
import assert from 'node:assert/strict'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { stringify } from 'yaml'
import { createCompiler } from '../../src/compile/compile.ts'
import { type Call, callPlan } from './calls.ts'
import { findCases, type GoldenCase, readInput, readSettings, readYaml } from './load.ts'
import { viewPlan, viewProblems } from './view.ts'

const isUpdating = process.env['UPDATE_GOLDEN'] === '1' || process.execArgv.includes('--test-update-snapshots')

for (const golden of findCases(import.meta.dirname)) {
  test(`golden: ${golden.name}`, (t) => {
    const { snapshot, problems } = readInput(golden)
    const compiler = createCompiler(readSettings(golden))
    const compiled = compiler.compile(snapshot)
    expect(t, golden, 'plan.yaml', viewPlan(compiled.plan))
    expect(t, golden, 'problems.yaml', viewProblems([...problems, ...compiled.problems, ...compiler.analyze(snapshot)]))
    for (const { route, status, cluster, ...call } of (readYaml(join(golden.folder, 'calls.yaml'))[0] ??
      []) as Call[]) {
      const expected = JSON.parse(JSON.stringify({ route, status, cluster }))
      assert.deepEqual(callPlan(compiled.plan, call), expected, JSON.stringify(call))
    }
  })
}

function expect(t: test.TestContext, { folder }: GoldenCase, name: string, actual: unknown): void {
  const file = join(folder, name)
  const isNothing = Array.isArray(actual) && actual.length === 0
  if (isUpdating) {
    if (isNothing) rmSync(file, { force: true })
    else writeFileSync(file, stringify(actual, { lineWidth: 0, aliasDuplicateObjects: false }))
    t.diagnostic(`wrote ${name}`)
    return
  }
  // A file that is not there stands for an empty list.
  assert.deepEqual(actual, existsSync(file) ? readYaml(file)[0] : [], `${name} differs from what the compiler gives`)
}
