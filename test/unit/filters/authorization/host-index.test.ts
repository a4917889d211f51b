import assert from 'node:assert/strict'
import { test } from 'node:test'
import { indexByHost } from '../../../../src/filters/authorization/host-index.ts'
import type { Rule } from '../../../../src/resources/authorization-policy.ts'
import { makeRule } from './make-rules.ts'

const RULES: Readonly<Record<string, Rule>> = {
  everything: { to: [{ operation: { paths: ['/x'] } }] },
  shop: { to: [{ operation: { hosts: ['Shop.test', 'shop.test:*'], paths: ['/x'] } }] },
  wide: { to: [{ operation: { hosts: ['*.shop.test'] } }] },
  narrow: { to: [{ operation: { hosts: ['*.eu.shop.test'] } }] },
  two: { to: [{ operation: { hosts: ['a.eu.shop.test'] } }, { operation: { hosts: ['shop.test:8443'] } }] },
  'not all of them': { to: [{ operation: { hosts: ['shop.test'] } }, { operation: { paths: ['/y'] } }] },
  others: { to: [{ operation: { notHosts: ['shop.test'] } }] },
  present: { to: [{ operation: { hosts: ['*'] } }] },
  'any port': { to: [{ operation: { hosts: ['*:80'] } }] },
}
const find = indexByHost(Object.entries(RULES).map(([name, rule]) => [makeRule(name, rule), name] as const))
const ANY = ['not all of them', 'others', 'present', 'any port']

for (const [host, rules] of Object.entries({
  'shop.test': ['shop', 'two'],
  'a.shop.test': ['wide'],
  'eu.shop.test': ['wide'],
  'b.eu.shop.test': ['wide', 'narrow'],
  'a.eu.shop.test': ['wide', 'narrow', 'two'],
  'shop.test.evil': [],
  'xshop.test': [],
  '::1': [],
  '': [],
})) {
  test(`rules that name hosts are looked at for those alone: ${JSON.stringify(host)}`, () => {
    const expected = Object.keys(RULES).filter((name) => ['everything', ...rules, ...ANY].includes(name))
    assert.deepEqual(find(host), expected)
  })
}
