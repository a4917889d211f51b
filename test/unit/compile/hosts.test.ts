import assert from 'node:assert/strict'
import test from 'node:test'
import { fullHost, intersectHosts, mostSpecific } from '../../../src/compile/hosts.ts'

const fullHosts: Record<string, [written: string, full: string]> = {
  'a bare name is completed with the namespace': ['reviews', 'reviews.shop.svc.cluster.local'],
  'a name with a dot stays': ['reviews.other', 'reviews.other'],
  'a wildcard stays': ['*', '*'],
  'an IPv6 address stays': ['2001:db8::1', '2001:db8::1'],
  'letters become lower case': ['Shop.Example.COM', 'shop.example.com'],
}

for (const [name, [written, full]] of Object.entries(fullHosts)) {
  test(`fullHost: ${name}`, () => assert.equal(fullHost(written, 'shop', 'cluster.local'), full))
}

const intersections: Record<string, [left: string[], right: string[], common: string[]]> = {
  'the narrower name wins on the right': [['*.foo.com'], ['a.foo.com'], ['a.foo.com']],
  'the narrower name wins on the left': [['a.foo.com'], ['*.foo.com'], ['a.foo.com']],
  'everything gives the other side': [['*'], ['a.foo.com', '*.bar.com'], ['a.foo.com', '*.bar.com']],
  'a wildcard does not cover the name without a label': [['*.foo.com'], ['foo.com'], []],
  'a wildcard covers several labels': [['*.foo.com'], ['a.b.foo.com'], ['a.b.foo.com']],
  'a wildcard covers a longer wildcard': [['*.foo.com'], ['*.b.foo.com'], ['*.b.foo.com']],
  'a name is listed once': [['*.foo.com', '*'], ['a.foo.com'], ['a.foo.com']],
  'both a wildcard and a name of one side may be common': [
    ['*.foo.com', 'a.foo.com'],
    ['*.foo.com'],
    ['*.foo.com', 'a.foo.com'],
  ],
}

for (const [name, [left, right, common]] of Object.entries(intersections)) {
  test(`intersectHosts: ${name}`, () => assert.deepEqual(intersectHosts(left, right), common))
}

test('mostSpecific: the exact name, then the longest wildcard, then everything', () => {
  const entries = new Map(['*', '*.foo.com', '*.b.foo.com', 'a.foo.com', '*bar.org'].map((host) => [host, host]))
  assert.equal(mostSpecific(entries, 'a.foo.com'), 'a.foo.com')
  assert.equal(mostSpecific(entries, 'c.foo.com'), '*.foo.com')
  assert.equal(mostSpecific(entries, 'a.b.foo.com'), '*.b.foo.com')
  assert.equal(mostSpecific(entries, 'foo.com'), '*')
  assert.equal(mostSpecific(entries, 'foobar.org'), '*bar.org')
  assert.equal(mostSpecific(new Map([['*.foo.com', 1]]), 'foo.com'), undefined)
})
