import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { MaterialError, readKeyPair, readTrust } from '../../../src/certificates/pem.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'

describe('PEM', { skip: skipWithout('openssl') }, () => {
  const made = new TestCertificates()
  after(() => made.remove())
  const ca = made.authority('pem')
  const leaf = made.leaf(ca, ['a.test'])
  const other = made.leaf(ca, ['b.test'])
  const broken = leaf.certificate.replace('\n', '\nAAAA')

  test('a key pair knows how long it is valid, and keeps its key to itself', () => {
    const pair = readKeyPair(`${leaf.certificate}${ca.certificate}`, leaf.key)
    assert.equal(pair.validFrom <= Date.now() && pair.validTo > Date.now(), true)
    assert.equal(pair.privateKey.reveal(), leaf.key)
    assert.doesNotMatch(`${inspect(pair, { depth: 5 })}${JSON.stringify(pair)}`, /PRIVATE KEY/)
  })

  const keyOf = (length: number, cipher?: string) =>
    generateKeyPairSync('rsa', {
      modulusLength: length,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: {
        type: 'pkcs8',
        format: 'pem',
        ...(cipher === undefined ? {} : { cipher, passphrase: 'secret' }),
      },
    }).privateKey
  const pairs: Record<string, { certificate: string; key: string; why: RegExp }> = {
    'no certificate': { certificate: leaf.key, key: leaf.key, why: /^there is no PEM certificate in it$/ },
    'a certificate that is no certificate': {
      certificate: `${other.certificate}${broken}`,
      key: other.key,
      why: /^certificate 2 of 2 is malformed/,
    },
    'a certificate that is cut off': {
      certificate: leaf.certificate.slice(0, 200),
      key: leaf.key,
      why: /has no end$/,
    },
    'no key': { certificate: leaf.certificate, key: leaf.certificate, why: /^the private key is no PEM private key/ },
    'an encrypted key': {
      certificate: leaf.certificate,
      key: keyOf(1024, 'aes-256-cbc'),
      why: /^the private key is encrypted$/,
    },
    "another certificate's key": {
      certificate: leaf.certificate,
      key: other.key,
      why: /^the private key does not belong to the certificate \(serial [0-9A-F]+, valid from \d{4}/,
    },
  }
  for (const [name, { certificate, key, why }] of Object.entries(pairs)) {
    test(`readKeyPair refuses ${name}`, () => {
      assert.throws(
        () => readKeyPair(certificate, key),
        (error) => {
          assert.ok(error instanceof MaterialError)
          assert.match(error.message, why)
          assert.doesNotMatch(error.message, /PRIVATE KEY-|secret/)
          return true
        },
      )
    })
  }

  test('a bundle holds each authority once, with text around it or not', () => {
    const second = made.authority('second')
    const trust = readTrust(`# roots\n${ca.certificate}\nsome text\n${second.certificate}${ca.certificate}`)
    assert.equal(trust.certificates.length, 2)
    assert.deepEqual(trust.crls, [])
  })

  test('a file may hold several revocation lists', () => {
    const second = made.authority('second')
    const lists = `${made.revocationList(ca, [])}${made.revocationList(second, [])}`
    assert.equal(readTrust(ca.certificate, lists).crls.length, 2)
  })

  const trusts: Record<string, { authorities: string; crl?: string; why: RegExp }> = {
    'a bundle without a certificate': { authorities: '', why: /^there is no PEM certificate in it$/ },
    'a bundle with one that is broken': { authorities: broken, why: /^certificate 1 of 1 is malformed/ },
    'a revocation list that is none': { authorities: ca.certificate, crl: ca.certificate, why: /is no PEM X509 CRL$/ },
    'a revocation list that is broken': {
      authorities: ca.certificate,
      crl: '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n',
      why: /^a revocation list is malformed/,
    },
  }
  for (const [name, { authorities, crl, why }] of Object.entries(trusts)) {
    test(`readTrust refuses ${name}`, () => {
      assert.throws(() => readTrust(authorities, crl), { message: why })
    })
  }
})
