import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { conformancePattern, findStale, parseCaseList, parseDelivered } from '../../support/conformance.ts'

const LIST = `
# delivered
route
config

!route/mirror
!config/a (secret|certificate) .* changes
`

test('the pattern takes the cases of the listed areas but for the exceptions', () => {
  const pattern = new RegExp(conformancePattern(parseDelivered(LIST)))
  const takes = [
    'route/weights',
    'config/a VirtualService changes',
    'route/a path with /mirror in it',
    'route/config/x',
  ]
  const refuses = [
    'match/x',
    'routes/x',
    'x/route/y',
    'route/mirror',
    'route/mirrored',
    'config/a secret really changes',
  ]
  for (const name of takes) assert.equal(pattern.test(name), true, name)
  for (const name of refuses) assert.equal(pattern.test(name), false, name)
})

test('without exceptions the pattern is the areas alone', () => {
  assert.equal(conformancePattern(parseDelivered('match\nroute\n')), '^(?:match|route)/')
})

const refused: Record<string, { text: string; error: RegExp }> = {
  'an exception to an area that is not delivered': { text: 'match\n!route/x', error: /line 2: no area "route"/ },
  'an exception without a case': { text: 'match\n!match/', error: /line 2/ },
  'a line that is neither': { text: 'match route', error: /line 1: expected an area/ },
  'a broken regular expression': { text: 'match\n!match/(', error: /Invalid regular expression/ },
}

for (const [name, { text, error }] of Object.entries(refused)) {
  test(`the list refuses ${name}`, () => assert.throws(() => parseDelivered(text), error))
}

test('areas and exceptions without a case in the suite are found', () => {
  const cases = parseCaseList('route/weights\nroute/mirror  [statistics, proposed]\n2 cases\n')
  assert.deepEqual(cases, ['route/weights', 'route/mirror'])
  assert.deepEqual(findStale(parseDelivered('route\n!route/mirror$'), cases), [])
  assert.deepEqual(findStale(parseDelivered('route\nconfig\n!route/gone'), cases), ['config', '!route/gone'])
})

test('the list of this repository can be read', () => {
  const delivered = parseDelivered(readFileSync(join(import.meta.dirname, '../../../.ci/conformance.txt'), 'utf8'))
  assert.ok(delivered.areas.length > 0)
  assert.doesNotThrow(() => new RegExp(conformancePattern(delivered)))
})
