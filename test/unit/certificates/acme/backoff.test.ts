import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoff } from '../../../../src/certificates/acme/backoff.ts'
import { AcmeProblem } from '../../../../src/certificates/acme/problem.ts'
import { readRetryAfter } from '../../../../src/certificates/acme/transport.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const cases: Record<string, { problem: AcmeProblem; failures: number; random: number; waits: number }> = {
  'a first refusal waits a minute': {
    problem: new AcmeProblem('refused', ''),
    failures: 0,
    random: 0.5,
    waits: MINUTE,
  },
  'each failure more doubles it': {
    problem: new AcmeProblem('validation', ''),
    failures: 3,
    random: 0.5,
    waits: 8 * MINUTE,
  },
  'a day is the longest': { problem: new AcmeProblem('refused', ''), failures: 60, random: 0.5, waits: DAY },
  'chance takes up to a fifth away': {
    problem: new AcmeProblem('refused', ''),
    failures: 0,
    random: 0,
    waits: 0.8 * MINUTE,
  },
  'never less than the authority asked for': {
    problem: new AcmeProblem('rate-limited', '', { retryAfterMs: 2 * DAY }),
    failures: 0,
    random: 0,
    waits: 2 * DAY,
  },
  'but no more than a week, whatever it says': {
    problem: new AcmeProblem('rate-limited', '', { retryAfterMs: 1e12 }),
    failures: 0,
    random: 0,
    waits: 7 * DAY,
  },
}

for (const [name, { problem, failures, random, waits }] of Object.entries(cases)) {
  test(`backoff: ${name}`, () => {
    assert.equal(backoff(problem, failures, random), waits)
  })
}

const NOW = Date.UTC(2026, 10, 22, 12)
const headers: Record<string, { value: string | undefined; ms: number | null }> = {
  seconds: { value: '120', ms: 120_000 },
  'a date': { value: 'Sun, 22 Nov 2026 12:01:00 GMT', ms: 60_000 },
  'a date that is over': { value: 'Sun, 22 Nov 2026 11:00:00 GMT', ms: 0 },
  nonsense: { value: 'soon', ms: null },
  nothing: { value: undefined, ms: null },
}

for (const [name, { value, ms }] of Object.entries(headers)) {
  test(`Retry-After: ${name}`, () => {
    assert.equal(readRetryAfter(value, NOW), ms)
  })
}
