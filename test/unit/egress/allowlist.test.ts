import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Allowlist } from '../../../src/egress/allowlist.ts'
import { covers } from '../../../src/lib/names.ts'
import type { EgressHostPlan } from '../../../src/plan/egress.ts'
import { hostPlan } from './plans.ts'

const all = () => true

function listOf(...plans: EgressHostPlan[]): Allowlist {
  const list = new Allowlist()
  for (const plan of plans) list.set(plan)
  return list
}

const found = (list: Allowlist, name: string, port = 443) => list.find(name, port, all)?.host.plan.host ?? null

test('a name is found by itself, before any wildcard', () => {
  const list = listOf(hostPlan('a.cdn.test'), hostPlan('*.cdn.test'))
  assert.equal(found(list, 'a.cdn.test'), 'a.cdn.test')
  assert.equal(found(list, 'b.cdn.test'), '*.cdn.test')
  assert.equal(found(list, 'cdn.test'), null)
})

test('the longest wildcard counts, and leaves ports that it does not list to a broader one', () => {
  const list = listOf(hostPlan('*.test', [80, 443]), hostPlan('*.cdn.test', [443]), hostPlan('a.cdn.test', [22]))
  assert.equal(found(list, 'a.cdn.test', 443), '*.cdn.test')
  assert.equal(found(list, 'a.cdn.test', 80), '*.test')
  assert.equal(found(list, 'a.cdn.test', 22), 'a.cdn.test')
  assert.equal(found(list, 'a.cdn.test', 25), null)
})

test('what a client may not see is not found, and a broader entry that it may see is', () => {
  const list = listOf(hostPlan('a.cdn.test'), hostPlan('*.cdn.test'))
  const seen = list.find('a.cdn.test', 443, ({ plan }) => plan.host !== 'a.cdn.test')
  assert.equal(seen?.host.plan.host, '*.cdn.test')
})

test('an address is found by the entries that list it, alone or in a block', () => {
  const list = listOf(
    { ...hostPlan('one.test'), addresses: ['203.0.113.7'] },
    { ...hostPlan('two.test'), addresses: ['203.0.113.0/24', '2001:db8::/32'] },
    { ...hostPlan('three.test', [80]), addresses: ['203.0.113.7'] },
  )
  const hosts = (address: string, port = 443) => list.findAddress(address, port, all).map(({ host }) => host.plan.host)
  assert.deepEqual(hosts('203.0.113.7'), ['one.test', 'two.test'])
  assert.deepEqual(hosts('203.0.113.8'), ['two.test'])
  assert.deepEqual(hosts('2001:db8::1'), ['two.test'])
  assert.deepEqual(hosts('203.0.113.7', 80), ['three.test'])
  assert.deepEqual(hosts('198.51.100.1'), [])
})

test('a host that changes is found with what it has now, one that is taken away not at all', () => {
  const list = listOf({ ...hostPlan('one.test'), addresses: ['203.0.113.7'] }, hostPlan('*.test'))
  list.set(hostPlan('one.test', [80]))
  assert.equal(found(list, 'one.test', 80), 'one.test')
  assert.deepEqual(list.findAddress('203.0.113.7', 443, all), [])
  list.delete('one.test')
  list.delete('*.test')
  assert.equal(found(list, 'one.test', 80), null)
  assert.equal(list.size, 0)
})

const label = fc.constantFrom('a', 'b', 'cdn', 'evilcdn')
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => [...labels, 'test'].join('.'))
const listed = fc
  .tuple(fc.boolean(), fc.array(fc.constantFrom('a', 'b', 'cdn'), { maxLength: 3 }))
  .map(([wild, labels]) => [...(wild ? ['*'] : []), ...labels, 'test'].join('.'))

test('the list finds what a search through all of it finds', () => {
  fc.assert(
    fc.property(fc.uniqueArray(listed), name, (hosts, wanted) => {
      const list = listOf(...hosts.map((host) => hostPlan(host)))
      const expected = hosts
        .filter((host) => covers(host, wanted))
        .sort((a, b) => Number(a.startsWith('*')) - Number(b.startsWith('*')) || b.length - a.length)[0]
      assert.equal(found(list, wanted), expected ?? null)
    }),
    { numRuns: 500 },
  )
})

test('a name of thousands of labels costs no more than the longest wildcard', () => {
  const list = listOf(hostPlan('*.cdn.test'))
  const long = `${'a.'.repeat(30_000)}cdn.test`
  const started = performance.now()
  for (let i = 0; i < 1000; i++) list.find(long, 443, all)
  // Every label looked up would take minutes.
  assert.ok(performance.now() - started < 1000)
})
