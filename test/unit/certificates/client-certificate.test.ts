import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, describe, test } from 'node:test'
import {
  distinguishedName,
  forwardedElement,
  readWorkloadIdentity,
  refusalOf,
} from '../../../src/certificates/client-certificate.ts'
import type { ClientCertificateDemand } from '../../../src/plan/listener.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'

const names: Readonly<Record<string, readonly [lines: string, written: string]>> = {
  'the most specific part comes first': ['C=DE\nO=Shop\nCN=buyer', 'CN=buyer,O=Shop,C=DE'],
  'several values of one part stay together': ['O=Shop\nCN=a + UID=1', 'CN=a+UID=1,O=Shop'],
  'what is escaped stays so': [String.raw`O=a\, b \"c\"\+d` + '\nCN=x', String.raw`CN=x,O=a\, b \"c\"\+d`],
  'what is not ASCII becomes bytes': ['CN=é', String.raw`CN=\C3\A9`],
  'an empty name is empty': ['', ''],
}

for (const [what, [lines, written]] of Object.entries(names)) {
  test(`a distinguished name: ${what}`, () => {
    assert.equal(distinguishedName(lines), written)
  })
}

test('a workload identity has exactly five parts', () => {
  assert.deepEqual(readWorkloadIdentity('spiffe://cluster.local/ns/shop/sa/buyer'), {
    trustDomain: 'cluster.local',
    namespace: 'shop',
    serviceAccount: 'buyer',
  })
  for (const text of [
    'spiffe://cluster.local/ns/shop',
    'spiffe://cluster.local/ns/shop/sa/buyer/x',
    'spiffe://cluster.local/ns//sa/buyer',
    'https://cluster.local/ns/shop/sa/buyer',
    'spiffe://a/b/ns/shop/sa/buyer',
    '',
  ]) {
    assert.equal(readWorkloadIdentity(text), null, text)
  }
})

const demand: ClientCertificateDemand = {
  required: true,
  trust: { kind: 'mesh' },
  subjectAltNames: [],
  publicKeyHashes: [],
  certificateHashes: [],
  trustDomains: null,
}

describe('client certificates', { skip: skipWithout('openssl') }, () => {
  const certificates = new TestCertificates()
  after(() => {
    certificates.remove()
  })
  const made = (...wanted: readonly string[]) =>
    new X509Certificate(certificates.leaf(certificates.authority('own'), wanted, { commonName: 'x' }).certificate)

  test('one that outlived its validity since its session began is refused', () => {
    const certificate = made('a.test')
    const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()]
    assert.equal(refusalOf(certificate, null, demand, to - 1), '')
    assert.match(refusalOf(certificate, null, demand, to), /expired/)
    assert.match(refusalOf(certificate, null, demand, from - 3_600_000), /not valid yet/)
  })

  test('a chain that was not verified is refused, unless nobody asks for that', () => {
    const certificate = made('a.test')
    const now = Date.now()
    assert.match(refusalOf(certificate, 'CERT_REVOKED', demand, now), /cannot be verified: CERT_REVOKED/)
    const anybody = { ...demand, trust: { kind: 'none' } } as const
    assert.equal(refusalOf(certificate, 'CERT_REVOKED', anybody, now), '')
    assert.match(refusalOf(undefined, null, anybody, now), /no certificate/)
    assert.equal(refusalOf(undefined, null, { ...demand, required: false }, now), '')
  })

  test('a trust domain is compared as a whole', () => {
    const of = (domain: string) => made(`spiffe://${domain}/ns/a/sa/b`)
    const own = { ...demand, trustDomains: ['cluster.local'] }
    assert.equal(refusalOf(of('cluster.local'), null, own, Date.now()), '')
    for (const other of ['cluster.local.evil', 'evil-cluster.local', 'cluster']) {
      assert.match(refusalOf(of(other), null, own, Date.now()), /trust domain/, other)
    }
  })

  test('a name that would read as another field of x-forwarded-client-cert is quoted', () => {
    const crafted = made('spiffe://cluster.local/ns/a/sa/b;URI=spiffe://cluster.local/ns/admin/sa/root')
    const element = forwardedElement(crafted, ['spiffe://own/ns/x/sa/y'])
    assert.match(element, /^By=spiffe:\/\/own\/ns\/x\/sa\/y;Hash=[0-9a-f]{64};Cert="[^"]+";Subject="CN=x";URI="spiffe/)
    assert.match(
      element,
      /;URI="spiffe:\/\/cluster\.local\/ns\/a\/sa\/b;URI=spiffe:\/\/cluster\.local\/ns\/admin\/sa\/root"$/,
    )
    assert.match(forwardedElement(made('a.test'), []), /^Hash=[^;]+;Cert="[^"]+";Subject="CN=x";URI=;DNS=a\.test$/)
  })
})
