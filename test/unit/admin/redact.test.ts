import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redact } from '../../../src/admin/redact.ts'

const cases: Record<string, readonly [value: unknown, printed: unknown]> = {
  'secrets by their keys': [
    { privateKey: 'x', password: 'y', clientSecret: 'z', token: ['t'], keep: 'k', absent: null },
    {
      privateKey: '[redacted]',
      password: '[redacted]',
      clientSecret: '[redacted]',
      token: '[redacted]',
      keep: 'k',
      absent: null,
    },
  ],
  'names and paths of secrets stay': [
    { privateKeyFile: '/etc/tls.key', credentialName: 'shop', kind: 'Secret' },
    { privateKeyFile: '/etc/tls.key', credentialName: 'shop', kind: 'Secret' },
  ],
  'private keys wherever they are': [
    { anything: ['-----BEGIN RSA PRIVATE KEY-----\nabc'], chain: '-----BEGIN CERTIFICATE-----' },
    { anything: ['[redacted]'], chain: '-----BEGIN CERTIFICATE-----' },
  ],
  'passwords in URLs': [
    ['redis://user:pa:ss@host:6379/0', 'redis://:pass@host', 'http://host/a:b@c', 'see https://a:b@c/ and https://d/'],
    [
      'redis://user:[redacted]@host:6379/0',
      'redis://:[redacted]@host',
      'http://host/a:b@c',
      'see https://a:[redacted]@c/ and https://d/',
    ],
  ],
  'values of headers that let their bearer in': [
    {
      set: [
        ['Authorization', 'Bearer x'],
        ['x-plain', 'y'],
      ],
      remove: ['cookie', 'authorization'],
    },
    {
      set: [
        ['Authorization', '[redacted]'],
        ['x-plain', 'y'],
      ],
      remove: ['cookie', 'authorization'],
    },
  ],
  'what such a header is compared with': [
    [
      { name: 'cookie', match: { kind: 'regex', value: '.*a.*' }, invert: false },
      { name: 'cookie', match: { kind: 'present' }, invert: true },
      { name: 'x-plain', match: { kind: 'exact', value: 'v' } },
      { kind: 'header', name: 'x-api-key', not: false, values: [{ kind: 'exact', value: 'k' }, { kind: 'present' }] },
    ],
    [
      { name: 'cookie', match: { kind: 'regex', value: '[redacted]' }, invert: false },
      { name: 'cookie', match: { kind: 'present' }, invert: true },
      { name: 'x-plain', match: { kind: 'exact', value: 'v' } },
      {
        kind: 'header',
        name: 'x-api-key',
        not: false,
        values: [{ kind: 'exact', value: '[redacted]' }, { kind: 'present' }],
      },
    ],
  ],
  'numbers, booleans and null stay': [
    [1, true, null],
    [1, true, null],
  ],
}

for (const [name, [value, printed]] of Object.entries(cases)) {
  test(`redact: ${name}`, () => {
    const before = JSON.stringify(value)
    assert.deepEqual(redact(value), printed)
    assert.equal(JSON.stringify(value), before, 'the original is not changed')
  })
}
