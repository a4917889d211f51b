import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatTarget, readTarget } from '../../../src/lib/target.ts'

const KINDS: Record<string, Record<string, string>> = {
  'a name': {
    'a.test:443': 'a.test:443',
    'A.TEST:80': 'a.test:80',
    'a.test.:80': 'a.test:80',
    'a_b-c.test:1': 'a_b-c.test:1',
    'xn--bcher-kva.test:9': 'xn--bcher-kva.test:9',
    'host:65535': 'host:65535',
  },
  'an address': { '192.0.2.1:80': '192.0.2.1:80', '[2001:DB8:0::1]:80': '[2001:db8::1]:80', '[::]:80': '[::]:80' },
  'something odd': {
    '1:80': '',
    '0x7f.1:80': '',
    '1.2.3:80': '',
    '1.2.3.4.:80': '',
    '01.2.3.4:80': '',
    'a.0x1:80': '',
    '-a.test:80': '',
    'a..test:80': '',
    '.:80': '',
    '*.a.test:80': '',
    'a%2e:80': '',
    '[::ffff:192.0.2.1]:80': '',
    '[fe80::1%1]:80': '',
  },
  malformed: {
    '': '',
    ':80': '',
    'a.test': '',
    'a.test:': '',
    'a.test:0': '',
    'a.test:080': '',
    'a.test:65536': '',
    'a.test:-1': '',
    'a.test:80:80': '',
    'u@a.test:80': '',
    'a.test:80/': '',
    'a b:80': '',
    'ä.test:80': '',
    '[::1:80': '',
    '[a.test]:80': '',
    '[::1]80': '',
  },
}
const NAME_OF = { name: 'a name', address: 'an address', odd: 'something odd', malformed: 'malformed' }

for (const [kind, texts] of Object.entries(KINDS)) {
  test(`readTarget tells ${kind}`, () => {
    for (const [text, canonical] of Object.entries(texts)) {
      const target = readTarget(text, null)
      assert.equal(NAME_OF[target.kind], kind, text)
      if ((target.kind === 'name' || target.kind === 'address') && canonical !== '') {
        assert.equal(formatTarget(target), canonical)
      }
    }
  })
}

test('a default port is for a target without one, not for one with an empty or a bad one', () => {
  assert.deepEqual(readTarget('a.test', 80), { kind: 'name', host: 'a.test', port: 80 })
  assert.equal(readTarget('a.test:', 80).kind, 'malformed')
  assert.equal(readTarget('a.test:x', 80).kind, 'malformed')
})

test('what is let through is read the same a second time, whatever was written', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webAuthority(),
        fc.ipV6().map((ip) => `[${ip}]:80`),
        fc.domain().map((name) => `${name}:80`),
      ),
      (text) => {
        const target = readTarget(text, 80)
        if (target.kind !== 'name' && target.kind !== 'address') return
        assert.deepEqual(readTarget(formatTarget(target), null), target)
      },
    ),
    { numRuns: 1000 },
  )
})
