import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { asIdentityProblem, IDENTITY_PROBLEMS, IdentityProblem } from '../../../../src/certificates/mesh/problem.ts'

test('docs/mesh.md has a row for every reason, and no other rows', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/mesh.md'), 'utf8')
  const table = page.slice(page.indexOf('| `reason`'))
  const rows = [...table.matchAll(/^\| `([a-z-]+)` /gm)].map(([, reason]) => reason)
  assert.deepEqual(rows.slice(1), IDENTITY_PROBLEMS)
})

test('what was thrown keeps its kind, and anything else gets one', () => {
  const token = new IdentityProblem('token', 'there is no token')
  assert.equal(asIdentityProblem(token, 'ca-error'), token)
  const { kind, message, detail } = asIdentityProblem(new Error('x'.repeat(1000)), 'ca-error')
  assert.deepEqual([kind, message, detail.length], ['ca-error', 'unexpected error', 301])
})
