import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import { renewalId, renewalTime } from '../../../../src/certificates/acme/ari.ts'
import { issuanceWindows } from '../../../../src/certificates/acme/budget.ts'
import { certifies, checkCertificate } from '../../../../src/certificates/acme/check.ts'
import { createKey, createStandIn } from '../../../../src/certificates/acme/keys.ts'
import { TestCertificates } from '../../../support/certificates.ts'

const certificates = new TestCertificates()
after(() => certificates.remove())
const authority = certificates.authority('one')
const other = certificates.authority('two')
const leaf = certificates.leaf(authority, ['a.test', '*.b.test'])
const chain = leaf.certificate + authority.certificate
const NOW = Date.now()

test('a whole chain with its key, for its hosts, passes', async () => {
  await checkCertificate({ certificateChain: chain, privateKey: leaf.key }, ['a.test', '*.b.test'], NOW)
  await checkCertificate({ certificateChain: leaf.certificate, privateKey: leaf.key }, ['a.test'], NOW)
})

const bad: Record<string, { chain: string; key?: string; hosts?: string[]; now?: number; says: RegExp }> = {
  'no certificate at all': { chain: 'junk', says: /there is no PEM certificate in it/ },
  'a certificate of junk': {
    chain: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    says: /it cannot be read/,
  },
  'another key': { chain, key: other.key, says: /it is for another key/ },
  'a key of junk': { chain, key: 'junk', says: /its private key cannot be read/ },
  'a chain with somebody else in it': {
    chain: leaf.certificate + other.certificate,
    says: /certificate 2 of its chain did not issue certificate 1/,
  },
  'a host that is missing': { chain, hosts: ['a.test', 'c.test'], says: /it is not for c\.test$/ },
  'a wildcard that is missing': { chain, hosts: ['*.a.test'], says: /it is not for \*\.a\.test$/ },
  'one that has expired': { chain, now: NOW + 40 * 86_400_000, says: /it has expired on / },
  'one that is not valid yet': { chain, now: NOW - 86_400_000, says: /is the clock of this machine right\?/ },
}

for (const [name, { chain: certificateChain, key, hosts = ['a.test'], now = NOW, says }] of Object.entries(bad)) {
  test(`what was issued is refused: ${name}`, async () => {
    await assert.rejects(checkCertificate({ certificateChain, privateKey: key ?? leaf.key }, hosts, now), says)
  })
}

test('a certificate is for the names in it, and for those that its wildcards cover', () => {
  const read = new X509Certificate(leaf.certificate)
  assert.deepEqual(
    ['a.test', 'x.b.test', '*.b.test', 'b.test', 'y.x.b.test', '*.a.test'].filter((host) => certifies(read, host)),
    ['a.test', 'x.b.test', '*.b.test'],
  )
})

test('what stands in for a certificate has its names and a key that fits', async () => {
  const pair = await createStandIn(['a.test', '*.b.test'], NOW)
  await checkCertificate(pair, ['a.test', '*.b.test'], NOW)
})

test('keys are of the type that was asked for', async () => {
  for (const type of ['ec-256', 'ec-384', 'rsa-2048'] as const) {
    assert.match(await createKey(type), /^-----BEGIN PRIVATE KEY-----/)
  }
})

test('renewal is at two thirds of the life, a little earlier by chance, or in the window of the authority', () => {
  const read = new X509Certificate(leaf.certificate)
  const from = read.validFromDate.getTime()
  const life = read.validToDate.getTime() - from
  assert.equal(renewalTime(read, null, 0), from + (life * 2) / 3)
  assert.ok(renewalTime(read, null, 0.99) < renewalTime(read, null, 0))
  assert.ok(renewalTime(read, null, 0.99) > from + life * 0.6)
  assert.equal(renewalTime(read, { start: 1000, end: 3000 }, 0.5), 2000)
})

test('the identifier of a renewal is what RFC 9773 has for its example', () => {
  // Section 4.1: key identifier 69:88:5B:…, serial number 00:87:65:43:21.
  const example = Buffer.from(
    'MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDASBgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFfqzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4ByNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK',
    'base64',
  )
  assert.equal(renewalId(new X509Certificate(example)), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
})

test('names of one registered domain share a budget, and a renewal costs it nothing', () => {
  const limits = {
    accountsPer3Hours: 1,
    ordersPer3Hours: 1,
    sameHostsPerWeek: 4,
    domainPerWeek: 45,
    validationsPerHostPerHour: 1,
  }
  const issuance = { account: 'me', hosts: ['b.shop.co.uk', '*.shop.co.uk', 'x.test'], isAskedFor: false }
  assert.deepEqual(
    issuanceWindows({ limits }, { ...issuance, isRenewal: false }).map(({ key, limit }) => [key, limit]),
    [
      ['hosts me *.shop.co.uk b.shop.co.uk x.test', 4],
      ['domain me shop.co.uk', 45],
      ['domain me x.test', 45],
    ],
  )
  assert.equal(issuanceWindows({ limits }, { ...issuance, isRenewal: true }).length, 1)
  assert.deepEqual(issuanceWindows({ limits }, { ...issuance, isRenewal: true, isAskedFor: true }), [])
})
