import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseObject } from '../../../src/resources/parse.ts'
import {
  createResourceStore,
  type ResourceStore,
  type SourceDocument,
  type SourceUpdate,
} from '../../../src/resources/store.ts'

function virtualService(name: string, version = 1): SourceDocument {
  return parseObject({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name },
    spec: { hosts: [`v${version}.example.com`], http: [{ route: [{ destination: { host: 'a' } }] }] },
  })
}

function broken(name: string): SourceDocument {
  return parseObject({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name },
    spec: { hosts: ['a b'] },
  })
}

function policy(name: string, action: string): SourceDocument {
  return parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec: { action, selector: { matchLabels: { app: 'a' } } },
  })
}

const file = (source: string, ...documents: SourceDocument[]): SourceUpdate => ({ source, documents, complete: true })
const unreadable = (source: string): SourceUpdate => ({ source, documents: [], complete: false })

/** `name=version` of the VirtualServices in force. */
function inForce(store: ResourceStore): string[] {
  return store
    .snapshot()
    .virtualServices.map(({ metadata, spec }) => `${metadata.name}=${spec.hosts?.[0]?.split('.')[0]}`)
}

function storeOf(...updates: SourceUpdate[]): ResourceStore {
  const store = createResourceStore()
  store.apply(updates)
  return store
}

test('a snapshot lists resources in order of time, name and namespace', () => {
  const store = storeOf(file('x', virtualService('b'), virtualService('a')))
  assert.deepEqual(inForce(store), ['a=v1', 'b=v1'])
})

test('a bad new version leaves the last good one in force and is reported', () => {
  const store = storeOf(file('x', virtualService('a')))
  store.apply([file('x', broken('a'))])
  assert.deepEqual(inForce(store), ['a=v1'])
  const [rejected] = store.rejected()
  assert.equal(rejected?.inForce, 'last-good')
  assert.equal(rejected?.problems[0]?.origin.source, 'x')
  store.apply([file('x', virtualService('a', 2))])
  assert.deepEqual(inForce(store), ['a=v2'])
  assert.deepEqual(store.rejected(), [])
})

test('a bad object without a good version is left out and reported', () => {
  const store = storeOf(file('x', broken('a'), virtualService('b')))
  assert.deepEqual(inForce(store), ['b=v1'])
  assert.equal(store.rejected()[0]?.inForce, 'none')
})

test('an object that its file no longer has is gone', () => {
  const store = storeOf(file('x', virtualService('a'), virtualService('b')))
  store.apply([file('x', virtualService('b'))])
  assert.deepEqual(inForce(store), ['b=v1'])
  store.apply([], ['x'])
  assert.deepEqual(inForce(store), [])
  assert.deepEqual(store.sources(), [])
})

test('a file that cannot be read keeps what it held', () => {
  const store = storeOf(file('x', virtualService('a'), broken('c')), file('y', virtualService('b')))
  store.apply([unreadable('x')])
  assert.deepEqual(inForce(store), ['a=v1', 'b=v1'])
  store.apply([unreadable('x')])
  assert.deepEqual(inForce(store), ['a=v1', 'b=v1'])
  store.apply([file('x', virtualService('d'))])
  assert.deepEqual(inForce(store), ['b=v1', 'd=v1'])
})

test('a file that can be read in part keeps what may be in the other part', () => {
  const store = storeOf(file('x', virtualService('a'), virtualService('b')))
  store.apply([{ ...file('x', virtualService('b', 2)), complete: false }])
  assert.deepEqual(inForce(store), ['a=v1', 'b=v2'])
})

test('of two objects with one name the first by the order of sources counts', () => {
  const store = storeOf(file('b.yaml', virtualService('a', 2)), file('a.yaml', virtualService('a', 1)))
  assert.deepEqual(inForce(store), ['a=v1'])
  const [problem] = store.problems()
  assert.equal(problem?.code, 'resource/duplicate')
  assert.equal(problem?.origin.source, 'b.yaml')
  assert.match(problem?.message ?? '', /^a\.yaml already has this object/)
  store.apply([], ['a.yaml'])
  assert.deepEqual(inForce(store), ['a=v2'])
  assert.deepEqual(store.problems(), [])
})

test('a lower rank comes first, whatever the names', () => {
  const store = storeOf(
    { ...file('a', virtualService('a', 1)), rank: 1 },
    { ...file('b', virtualService('a', 2)), rank: 0 },
  )
  assert.deepEqual(inForce(store), ['a=v2'])
})

test('of two objects with one name in one file the first counts, and both lines are named', () => {
  const update = {
    ...file('x', virtualService('a', 1), virtualService('a', 2)),
    locate: (index: number) => 10 * (index + 1),
  }
  const store = storeOf(update)
  assert.deepEqual(inForce(store), ['a=v1'])
  const [problem] = store.problems()
  assert.equal(problem?.origin.line, 20)
  assert.match(problem?.message ?? '', /^x:10 already/)
})

test('an object that moves to another file in a broken version keeps its good one', () => {
  const store = storeOf(file('x', virtualService('a')))
  store.apply([file('y', broken('a'))], ['x'])
  assert.deepEqual(inForce(store), ['a=v1'])
  assert.equal(store.rejected()[0]?.source, 'y')
})

test('what is known to be somewhere is better than what an unreadable file had', () => {
  const store = storeOf(file('x', virtualService('a', 1)))
  store.apply([unreadable('x'), file('y', virtualService('a', 2))])
  assert.deepEqual(inForce(store), ['a=v2'])
  assert.deepEqual(store.problems(), [])
})

