import assert from 'node:assert/strict'
import test from 'node:test'
import { isVisibleTo, visibilityRank } from '../../../src/compile/visibility.ts'

type Row = [exportTo: string[] | undefined, own: string, rank: 0 | 1 | 2 | undefined]

const rows: Record<string, Row> = {
  'nothing set takes the mesh default': [undefined, 'shop', 2],
  'an empty list takes the mesh default': [[], 'shop', 2],
  'a dot is private to its own namespace': [['.'], 'shop', undefined],
  'a dot in the namespace that looks is private to it': [['.'], 'edge', 0],
  'a namespace by name': [['edge'], 'shop', 1],
  'a dot among other namespaces is an export by name': [['.', 'other'], 'edge', 1],
  'another namespace': [['other'], 'shop', undefined],
  'a tilde is nobody': [['~'], 'edge', undefined],
}

for (const [name, [exportTo, own, rank]] of Object.entries(rows)) {
  test(`exportTo, seen from namespace edge: ${name}`, () => {
    assert.equal(visibilityRank(exportTo, own, 'edge', ['*']), rank)
    assert.equal(isVisibleTo(exportTo, own, 'edge', ['*']), rank !== undefined)
  })
}
