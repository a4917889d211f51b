import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  covers,
  hostsOverlap,
  hostSyntax,
  isCIDR,
  isFQDN,
  isHeaderName,
  isLabelKey,
  isLabelValue,
} from '../../../src/lib/names.ts'
import { isBase64 } from '../../../src/lib/base64.ts'
import { nearest } from '../../../src/lib/nearest.ts'

function table(name: string, test_: (text: string) => boolean, takes: string[], refuses: string[]): void {
  test(name, () => {
    for (const text of takes) assert.equal(test_(text), true, text)
    for (const text of refuses) assert.equal(test_(text), false, text)
  })
}

const label63 = 'a'.repeat(63)
table(
  'isFQDN: labels of at most 63 characters, the last not all digits',
  isFQDN,
  ['a', 'a.b', 'A-1.b', 'a.com.', '1.a', label63, `${label63}.${label63}.${label63}.${'a'.repeat(63)}`],
  ['', '.', 'a..b', '-a', 'a-', 'a_b', `${label63}a`, '1.2.3.4', 'a.1', 'a.1.', '*', 'a b', `${'a.'.repeat(128)}a`],
)
table(
  'isCIDR: addresses and blocks',
  isCIDR,
  ['10.0.0.1', '10.0.0.0/8', '::1', '2001:db8::/32'],
  ['10.0.0.0/33', '::/129', 'a/8', '10.0.0.0/', '10.0.0/8', ''],
)
table('isHeaderName: a token', isHeaderName, ['x-a', 'X_A', "!#$%&'*+.^`|~1"], ['', 'a b', 'a:', ':path', 'ä', 'a\n'])
table(
  'isLabelKey: a name, perhaps with a DNS prefix',
  isLabelKey,
  ['a', 'a.b/c_d', 'app.kubernetes.io/name'],
  ['', '/a', 'a/', 'a b', 'a/b/c', '-a'],
)
table('isLabelValue: empty or a name', isLabelValue, ['', 'a', 'v1.2_3'], ['a b', '-a', 'a'.repeat(64)])
table(
  'isBase64: standard, padded, lines allowed',
  isBase64,
  ['', 'YQ==', 'YWI=', 'YWJj', 'YW\nJj\n'],
  ['YQ', 'Y-==', 'a b=', '='],
)

test('hostSyntax tells wildcards apart', () => {
  const kinds = {
    'a.com': 'name',
    '*': 'any',
    '*.a.com': 'wildcard',
    '*a.com': 'partial-wildcard',
    'a.*.com': 'invalid',
    '*.*.com': 'invalid',
    '*.': 'invalid',
    '1.2.3.4': 'invalid',
    '': 'invalid',
  }
  for (const [host, kind] of Object.entries(kinds)) assert.equal(hostSyntax(host), kind, host)
})

test('covers: a wildcard stands for one label or more', () => {
  const yes: [string, string][] = [
    ['*', 'a'],
    ['*', '*'],
    ['*.a.com', 'b.a.com'],
    ['*.a.com', 'c.b.a.com'],
    ['*.a.com', '*.b.a.com'],
    ['*.a.com', '*.a.com'],
    ['a', 'a'],
  ]
  const no: [string, string][] = [
    ['*.a.com', 'a.com'],
    ['*.b.a.com', '*.a.com'],
    ['a', 'b'],
    ['a', '*'],
    ['*.a.com', 'ba.com'],
  ]
  for (const [pattern, host] of yes) assert.equal(covers(pattern, host), true, `${pattern} ${host}`)
  for (const [pattern, host] of no) assert.equal(covers(pattern, host), false, `${pattern} ${host}`)
  assert.equal(hostsOverlap('a.b.com', '*.b.com'), true)
  assert.equal(hostsOverlap('*.c.com', '*.b.com'), false)
})

test('nearest suggests what a mistyped name was meant to be, and nothing far away', () => {
  assert.equal(nearest('gatways', ['hosts', 'gateways']), 'gateways')
  assert.equal(nearest('Simple', ['DISABLE', 'SIMPLE']), 'SIMPLE')
  assert.equal(nearest('kubernetes', ['hosts', 'gateways']), undefined)
  assert.equal(nearest('x', ['tls', 'tcp']), undefined)
  assert.equal(nearest('x', []), undefined)
})