test('what did not change is the same object in the next snapshot', () => {
  const [a, b] = [virtualService('a'), virtualService('b')]
  const store = storeOf(file('x', a, b), file('y', policy('p', 'ALLOW')))
  const before = store.snapshot()
  assert.equal(store.snapshot(), before)
  store.apply([file('x', a, virtualService('b', 2))])
  const after = store.snapshot()
  assert.equal(after.virtualServices[0], before.virtualServices[0])
  assert.equal(after.authorizationPolicies, before.authorizationPolicies)
  assert.notEqual(after.virtualServices, before.virtualServices)
  store.apply([file('x', a, virtualService('b', 2))])
  assert.equal(store.snapshot().virtualServices[0], before.virtualServices[0])
})

test('a source that says the same again changes nothing', () => {
  const update = file('x', virtualService('a'))
  const store = storeOf(update)
  const before = store.snapshot()
  store.apply([update])
  assert.equal(store.snapshot(), before)
  assert.equal(store.generation(), 1)
})

test('many changes at once give the same snapshot as one at a time', () => {
  const names = Array.from({ length: 300 }, (_, index) => `n${(index * 7919) % 300}`)
  const all = storeOf(file('x', ...names.map((name) => virtualService(name))))
  const single = createResourceStore()
  for (const name of names) {
    single.apply([file(name, virtualService(name))])
    single.snapshot()
  }
  assert.deepEqual(inForce(single), inForce(all))
})

test('one change among 10,000 takes a few milliseconds', () => {
  const documents = Array.from({ length: 10_000 }, (_, index) => virtualService(`n${index}`))
  const store = storeOf(...documents.map((document, index) => file(`f${index}`, document)))
  store.snapshot()
  const changed = virtualService('n5000', 2)
  const startedAt = performance.now()
  store.apply([file('f5000', changed)])
  assert.equal(store.snapshot().virtualServices.length, 10_000)
  assert.ok(performance.now() - startedAt < 50)
})

test('a security policy that is refused and has no good version is listed', () => {
  const store = storeOf(file('x', policy('a', 'FORBID'), policy('b', 'ALLOW'), broken('c')))
  assert.deepEqual(
    store
      .snapshot()
      .rejectedSecurityPolicies.map(({ kind, metadata, matchLabels }) => ({ kind, name: metadata.name, matchLabels })),
    [{ kind: 'AuthorizationPolicy', name: 'a', matchLabels: { app: 'a' } }],
  )
  store.apply([file('x', policy('a', 'ALLOW'), policy('b', 'FORBID'))])
  assert.deepEqual(store.snapshot().rejectedSecurityPolicies, [])
  store.apply([file('x', policy('c', 'FORBID'))])
  assert.equal(store.snapshot().rejectedSecurityPolicies[0]?.metadata.name, 'c')
  store.apply([], ['x'])
  assert.deepEqual(store.snapshot().rejectedSecurityPolicies, [])
})

test('place adds source and line to what a later step found', () => {
  const store = storeOf({
    ...file('x', virtualService('a')),
    locate: (_, pointer) => (pointer === '/spec/hosts' ? 7 : 1),
  })
  const origin = { kind: 'VirtualService', namespace: 'default', name: 'a', pointer: '/spec/hosts' }
  const problem = { code: 'a/b', severity: 'error', origin, message: '' } as const
  assert.deepEqual(store.place(problem).origin, { ...origin, source: 'x', line: 7 })
  const unknown = { ...problem, origin: { ...origin, name: 'other' } }
  assert.equal(store.place(unknown), unknown)
})

const saved = (source: string, document: SourceDocument) => {
  assert.ok(document.resource)
  return { source, resource: document.resource }
}

test('a saved version is used while its source has a broken one', () => {
  const store = storeOf(file('x', broken('a'), virtualService('b')))
  assert.equal(store.wantsRestore(), true)
  store.restore([saved('x', virtualService('a', 7)), saved('x', virtualService('b', 7))], () => false)
  assert.deepEqual(inForce(store), ['a=v7', 'b=v1'])
  assert.equal(store.rejected()[0]?.inForce, 'last-good')
})

test('a saved version is used while its source cannot be read', () => {
  const store = storeOf(unreadable('x'))
  assert.equal(store.wantsRestore(), true)
  store.restore([saved('x', virtualService('a', 7))], () => false)
  assert.deepEqual(inForce(store), ['a=v7'])
  store.apply([file('x')])
  assert.deepEqual(inForce(store), [])
})

test('a saved version is used while nothing is known of its source', () => {
  const store = createResourceStore()
  store.restore([saved('gone/x', virtualService('a', 7)), saved('other', virtualService('b', 7))], (source) =>
    source.startsWith('gone/'),
  )
  assert.deepEqual(inForce(store), ['a=v7'])
  assert.deepEqual(store.sources(), ['gone/x'])
  store.apply([], ['gone/x'])
  assert.deepEqual(inForce(store), [])
})

test('a saved version of a deleted object is not used', () => {
  const store = storeOf(file('x', virtualService('b')))
  assert.equal(store.wantsRestore(), false)
  store.restore([saved('x', virtualService('a', 7)), saved('deleted', virtualService('c', 7))], () => false)
  assert.deepEqual(inForce(store), ['b=v1'])
})

test('a saved version opens what a refused security policy would close', () => {
  const store = storeOf(file('x', policy('a', 'FORBID')))
  store.restore([saved('x', policy('a', 'ALLOW'))], () => false)
  assert.deepEqual(store.snapshot().rejectedSecurityPolicies, [])
  assert.equal(store.snapshot().authorizationPolicies.length, 1)
})

test('saved lists what is in force, the last good versions too', () => {
  const store = storeOf(file('x', virtualService('a')))
  store.apply([file('x', broken('a'))])
  assert.deepEqual(
    [...store.saved()].map(({ source, resource }) => [source, resource.metadata.name]),
    [['x', 'a']],
  )
})
