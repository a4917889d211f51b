import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { formatIssue, SettingsError } from '../../../src/settings/issue.ts'
import { loadSettings } from '../../../src/settings/load.ts'

const load = async (file: string) => {
  const host = { env: {}, cwd: '/srv', cores: 1, root: false, home: '/home/op', readFile: () => file }
  return (await loadSettings({ values: {} }, host)).settings.acme
}

const mistakes = async (file: string): Promise<string[]> => {
  try {
    await load(file)
  } catch (error) {
    if (error instanceof SettingsError) return error.issues.map(formatIssue)
    throw error
  }
  return []
}

test('an issuer needs no more than its name, and is Let’s Encrypt then', async () => {
  const { issuers, defaultIssuer, untilIssued } = await load('acme: { issuers: { main: } }\n')
  assert.deepEqual([defaultIssuer, untilIssued], [null, 'refuse'])
  assert.equal(issuers['main']?.directory, 'https://acme-v02.api.letsencrypt.org/directory')
  assert.equal(issuers['main']?.keyType, 'ec-256')
  assert.equal(issuers['main']?.dns.wait, 10_000)
  assert.equal(issuers['main']?.limits.sameHostsPerWeek, 4)
})

test('secrets of an issuer are never printed', async () => {
  const { issuers } = await load('acme: { issuers: { main: { eab: { kid: k, hmacKey: c2VjcmV0 } } } }\n')
  assert.ok(!`${inspect(issuers, { depth: 9 })} ${JSON.stringify(issuers)}`.includes('c2VjcmV0'))
  assert.equal(issuers['main']?.eab.hmacKey?.reveal(), 'c2VjcmV0')
})

const cases: Record<string, { file: string; says: string[] }> = {
  'a field that an issuer does not have': {
    file: 'acme:\n  issuers:\n    main:\n      emial: a@b.test\n',
    says: ['config/sluice.yaml:4: error: acme.issuers.main.emial: there is no such setting. Did you mean "email"?'],
  },
  'a directory without HTTPS': {
    file: 'acme: { issuers: { main: { directory: "http://ca.test/dir" } } }\n',
    says: [
      'config/sluice.yaml:1: error: acme.issuers.main.directory: expected a URL that starts with https://, found "http://ca.test/dir".',
    ],
  },
  'a name that the annotation could not have': {
    file: 'acme: { issuers: { none: {} } }\n',
    says: [
      'config/sluice.yaml:1: error: acme.issuers.none: expected a name of letters, digits and "-", other than "none", found "none".',
    ],
  },
  'a kind of challenge that there is not': {
    file: 'acme: { issuers: { main: { challenges: [http-02] } } }\n',
    says: [
      'config/sluice.yaml:1: error: acme.issuers.main.challenges: expected a list of some of http-01, tls-alpn-01, dns-01, found a list.',
    ],
  },
  'a default issuer that is not there': {
    file: 'acme: { defaultIssuer: mian, issuers: { main: {} } }\n',
    says: [
      'config/sluice.yaml:1: error: acme.defaultIssuer: there is no issuer "mian" in acme.issuers. Did you mean "main"?',
    ],
  },
  'half of a binding, half of a signature, two ways into the DNS': {
    file: 'acme: { issuers: { main: { eab: { kid: k }, dns: { server: ns.test, hook: /h, keyName: k } } } }\n',
    says: [
      'config/sluice.yaml:1: error: acme.issuers.main.eab.kid: needs hmacKey or hmacKeyFile.',
      'config/sluice.yaml:1: error: acme.issuers.main.dns.hook: server is set, too: one of the two.',
      'config/sluice.yaml:1: error: acme.issuers.main.dns.keyName: needs key or keyFile.',
    ],
  },
}

for (const [name, { file, says }] of Object.entries(cases)) {
  test(`a mistake ends the start with its line: ${name}`, async () => {
    assert.deepEqual(await mistakes(file), says)
  })
}
