import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { PathMatch } from '../../../src/plan/route.ts'
import { type PathRule, PathRouters } from '../../../src/routing/path-router.ts'

const prefix = (text: string): PathMatch => ({ kind: 'prefix', prefix: text, ignoreCase: false })
const rules = (...texts: string[]): PathRule[] => texts.map((text) => ({ path: prefix(text), conditional: false }))

test('PathRouters: the same paths in the same order are one router', () => {
  const routers = new PathRouters()
  const first = routers.get(rules('/a', '/b'))
  assert.equal(routers.get(rules('/a', '/b')), first)
  assert.equal(routers.size, 1)
})

test('PathRouters: other paths, another order, and conditions that let the next rule be reached are other routers', () => {
  const routers = new PathRouters()
  const kept = [
    rules('/a', '/b'),
    rules('/b', '/a'),
    rules('/a'),
    [{ path: prefix('/a'), conditional: true }],
    [{ path: { ...prefix('/a'), ignoreCase: true } as PathMatch, conditional: false }],
  ].map((each) => routers.get(each))
  assert.equal(new Set(kept).size, 5)
})

test('PathRouters: a router that nobody holds is forgotten, one that is held is not', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const routers = new PathRouters()
  const held = routers.get(rules('/held'))
  for (let i = 0; i < 10; i++) await routers.get(rules(`/${i}`))
  for (let turn = 0; turn < 200 && routers.size > 1; turn++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.equal(routers.size, 1)
  assert.equal(routers.get(rules('/held')), held)
})
