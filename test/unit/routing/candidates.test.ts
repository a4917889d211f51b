import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteMatch } from '../../../src/plan/route.ts'
import {
  buildCandidates,
  candidateNeedsPathTest,
  candidateRoute,
  type CandidateRule,
  type CandidateTable,
} from '../../../src/routing/candidates.ts'
import { compileConditions, compilePath } from '../../../src/routing/match.ts'
import { anyPath, exact, prefix, regex } from './exchanges.ts'

const POST: Partial<RouteMatch> = { method: { kind: 'exact', value: 'POST' } }

function rules(...matches: readonly RouteMatch[]): CandidateRule[] {
  return matches.map((match) => ({
    path: match.path,
    matchesPath: compilePath(match.path),
    conditional: compileConditions(match) !== null,
  }))
}

/** `P*` and exact paths with their candidates; `?` follows those whose path is still to be tested. */
function describe(table: CandidateTable): Record<string, string> {
  return Object.fromEntries(
    table.entries.map(({ kind, path, candidates }) => [kind === 'exact' ? path : `${path}*`, list(candidates)]),
  )
}

function list(candidates: readonly number[]): string {
  return candidates.map((code) => `${candidateRoute(code)}${candidateNeedsPathTest(code) ? '?' : ''}`).join(' ')
}

const cases: Record<string, { matches: readonly RouteMatch[]; table: Record<string, string> }> = {
  'without rules there is still an entry for every path': { matches: [], table: { '/*': '' } },
  'an earlier prefix is a candidate at every longer entry': {
    matches: [{ path: prefix('/'), ...POST }, { path: prefix('/api') }, { path: exact('/api/x') }],
    table: { '/*': '0', '/api*': '0 1', '/api/x': '0 1' },
  },
  'a list ends with the first rule that asks for nothing more': {
    matches: [{ path: prefix('/api') }, { path: prefix('/api/v1') }, { path: exact('/api/v1/x') }],
    table: { '/*': '', '/api*': '0', '/api/v1*': '0', '/api/v1/x': '0' },
  },
  'an exact rule is a candidate at its own path alone': {
    matches: [{ path: exact('/a'), ...POST }, { path: exact('/a') }, { path: prefix('/a') }],
    table: { '/*': '', '/a': '0 1', '/a*': '2' },
  },
  'an expression is judged at exact paths when the table is built': {
    matches: [{ path: regex('/a/[0-9]+') }, { path: exact('/a/1') }, { path: exact('/a/x') }],
    table: { '/*': '', '/a/*': '0?', '/a/1': '0', '/a/x': '2' },
  },
  "an expression's beginning is an entry": {
    matches: [{ path: regex('/a/.*') }, { path: regex('/b/.*') }, { path: prefix('/') }],
    table: { '/*': '2', '/a/*': '0? 2', '/b/*': '1? 2' },
  },
  'an expression without a certain beginning is a candidate everywhere': {
    matches: [{ path: regex('.*x') }, { path: prefix('/a') }, { path: exact('/bx') }, { path: exact('/b') }],
    table: { '/*': '0?', '/a*': '0? 1', '/bx': '0', '/b': '3' },
  },
  'rules that ignore case are compared without it and tested where that is not enough': {
    matches: [
      { path: prefix('/API', true), ...POST },
      { path: exact('/api/X', true), ...POST },
      { path: prefix('/api') },
      { path: prefix('/b') },
      { path: exact('/Api/x') },
    ],
    table: { '/*': '0? 1?', '/api*': '0 1? 2', '/b*': '3', '/Api/x': '0 1 4' },
  },
  'no path and the empty prefix are the prefix of every path': {
    matches: [{ path: anyPath, ...POST }, { path: prefix(''), ...POST }, { path: prefix('/') }],
    table: { '/*': '0 1 2' },
  },
  'a rule whose path cannot begin with a slash has no entry': {
    matches: [{ path: exact('*') }, { path: prefix('a') }, { path: exact('') }, { path: regex('x.*') }],
    table: { '/*': '' },
  },
}

for (const [name, { matches, table }] of Object.entries(cases)) {
  test(`buildCandidates: ${name}`, () => {
    assert.deepEqual(describe(buildCandidates(rules(...matches))), table)
  })
}

test('buildCandidates: the list of everything serves paths without a slash', () => {
  const { everything } = buildCandidates(
    rules({ path: exact('*') }, { path: prefix('/') }, { path: anyPath }, { path: prefix('/a') }),
  )
  assert.equal(list(everything), '0? 1? 2')
})

test('buildCandidates: equal lists are one array', () => {
  const { entries } = buildCandidates(rules({ path: prefix('/') }, { path: prefix('/a') }, { path: prefix('/b') }))
  assert.equal(new Set(entries.map(({ candidates }) => candidates)).size, 1)
})

test('buildCandidates: where the steps run out the entries that are left get everything', () => {
  const { entries, everything } = buildCandidates(
    rules({ path: exact('/a') }, { path: exact('/b') }, { path: exact('/c') }),
    3,
  )
  assert.equal(list(everything), '0? 1? 2?')
  assert.equal(entries.find(({ path }) => path === '/a')?.candidates.length, 1)
  assert.equal(entries.find(({ path }) => path === '/c')?.candidates, everything)
})

const index = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

const large: Record<string, { matches: RouteMatch[]; mostCandidates: number }> = {
  'exact rules under one prefix': {
    matches: [...index(4999).map((at) => ({ path: exact(`/api/v1/item-${at}/details`) })), { path: prefix('/') }],
    mostCandidates: 5001,
  },
  'prefix rules, each with a condition': {
    matches: [...index(4999).map((at) => ({ path: prefix(`/svc-${at}/`), ...POST })), { path: prefix('/') }],
    mostCandidates: 10_000,
  },
  'expressions with beginnings of their own': {
    matches: index(5000).map((at) => ({ path: regex(`/svc-${at}/[^/]+/orders`) })),
    mostCandidates: 10_000,
  },
  'expressions that could match everywhere, over exact rules': {
    matches: index(5000).map((at) => ({ path: at % 2 === 0 ? regex(`.*/x-${at}/.+`) : exact(`/y-${at}`), ...POST })),
    mostCandidates: 10_000,
  },
}

for (const [name, { matches, mostCandidates }] of Object.entries(large)) {
  test(`buildCandidates: 5,000 rules stay small and fast: ${name}`, () => {
    const compiled = rules(...matches)
    const before = process.cpuUsage()
    const { entries } = buildCandidates(compiled)
    const { user, system } = process.cpuUsage(before)
    const tookMs = (user + system) / 1000
    const arrays = new Set(entries.map(({ candidates }) => candidates))
    const candidates = [...arrays].reduce((sum, array) => sum + array.length, 0)
    assert.ok(candidates <= mostCandidates, `${candidates} candidates`)
    // CPU time, so that a busy machine makes no difference: some 10 to 200 ms. What must not come back is time that
    // grows with the square, which here is half a minute.
    assert.ok(tookMs < 3000, `${tookMs} ms`)
  })
}
