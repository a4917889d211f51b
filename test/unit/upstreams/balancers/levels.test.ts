import assert from 'node:assert/strict'
import { test } from 'node:test'
import { usableLevels } from '../../../../src/upstreams/balancers/levels.ts'
import { type EndpointFacts, endpoints, outlierDetection } from './balancing.ts'

/** `healthy` of `all` endpoints of a priority. */
type Level = readonly [healthy: number, all: number]

function levelsOf(levels: readonly Level[], minHealthFraction = 0): [share: number, used: number][] {
  const facts = levels.flatMap(([healthy, all], priority) =>
    Array.from({ length: all }, (_, i): EndpointFacts => ({ priority, ejected: i >= healthy })),
  )
  return usableLevels(endpoints(...facts), outlierDetection(minHealthFraction)).map(({ share, usable }) => [
    Math.round(share * 1000) / 1000,
    usable.length,
  ])
}

const cases: Record<string, { levels: Level[]; panicBelow?: number; gives: [share: number, used: number][] }> = {
  'nothing, no level': { levels: [], gives: [] },
  'all healthy: the first takes all': {
    levels: [
      [10, 10],
      [10, 10],
    ],
    gives: [[1, 10]],
  },
  'up to 28 % ejected the first still takes all': {
    levels: [
      [72, 100],
      [10, 10],
    ],
    gives: [[1, 72]],
  },
  'beyond that the rest spills over': {
    levels: [
      [5, 10],
      [10, 10],
    ],
    gives: [
      [0.7, 5],
      [0.3, 10],
    ],
  },
  'and further on, to the third': {
    levels: [
      [2, 10],
      [2, 10],
      [10, 10],
    ],
    gives: [
      [0.28, 2],
      [0.28, 2],
      [0.44, 10],
    ],
  },
  'a priority without healthy endpoints is passed over': {
    levels: [
      [0, 10],
      [10, 10],
    ],
    gives: [[1, 10]],
  },
  'too little in all together is shared in proportion': {
    levels: [
      [1, 10],
      [3, 10],
    ],
    gives: [
      [0.25, 1],
      [0.75, 3],
    ],
  },
  'nothing healthy and no panic threshold, no level': { levels: [[0, 3]], gives: [] },
  'one priority above the panic threshold uses the healthy ones': {
    levels: [[5, 10]],
    panicBelow: 0.5,
    gives: [[1, 5]],
  },
  'one priority below the panic threshold uses all': { levels: [[4, 10]], panicBelow: 0.5, gives: [[1, 10]] },
  'no panic as long as the others can carry the whole': {
    levels: [
      [1, 10],
      [10, 10],
    ],
    panicBelow: 0.5,
    gives: [
      [0.14, 1],
      [0.86, 10],
    ],
  },
  'where they cannot, those below the threshold use all': {
    levels: [
      [1, 10],
      [5, 10],
    ],
    panicBelow: 0.5,
    gives: [
      [0.167, 10],
      [0.833, 5],
    ],
  },
  'all below the threshold: shares by size, health disregarded': {
    levels: [
      [0, 10],
      [0, 30],
    ],
    panicBelow: 0.5,
    gives: [
      [0.25, 10],
      [0.75, 30],
    ],
  },
  'fractions that add up to 1 but for their last bit are enough': {
    levels: [
      [5, 10],
      [1, 7],
      [1, 14],
    ],
    panicBelow: 0.5,
    gives: [
      [0.7, 5],
      [0.2, 1],
      [0.1, 1],
    ],
  },
}

for (const [name, { levels, panicBelow, gives }] of Object.entries(cases)) {
  test(`priorities: ${name}`, () => {
    assert.deepEqual(levelsOf(levels, panicBelow), gives)
  })
}

test('priorities are used by their number, not by the order of the endpoints; absent is 0', () => {
  const [last, first] = endpoints({ priority: 7 }, {})
  assert.deepEqual(usableLevels([last!, first!], null), [{ share: 1, usable: [first], ejected: [] }])
})

test('the ejected endpoints of a priority are known, in panic none', () => {
  const among = endpoints({}, { ejected: true })
  assert.deepEqual(
    usableLevels(among, outlierDetection(0)).map(({ ejected }) => ejected),
    [[among[1]]],
  )
  assert.deepEqual(
    usableLevels(among, outlierDetection(0.6)).map(({ ejected }) => ejected),
    [[]],
  )
})
