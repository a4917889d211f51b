/** Runs a table of rules: what breaks each one, and the nearest object that keeps it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Severity } from '../../../src/plan/problem.ts'
import { parseObject } from '../../../src/resources/parse.ts'

export interface RuleCase {
  /** Breaks the rule. */
  readonly bad: object
  /** Keeps it. */
  readonly good: object
  /** JSON pointer that the problem names. */
  readonly at: string
  /** Default `error`. */
  readonly severity?: Severity
  readonly istioCode?: string
}

export interface RuleTable {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata?: object
  readonly cases: Readonly<Record<string, RuleCase>>
}

export function testRules({
  apiVersion,
  kind,
  metadata = { name: 'example', namespace: 'shop' },
  cases,
}: RuleTable): void {
  const problemsOf = (spec: object) => parseObject({ apiVersion, kind, metadata, spec })
  for (const [name, { bad, good, at, severity = 'error', istioCode }] of Object.entries(cases)) {
    test(`${kind}: ${name}`, () => {
      const refused = problemsOf(bad)
      const found = refused.problems.filter(({ origin }) => (origin.pointer ?? '') === at)
      assert.ok(
        found.some(
          (problem) => problem.severity === severity && (istioCode ?? problem.istioCode) === problem.istioCode,
        ),
        `expected ${severity} at ${at}, found ${JSON.stringify(refused.problems, null, 1)}`,
      )
      assert.equal(refused.resource === undefined, severity === 'error')
      const kept = problemsOf(good)
      assert.ok(kept.resource, JSON.stringify(kept.problems, null, 1))
      const still = kept.problems.filter(({ origin }) => (origin.pointer ?? '') === at)
      assert.deepEqual(still, [])
    })
  }
}
