import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, describe, test } from 'node:test'
import {
  hasAnyName,
  isDnsNameOf,
  isForHost,
  parseSubjectAltNames,
  subjectAltNames,
} from '../../../src/certificates/subject-alt-names.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'

const texts: Record<string, { text: string; names: [string, string][] | null }> = {
  'nothing is no name': { text: '', names: [] },
  'names of several kinds': {
    text: 'DNS:a.test, IP Address:::1, URI:spiffe://a/b, email:a@b.test',
    names: [
      ['DNS', 'a.test'],
      ['IP Address', '::1'],
      ['URI', 'spiffe://a/b'],
      ['email', 'a@b.test'],
    ],
  },
  'a quoted value is one value, whatever it holds': {
    text: 'URI:"http://a/, DNS:victim.test, URI:\\"x", DNS:a.test',
    names: [
      ['URI', 'http://a/, DNS:victim.test, URI:"x'],
      ['DNS', 'a.test'],
    ],
  },
  'a value may hold a NUL, and is not cut there': {
    text: 'DNS:"victim.test\\u0000.evil.test"',
    names: [['DNS', 'victim.test\0.evil.test']],
  },
  'a quote that does not end makes all of it worthless': { text: 'DNS:a.test, URI:"http://a', names: null },
  'text behind a quote makes all of it worthless': { text: 'URI:"a"b, DNS:a.test', names: null },
  'a name without a kind makes all of it worthless': { text: 'DNS:a.test, b', names: null },
  'an escape that JSON does not know makes all of it worthless': { text: 'DNS:"\\x"', names: null },
}
for (const [name, { text, names }] of Object.entries(texts)) {
  test(`parseSubjectAltNames: ${name}`, () => {
    assert.deepEqual(parseSubjectAltNames(text)?.map(({ type, value }) => [type, value]) ?? null, names)
  })
}

const dnsNames: Record<string, { presented: string; fits: string[]; not: string[] }> = {
  'case does not matter': { presented: 'A.test', fits: ['a.TEST'], not: ['b.test', 'a.test.', ''] },
  'a wildcard is one whole label': {
    presented: '*.a.test',
    fits: ['x.a.test', 'xn--x.a.test', '*.a.test'],
    not: ['a.test', 'y.x.a.test', '.a.test', 'xa.test'],
  },
  'a wildcard in the middle of anything is no wildcard': {
    presented: 'w*.a.test',
    fits: ['w*.a.test'],
    not: ['ww.a.test', 'w.a.test'],
  },
  'two wildcards are none': { presented: '*.*.test', fits: [], not: ['a.b.test'] },
  'no wildcard covers an IP address': { presented: '*.0.0.1', fits: [], not: ['127.0.0.1'] },
}
for (const [name, { presented, fits, not }] of Object.entries(dnsNames)) {
  test(`isDnsNameOf: ${name}`, () => {
    for (const wanted of fits) assert.equal(isDnsNameOf(wanted, presented), true, wanted)
    for (const wanted of not) assert.equal(isDnsNameOf(wanted, presented), false, wanted)
  })
}

describe('names of certificates', { skip: skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  after(() => made.remove())
  const ca = made.authority('names')
  const certificate = (names: readonly string[], commonName?: string) =>
    new X509Certificate(made.leaf(ca, names, commonName === undefined ? {} : { commonName }).certificate)

  test('any kind of name may be asked for, and has to be there exactly', () => {
    const all = certificate(['a.test', 'spiffe://a/ns/b/sa/c', 'ops@a.test', '10.0.0.1', '2001:db8::1'])
    for (const name of ['A.test', 'spiffe://a/ns/b/sa/c', 'ops@a.test', '10.0.0.1', '2001:DB8:0::1']) {
      assert.equal(hasAnyName(all, ['x.test', name]), true, name)
    }
    for (const name of ['spiffe://a/ns/b/sa/', 'spiffe://A/ns/b/sa/c', 'OPS@a.test', 'a', '10.0.0.2', '']) {
      assert.equal(hasAnyName(all, [name]), false, name)
    }
    assert.equal(hasAnyName(all, []), false)
  })

  test('a host is a DNS name or an IP address of the certificate, and no URI of it', () => {
    const all = certificate(['*.a.test', 'x://b.test', '10.0.0.1'])
    assert.deepEqual(
      ['w.a.test', '10.0.0.1', 'x://b.test', 'b.test', ''].map((host) => isForHost(all, host)),
      [true, true, false, false, false],
    )
  })

  test('the common name counts for nothing', () => {
    const old = certificate([], 'a.test')
    assert.deepEqual(subjectAltNames(old), [])
    assert.equal(isForHost(old, 'a.test') || hasAnyName(old, ['a.test']), false)
  })

  test('a URI that looks like more names is one name', () => {
    const crafted = certificate(['x://a/, DNS:victim.test'])
    assert.deepEqual(subjectAltNames(crafted), [{ type: 'URI', value: 'x://a/, DNS:victim.test' }])
    assert.equal(isForHost(crafted, 'victim.test') || hasAnyName(crafted, ['victim.test']), false)
  })
})
