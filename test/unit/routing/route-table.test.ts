import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualHostPlan } from '../../../src/plan/route.ts'
import { RouteTable } from '../../../src/routing/route-table.ts'
import { recordOutcomes } from './exchanges.ts'

function plan(host: string): VirtualHostPlan {
  return { host, requireTls: false, routes: [] }
}

function table(...hosts: readonly string[]): RouteTable {
  const routes = new RouteTable(recordOutcomes().deps)
  for (const host of hosts) routes.set(host, plan(host))
  return routes
}

const cases: Record<string, { hosts: readonly string[]; found: Record<string, string | undefined> }> = {
  'an exact name comes before any wildcard': {
    hosts: ['*', '*.example', 'a.example'],
    found: { 'a.example': 'a.example', 'b.example': '*.example', other: '*' },
  },
  'the longest suffix wins, whatever was set first': {
    hosts: ['*.example', '*.b.example', '*.c.b.example'],
    found: {
      'x.example': '*.example',
      'x.b.example': '*.b.example',
      'x.y.b.example': '*.b.example',
      'x.c.b.example': '*.c.b.example',
    },
  },
  'a wildcard needs at least one character': {
    hosts: ['*.example'],
    found: { example: undefined, '.example': undefined, 'a.example': '*.example' },
  },
  'a suffix begins at a dot': { hosts: ['*.example'], found: { 'a.notexample': undefined } },
  'a star alone takes every host but none': {
    hosts: ['*'],
    found: { localhost: '*', '127.0.0.1': '*', '': undefined },
  },
  'a trailing dot is part of the name': {
    hosts: ['a.example', '*.example'],
    found: { 'a.example.': undefined },
  },
  'an address is a name': { hosts: ['[::1]', '10.0.0.1'], found: { '[::1]': '[::1]', '10.0.0.1': '10.0.0.1' } },
  'without hosts there is none': { hosts: [], found: { 'a.example': undefined } },
}

for (const [name, { hosts, found }] of Object.entries(cases)) {
  test(`RouteTable: ${name}`, () => {
    const routes = table(...hosts)
    assert.equal(routes.size, hosts.length)
    for (const [host, expected] of Object.entries(found)) {
      assert.equal(routes.lookup(host)?.plan.host, expected, host)
    }
  })
}

test('RouteTable: a virtual host is made when it is first asked for, once', () => {
  const routes = new RouteTable(recordOutcomes().deps)
  let reads = 0
  routes.set('a.example', () => {
    reads++
    return plan('a.example')
  })
  assert.equal(reads, 0)
  assert.equal(routes.lookup('a.example'), routes.lookup('a.example'))
  assert.equal(reads, 1)
})

test('RouteTable: a host that is set again is another virtual host, its neighbours stay', () => {
  const routes = table('a.example', '*.example')
  const [before, neighbour] = [routes.lookup('a.example'), routes.lookup('b.example')]
  routes.set('a.example', plan('a.example'))
  assert.notEqual(routes.lookup('a.example'), before)
  assert.equal(routes.lookup('b.example'), neighbour)
  assert.equal(routes.size, 2)
})

test('RouteTable: a host that is deleted leaves its requests to a broader one', () => {
  const routes = table('a.example', '*.example')
  assert.equal(routes.delete('a.example'), true)
  assert.equal(routes.delete('a.example'), false)
  assert.equal(routes.lookup('a.example')?.plan.host, '*.example')
  assert.equal(routes.delete('*.example'), true)
  assert.equal(routes.lookup('a.example'), null)
  assert.equal(routes.size, 0)
})

test('RouteTable: closed, it knows no host', () => {
  const routes = table('a.example', '*')
  routes.close()
  assert.equal(routes.lookup('a.example'), null)
  assert.equal(routes.size, 0)
})

test('RouteTable: a host of thirty thousand dots costs no more than any other', () => {
  const routes = table('*.example', '*.b.example')
  const host = 'a.'.repeat(30_000)
  const start = performance.now()
  for (let round = 0; round < 100; round++) assert.equal(routes.lookup(host), null)
  assert.ok(performance.now() - start < 500)
})
